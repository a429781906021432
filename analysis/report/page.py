"""One HTML file that needs nothing else: text, static figures, and one copy of the chart library."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape
from importlib.resources import files
from typing import Any

from analysis.report.blocks import Block, Explorer, Heading, visible, visible_in
from analysis.report.html_blocks import body_of

SCRIPTS = ("page.js", "answers.js", "explorer.js")


def to_html(
    blocks: Sequence[Block],
    specs: Mapping[str, Mapping[str, Any]],
    svgs: Mapping[str, str],
    served: bool = False,
) -> str:
    """The page.

    Args:
        blocks: the report's text; a `Figure` stands where its chart goes.
        specs: Vega-Lite specification per figure name.
        svgs: the same figure drawn, shown until (or instead of) the interactive one.
        served: `beliefmod view` shows it, so that its scripts may ask for more; a file's may not.

    Everything that comes from a run is escaped, its control and direction characters are written out, and
    the page's policy allows only the scripts written here: text that slips through could still neither
    run nor load anything.
    """
    title = next((block.text for block in blocks if isinstance(block, Heading)), "beliefmod report")
    scripts = page_scripts(charts=bool(specs) or not served)
    data = "".join(
        f'<script type="application/json" data-chart="{escape(name)}">{embedded_json(spec)}</script>\n'
        for name, spec in specs.items()
    )
    data += "".join(
        f'<script type="application/json" id="explorer-data">{embedded_json(block.data)}</script>\n'
        for block in blocks
        if isinstance(block, Explorer)
    )
    data += "".join(
        f'<script type="text/plain" data-answers="{escape(trial_id)}">{text}</script>\n'
        for block in blocks
        if isinstance(block, Explorer)
        for trial_id, text in block.answers.items()
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"{policy_head(scripts, served)}"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(visible(title))}</title>\n<style>{own_file('page.css')}</style>\n</head>\n<body>\n"
        f"{body_of(blocks, svgs)}\n{data}"
        + "".join(f"<script>{script}</script>\n" for script in scripts)
        + "</body>\n</html>\n"
    )


def page_scripts(charts: bool = True) -> list[str]:
    """The scripts of a page; those that draw charts only where it has any."""
    return [*map(own_file, SCRIPTS), *([_library()] if charts else [])]


def policy_of(scripts: Sequence[str], served: bool) -> str:
    """The page's content security policy: these scripts, and requests to its own server where it has one."""
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'; "
        "script-src " + " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    ) + ("; connect-src 'self'" if served else "")


def policy_head(scripts: Sequence[str], served: bool) -> str:
    """What the page's head says of it: the policy and, for the scripts, whether it is served."""
    policy = escape(policy_of(scripts, served))
    mark = '<meta name="served" content="yes">\n' if served else ""
    return f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n{mark}'


@lru_cache(maxsize=1)
def _library() -> str:
    """Vega, Vega-Lite and vega-embed as one script, which takes seconds to put together."""
    import vl_convert

    return vl_convert.javascript_bundle(
        "window.vegaEmbed = vegaEmbed; window.dispatchEvent(new Event('vega'));"
    )


def own_file(name: str) -> str:
    """A file of this package that the page holds."""
    return files("analysis.report").joinpath(name).read_text(encoding="utf-8")


def embedded_json(value: Any) -> str:
    """JSON that can stand inside a script element: no `<`, so it cannot close it; hidden characters shown."""
    text = json.dumps(visible_in(value), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
