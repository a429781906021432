"""One HTML file that needs nothing else: text, static figures, and one copy of the chart library."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape
from typing import Any

from analysis.document import Block, Bullets, Figure, Heading, Paragraph, Sample, Table

_STYLE = """
:root { color-scheme: light dark;
  --ink: #1c1c1c; --paper: #fdfdfc; --quiet: #5f5f5f; --line: #d9d9d6; --box: #f3f3f0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e3; --paper: #17181a; --quiet: #a3a39f; --line: #3a3b3e; --box: #222326; }
}
body { margin: 0 auto; max-width: 1260px; padding: 1rem 1.4rem 5rem;
  background: var(--paper); color: var(--ink);
  font: 15.5px/1.5 system-ui, "Liberation Sans", Arial, sans-serif; }
h1 { font-size: 1.5rem; margin: .2rem 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .5rem; }
h3 { font-size: 1.02rem; margin: 1.6rem 0 .4rem; }
p, ul { max-width: 92ch; margin: .45rem 0; }
li { margin: .2rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums;
  margin: .6rem 0 .2rem; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-weight: 600; vertical-align: bottom; }
.caption, figcaption { color: var(--quiet); font-size: .87rem; max-width: 105ch; }
figure { margin: 1rem 0; }
.chart { background: #fff; border: 1px solid var(--line); border-radius: 4px; padding: .3rem;
  overflow-x: auto; color-scheme: light; }
.chart svg { max-width: none; }
details { border: 1px solid var(--line); border-radius: 4px; padding: .35rem .7rem; margin: .4rem 0; }
summary { cursor: pointer; font-size: .93rem; }
pre { background: var(--box); padding: .6rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font-size: .84rem; max-height: 24rem; overflow-y: auto; }
"""

# The static picture stays until the interactive one is there; without scripts it is simply the figure.
_START = """
for (const source of document.querySelectorAll('script[type="application/json"][data-chart]')) {
  const place = document.getElementById('chart-' + source.dataset.chart);
  const live = document.createElement('div');
  vegaEmbed(live, JSON.parse(source.textContent), {renderer: 'svg', actions: false})
    .then(() => place.replaceChildren(live))
    .catch(error => console.error('chart ' + source.dataset.chart + ' stays static:', error));
}
"""


def to_html(blocks: Sequence[Block], specs: Mapping[str, Mapping[str, Any]], svgs: Mapping[str, str]) -> str:
    """The page.

    Args:
        blocks: the report's text; a `Figure` stands where its chart goes.
        specs: Vega-Lite specification per figure name.
        svgs: the same figure drawn, shown until (or instead of) the interactive one.

    Everything that comes from a run is escaped, and the page's policy allows only the two scripts written
    here: text that slips through could still neither run nor load anything.
    """
    title = next((block.text for block in blocks if isinstance(block, Heading)), "beliefmod report")
    scripts = [_library(), _START]
    # the chart library compiles its expressions, hence unsafe-eval; no network source of any kind is allowed
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-eval' "
        + " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    )
    data = "".join(
        f'<script type="application/json" data-chart="{escape(name)}">{embedded_json(spec)}</script>\n'
        for name, spec in specs.items()
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(_block(block, svgs) for block in blocks)
        + f"\n{data}"
        + "".join(f"<script>{script}</script>\n" for script in scripts)
        + "</body>\n</html>\n"
    )


@lru_cache(maxsize=1)
def _library() -> str:
    """Vega, Vega-Lite and vega-embed as one script, which takes seconds to put together."""
    import vl_convert

    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def embedded_json(value: Any) -> str:
    """JSON that can stand inside a script element: no `<`, so it cannot close it."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _block(block: Block, svgs: Mapping[str, str]) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{_words(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{_words(text)}</p>"
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{_words(item)}</li>" for item in items) + "</ul>"
        case Table(header, rows, caption):
            head = "".join(f"<th>{_words(cell)}</th>" for cell in header)
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
            inside = "".join(f"<p>{escape(label)}</p><pre>{escape(text)}</pre>" for label, text in pieces)
            return f"<details><summary>{_words(title)}</summary>{inside}</details>"


def _words(text: str) -> str:
    """Escaped text whose numbers keep their sign and unit on the same line."""
    return re.sub(r"(?<=\bn) = (?=\d)|(?<=\bD) (?=\d)|(?<=\d) (?=%)", _no_break, escape(text))


def _no_break(found: re.Match[str]) -> str:
    return found.group().replace(" ", "\u00a0")
