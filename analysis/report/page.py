"""One HTML file that needs nothing else: text, static figures, and one copy of the chart library."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape
from importlib.resources import files
from typing import Any

from analysis.report.blocks import (
    Block,
    Bullets,
    Explorer,
    Figure,
    Heading,
    Paragraph,
    Sample,
    Table,
    visible,
    visible_in,
)


def to_html(blocks: Sequence[Block], specs: Mapping[str, Mapping[str, Any]], svgs: Mapping[str, str]) -> str:
    """The page.

    Args:
        blocks: the report's text; a `Figure` stands where its chart goes.
        specs: Vega-Lite specification per figure name.
        svgs: the same figure drawn, shown until (or instead of) the interactive one.

    Everything that comes from a run is escaped, its control and direction characters are written out, and
    the page's policy allows only the two scripts written here: text that slips through could still neither
    run nor load anything.
    """
    title = next((block.text for block in blocks if isinstance(block, Heading)), "beliefmod report")
    scripts = [_library(), _own("page.js")]
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'; "
        "script-src " + " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    )
    data = "".join(
        f'<script type="application/json" data-chart="{escape(name)}">{embedded_json(spec)}</script>\n'
        for name, spec in specs.items()
    )
    data += "".join(
        f'<script type="application/json" id="explorer-data">{embedded_json(block.data)}</script>\n'
        for block in blocks
        if isinstance(block, Explorer)
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(visible(title))}</title>\n<style>{_own('page.css')}</style>\n</head>\n<body>\n"
        + "\n".join(_page(blocks, svgs))
        + f"\n{data}"
        + "".join(f"<script>{script}</script>\n" for script in scripts)
        + "</body>\n</html>\n"
    )


@lru_cache(maxsize=1)
def _library() -> str:
    """Vega, Vega-Lite and vega-embed as one script, which takes seconds to put together."""
    import vl_convert

    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def _own(name: str) -> str:
    return files("analysis.report").joinpath(name).read_text(encoding="utf-8")


def embedded_json(value: Any) -> str:
    """JSON that can stand inside a script element: no `<`, so it cannot close it; hidden characters shown."""
    text = json.dumps(visible_in(value), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _page(blocks: Sequence[Block], svgs: Mapping[str, str]) -> list[str]:
    """The blocks, sections with ids, and a list of the sections after the first paragraph of the page."""
    parts: list[str] = []
    links: list[str] = []
    at = 0
    for block in blocks:
        if isinstance(block, Heading) and block.level == 2:
            name = f"section-{len(links) + 1}"
            links.append(f'<li><a href="#{name}">{_words(block.text)}</a></li>')
            parts.append(f'<h2 id="{name}">{_words(block.text)}</h2>')
            at = at or len(parts) - 1
        else:
            parts.append(_block(block, svgs))
    if links:
        parts.insert(at, f'<nav aria-label="Sections"><ul>{"".join(links)}</ul></nav>')
    return parts


def _block(block: Block, svgs: Mapping[str, str]) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{_words(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{_words(text)}</p>"
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{_words(item)}</li>" for item in items) + "</ul>"
        case Table(header, rows, caption):
            head = "".join(f'<th scope="col">{_words(cell)}</th>' for cell in header)
            body = "".join(
                "<tr>" + "".join(f"<td>{_words(cell)}</td>" for cell in row) + "</tr>" for row in rows
            )
            below = f'<p class="caption">{_words(caption)}</p>' if caption else ""
            table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            return f'<div class="wide">{table}</div>{below}'
        case Figure(name, caption):
            # the drawing comes from our own renderer, which has escaped its texts
            return (
                f'<figure><div class="chart" id="chart-{escape(name)}">{svgs[name]}</div>'
                f"<figcaption>{_words(caption)}</figcaption></figure>"
            )
        case Sample(title, pieces):
            inside = "".join(
                f'<p>{_words(label)}</p><pre dir="auto">{escape(visible(text))}</pre>'
                for label, text in pieces
            )
            return f"<details><summary>{_words(title)}</summary>{inside}</details>"
        case Explorer(_, note):
            return (
                f'<p>{_words(note)}</p><div id="explorer" hidden></div><noscript><p class="caption">The '
                "filters and the trials behind the marks need scripts; everything else on this page does "
                "not.</p></noscript>"
            )


def _words(text: str) -> str:
    """Escaped text whose numbers keep their sign and unit on the same line."""
    return re.sub(r"(?<=\bn) = (?=\d)|(?<=\bD) (?=\d)|(?<=\d) (?=%)", _no_break, escape(visible(text)))


def _no_break(found: re.Match[str]) -> str:
    return found.group().replace(" ", "\u00a0")
