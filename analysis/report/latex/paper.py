"""The report for a paper: its tables with booktabs, its figures, and a document that shows all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from analysis.report.blocks import (
    Block,
    Bullets,
    Figure,
    Heading,
    LinkedParagraph,
    Paragraph,
    Table,
    Verdicts,
    file_name,
    slug,
    verdict_blocks,
)
from analysis.report.latex.escaping import tex
from analysis.report.sections.frontier import ON_THE_PAGE

SECTIONS = ("frontier", "tiers", "damage", "confirmed")
"""Sections whose tables a paper quotes, by their anchors; the verdicts' stand before them."""
VERDICTS = "What was found, per belief. Intervals in brackets are 95 %."
NOTICE = "% written by beliefmod report, and again with every later report of this run: edit a copy\n"
NEEDS = r"""% needs \usepackage{booktabs,tabularx,longtable,ragged2e,textcomp}, \usepackage[T1]{fontenc} and
% \newcolumntype{L}{>{\RaggedRight\arraybackslash}X}; a longtable (more rows than a page has) needs one column
"""
PAGE_LINES, LINE_LETTERS = 42, 150
"""Of a page as `PREAMBLE` sets it, in the tables' size, some lines left to the caption: a table that may take
more is allowed to break."""
PREAMBLE = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage{textcomp}
\usepackage[landscape,margin=1.5cm]{geometry}
\usepackage{booktabs,tabularx,longtable,graphicx,ragged2e}
\newcolumntype{L}{>{\RaggedRight\arraybackslash}X}
\extrafloats{200} % a run of eight beliefs has more tables than LaTeX keeps waiting
\begin{document}
"""


def document_files(blocks: Sequence[Block], methods: str) -> dict[str, str]:
    """`main.tex`, which compiles by itself, and the `methods.tex` and `tables.tex` that it reads.

    Args:
        blocks: the whole report; its figures lie in `figures/NAME.pdf` beside `main.tex`.
        methods: the paragraph on how the run was made, plain text.
    """
    return {
        "main.tex": NOTICE + PREAMBLE + "\n\n".join(_main(blocks)) + "\n\n\\end{document}\n",
        "methods.tex": f"{NOTICE}{tex(methods)}\n",
        "tables.tex": NOTICE + NEEDS + "\n" + "\n\n".join(_tables(blocks)) + "\n",
    }


def _main(blocks: Sequence[Block]) -> Iterator[str]:
    for block in takewhile(lambda one: not (isinstance(one, Heading) and one.level == 2), blocks):
        yield from _head(block)
    yield "\\paragraph{Methods}\n\\input{methods}"
    yield "\\input{tables}"
    yield r"\clearpage"
    yield from (_figure(block) for block in blocks if isinstance(block, Figure))


def _head(block: Block) -> Iterator[str]:
    match block:
        case Heading(_, text):
            yield rf"\section*{{{tex(text)}}}"
        case Paragraph(text):
            yield tex(text)
        case LinkedParagraph():
            yield tex(block.text())
        case Bullets(items):
            lines = (rf"\item {tex(item)}" for item in items)
            yield "\n".join([r"\begin{itemize}", *lines, r"\end{itemize}"])
        case Verdicts(rows):
            for one in verdict_blocks(rows):
                yield from _head(one)
        case _:
            return


def _tables(blocks: Sequence[Block]) -> Iterator[str]:
    """The verdicts' tables and those of `SECTIONS`, each under the belief that it is about."""
    section, belief, count = "", "", 0
    for block in blocks:
        match block:
            case Verdicts(rows):
                found = [one for one in verdict_blocks(rows) if isinstance(one, Table)]
                for number, one in enumerate(found, 1):
                    yield _table(replace(one, caption=VERDICTS), "", f"verdicts-{number}")
            case Heading(level, text, anchor) if level <= 3:
                section, belief = (section, text) if level == 3 else (anchor, "")
                count = 0
            case Table() if section in SECTIONS:
                count += 1
                yield _table(
                    block, belief, "-".join((section, *([slug(belief)] if belief else []), str(count)))
                )
            case _:
                pass


def _table(table: Table, belief: str, label: str) -> str:
    header, *rows = (" & ".join(map(tex, line)) + r" \\" for line in (table.header, *table.rows))
    parts = (f"{belief}." if belief else "", table.caption, table.explained)
    caption = " ".join(part for part in parts if part)
    if _lines(table) + len(table.explained) // LINE_LETTERS > PAGE_LINES:
        return _long_table(header, rows, len(table.header), caption, label)
    return "\n".join(
        [
            r"\begin{table}[htbp]\footnotesize",
            *([rf"\caption{{{tex(caption)}}}"] if caption else []),
            *([rf"\label{{tab:{label}}}"] if caption else []),
            rf"\begin{{tabularx}}{{\linewidth}}{{{'L' * len(table.header)}}}",
            r"\toprule",
            header,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabularx}",
            r"\end{table}",
        ]
    )


def _lines(table: Table) -> int:
    """About how many lines of print a table takes, its columns being of one width."""
    letters = max(1, LINE_LETTERS // len(table.header) - 2)
    return sum(
        max(math.ceil(len(cell) / letters) or 1 for cell in row) for row in (table.header, *table.rows)
    )


def _long_table(header: str, rows: Sequence[str], columns: int, caption: str, label: str) -> str:
    """The same table where it is longer than a page: it breaks, and its header stands on every page."""
    width = rf"\dimexpr(\linewidth-{2 * columns}\tabcolsep)/{columns}\relax"
    return "\n".join(
        [
            r"{\footnotesize",
            rf"\begin{{longtable}}{{*{{{columns}}}{{>{{\RaggedRight\arraybackslash}}p{{{width}}}}}}}",
            *([rf"\caption{{{tex(caption)}}}\label{{tab:{label}}}\\"] if caption else []),
            *(r"\toprule", header, r"\midrule", r"\endfirsthead"),
            *(r"\toprule", header, r"\midrule", r"\endhead"),
            *(r"\midrule", r"\endfoot", r"\bottomrule", r"\endlastfoot"),
            *rows,
            r"\end{longtable}",
            "}",
        ]
    )


def _figure(figure: Figure) -> str:
    size = r"width=\linewidth,height=.75\textheight,keepaspectratio"
    return "\n".join(
        [
            r"\begin{figure}[htbp]\centering",
            rf"\includegraphics[{size}]{{figures/{figure.name}.pdf}}",
            rf"\caption{{{tex(figure.caption.replace(ON_THE_PAGE, ''))}}}",
            rf"\label{{fig:{file_name(figure.name)}}}",
            r"\end{figure}",
        ]
    )
