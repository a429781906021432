"""The page that `beliefmod view` shows: the written report, or a list where a page would be too large."""

from __future__ import annotations

import re
from typing import Any

from analysis.report.blocks import Block, Explorer, Heading, Paragraph
from analysis.report.explorer import LEFT_OUT
from analysis.report.page import page_scripts, policy_head, to_html

_ANSWERS = re.compile(r'<script type="text/plain" data-answers="[^"]*">[^<]*</script>\n')
_LEFT_OUT = re.compile(re.escape(LEFT_OUT).replace(r"\{kept\}", r"[\d,]+").replace(r"\{trials\}", r"[\d,]+"))


def served_copy(page: str) -> str | None:
    """A written report.html whose answers are asked for, not held; None where this version did not write it.

    Its policy allows the scripts of this version and requests to the page's own server, nothing else.
    """
    scripts = page_scripts()
    written = policy_head(scripts, served=False)
    if page.count(written) != 1:
        return None
    page = page.replace(written, policy_head(scripts, served=True))
    return _LEFT_OUT.sub("", _ANSWERS.sub("", page))


def list_page(name: str, why: str, data: dict[str, Any]) -> str:
    """A page of configurations and answers alone, all of which are asked for.

    Args:
        name: what the run is called.
        why: a sentence: why the report is not shown.
        data: `ConfigurationList.page_data`.
    """
    note = (
        "Open a configuration: its settings, tiers and damage, then all its answers beside base's and in "
        "context's, with the words marked that the scorer used. Those that no other beats come first."
    )
    blocks: list[Block] = [
        Heading(1, f"Configurations of {name}"),
        Paragraph(why),
        Heading(2, "One configuration", anchor="configuration"),
        Explorer(data, note, {}),
    ]
    return to_html(blocks, {}, {}, served=True)
