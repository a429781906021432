"""The page that `beliefmod view` shows: the written report, or a list where a page would be too large."""

from __future__ import annotations

import re

from analysis.report.blocks import Block, Explorer, Figure, Heading, Paragraph, visible_in
from analysis.report.charts.frontier import frontier_chart
from analysis.report.configuration_list import ConfigurationList
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


def list_page(name: str, why: str, configurations: ConfigurationList, limit: float) -> str:
    """A page of the frontier, the configurations and their answers; the last two are asked for.

    Args:
        name: what the run is called.
        why: a sentence: why the report is not shown.
        limit: of D, for the picture's line.
    """
    note = (
        "Open a configuration: its settings, tiers and damage, then all its answers beside base's and in "
        "context's, with the words marked that the scorer used. Those that no other beats come first."
    )
    blocks: list[Block] = [
        Heading(1, f"Configurations of {name}"),
        Paragraph(why),
        *([Figure("frontier", _caption(configurations))] if configurations.drawn.height else []),
        Heading(2, "One configuration", anchor="configuration"),
        Explorer(configurations.page_data(), note, {}),
    ]
    if not configurations.drawn.height:
        return to_html(blocks, {}, {}, served=True)
    chart = frontier_chart(configurations.drawn, configurations.drawn_beside, limit)
    # drawn by the browser alone: the list needs its scripts anyway, and is there sooner
    return to_html(blocks, {"frontier": visible_in(chart.to_dict())}, {"frontier": ""}, served=True)


def _caption(configurations: ConfigurationList) -> str:
    drawn, of = configurations.drawn.height, configurations.could_be_drawn
    text = "Adoption against damage D. Click a mark for its configuration; the filters below hold here."
    if drawn < of:
        text += (
            f" Drawn are {drawn:,} of {of:,} configurations: those that no other beats, and the first of "
            "each style of data in every cell of a grid over the picture."
        )
    return text
