"""Blocks as HTML: every text escaped, hidden characters written out, headings with stable anchors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from analysis.report.blocks import (
    Block,
    Bullets,
    Explained,
    Explorer,
    Figure,
    Folded,
    Heading,
    Linked,
    LinkedParagraph,
    Paragraph,
    Sample,
    Table,
    Verdict,
    Verdicts,
    slug,
    visible,
)

UNFOLDED = ("frontier", "configuration", "tiers", "damage")
"""Sections that are open until a reader folds them: the way from the picture to one answer."""


def body_of(blocks: Sequence[Block], svgs: Mapping[str, str]) -> str:
    """The page's body: a list of its sections, the first screen, then the sections, each of which folds.

    Args:
        svgs: the drawing of every `Figure` among the blocks, by name.
    """
    first, sections = _split(blocks)
    anchors = _Anchors()
    links = ['<li><a href="#verdict">Verdict</a></li>']
    parts = []
    for head, under in sections:
        anchor = anchors.take(head.anchor or slug(head.text))
        links.append(f'<li><a href="#{anchor}">{words(head.text)}</a></li>')
        inside = "\n".join(_section(under, anchor, anchors, svgs))
        unfolded = " open" if anchor in UNFOLDED else ""
        parts.append(
            f'<details class="part" id="{anchor}"{unfolded}><summary><h2>{words(head.text)}</h2></summary>\n'
            f"{inside}\n</details>"
        )
    listed = f'<nav id="contents" aria-label="Contents"><ul>{"".join(links)}</ul></nav>' if sections else ""
    top = "\n".join(_section(first, "verdict", anchors, svgs))
    return (
        f'<a class="skip" href="#verdict">Skip the list of sections</a>\n{listed}\n<main>\n'
        f'<section id="verdict" tabindex="-1" aria-label="Verdict">\n{top}\n</section>\n'
        + "\n".join(parts)
        + "\n</main>"
    )


def _split(blocks: Sequence[Block]) -> tuple[list[Block], list[tuple[Heading, list[Block]]]]:
    """What stands above the first section, and each section's heading with what stands under it."""
    first: list[Block] = []
    sections: list[tuple[Heading, list[Block]]] = []
    for block in blocks:
        if isinstance(block, Heading) and block.level == 2:
            sections.append((block, []))
        else:
            (sections[-1][1] if sections else first).append(block)
    return first, sections


class _Anchors:
    """Anchors that have been given; a second one of a name gets a number."""

    def __init__(self) -> None:
        self.given: set[str] = set()

    def take(self, name: str) -> str:
        free, count = name, 1
        while free in self.given:
            count += 1
            free = f"{name}-{count}"
        self.given.add(free)
        return free


def _section(
    blocks: Iterable[Block], section: str, anchors: _Anchors, svgs: Mapping[str, str]
) -> Iterable[str]:
    for block in blocks:
        if isinstance(block, Heading) and block.level > 2:
            anchor = anchors.take(f"{section}-{block.anchor or slug(block.text)}")
            yield f'<h{block.level} id="{anchor}">{words(block.text)}</h{block.level}>'
        else:
            yield html_of(block, svgs)


def html_of(block: Block, svgs: Mapping[str, str]) -> str:
    """One block; a heading here has no anchor."""
    match block:
        case Heading(level, text):
            return f"<h{level}>{words(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{words(text)}</p>"
        case LinkedParagraph(pieces):
            return f"<p>{_linked(pieces)}</p>"
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{words(item)}</li>" for item in items) + "</ul>"
        case Explained(text):
            return _explained(text)
        case Table():
            return _table(block)
        case Folded(title, table, _):
            return f"<details><summary>{words(title)}</summary>{_table(table)}</details>"
        case Figure(name, caption):
            drawn = f"--drawn: {_width(svgs[name])}px"
            # the drawing comes from our own renderer, which has escaped its texts
            return (
                f'<figure><div class="chart" id="chart-{escape(name)}" tabindex="0" role="group" '
                f'aria-label="Chart {escape(name)}" style="{drawn}">{svgs[name]}</div>'
                f"<figcaption>{words(caption)}</figcaption></figure>"
            )
        case Sample(title, pieces, folded):
            inside = "".join(
                f'<p>{words(label)}</p><pre dir="auto">{escape(visible(text))}</pre>'
                for label, text in (*pieces, *folded)
            )
            return f"<details><summary>{words(title)}</summary>{inside}</details>"
        case Verdicts(rows):
            return "\n".join(_verdict(row) for row in rows)
        case Explorer(_, note, _):
            return (
                f'<p>{words(note)}</p><div id="explorer" hidden></div><noscript><p class="caption">The '
                "filters and the completions need scripts; everything else on this page does not.</p>"
                "</noscript>"
            )


def _width(svg: str) -> str:
    """The width that a drawing gives itself, in CSS pixels, digits alone."""
    found = re.match(r'<svg\b[^>]*?\bwidth="([\d.]+)"', svg)
    return found.group(1) if found else "800"


def _explained(text: str) -> str:
    return f'<details class="how"><summary>How to read this</summary><p>{words(text)}</p></details>'


def _table(block: Table) -> str:
    head = "".join(f'<th scope="col">{words(cell)}</th>' for cell in block.header)
    body = "".join(
        "<tr>" + "".join(f"<td>{words(cell)}</td>" for cell in row) + "</tr>" for row in block.rows
    )
    below = f'<p class="caption">{words(block.caption)}</p>' if block.caption else ""
    below += _explained(block.explained) if block.explained else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    # wide tables scroll by themselves, with the keyboard too
    return f'<div class="wide" tabindex="0" role="group" aria-label="Table">{table}</div>{below}'


def _verdict(row: Verdict) -> str:
    figures = "".join(
        f'<li><a href="#{escape(one.anchor)}"><span class="name">{words(one.name)}</span> '
        f"<strong>{words(one.value)}</strong> <span>{words(one.note)}</span></a>"
        f"{''.join(map(_link, one.also))}</li>"
        for one in row.figures
    )
    listed = f'<ul class="figures" aria-label="{words(row.belief)}">{figures}</ul>' if figures else ""
    return f'<p class="sentence">{_linked(row.sentence)}</p>{listed}'


def _linked(pieces: Iterable[str | Linked]) -> str:
    return "".join(words(piece) if isinstance(piece, str) else _link(piece) for piece in pieces)


def _link(piece: Linked) -> str:
    trial = f' data-trial="{escape(visible(piece.trial))}"' if piece.trial else ""
    return f'<a href="#{escape(piece.anchor)}"{trial}>{words(piece.text)}</a>'


def words(text: str) -> str:
    """Escaped text whose numbers keep their sign and unit on the same line."""
    return re.sub(r"(?<=\bn) = (?=\d)|(?<=\bD) (?=\d)|(?<=\d) (?=%)", _no_break, escape(visible(text)))


def _no_break(found: re.Match[str]) -> str:
    return found.group().replace(" ", "\u00a0")
