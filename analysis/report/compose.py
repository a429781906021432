"""The whole report, section by section, before it is rendered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from types import ModuleType

from analysis.findings import Findings
from analysis.report.blocks import Block, CaptionedChart, Figure, Folded, Heading, Table
from analysis.report.compact_tables import compact

# modules of analysis/report/sections in the order of the page; its __init__ says what a section is
SECTIONS = (
    "summary",
    "frontier",
    "no_training",
    "configuration",
    "tiers",
    "damage",
    "reasoning",
    "closed_thinking",
    "resampled",
    "debates",
    "confessions",
    "failures",
    "inside",
    "effects",
    "with_and_without",
    "hypotheses",
    "frontier_certainty",
    "confirmed",
    "judged",
    "training",
    "reward_hacking",
    "speed",
    "done_by_hand",
    "unfinished",
    "phase2",
    "methods",
    "reproducibility",
)


@dataclass(frozen=True)
class Report:
    """The page before it is rendered: blocks in order, and the charts that they name."""

    blocks: list[Block]
    drawn: dict[str, CaptionedChart]


def compose(found: Findings, draw: bool = True) -> Report:
    """The whole report; without `draw` its text alone."""
    drawn: dict[str, CaptionedChart] = {}
    blocks: list[Block] = []
    placed: set[str] = set()
    for name, section in zip(SECTIONS, sections(), strict=True):
        own: dict[str, CaptionedChart] = (
            section.figures(found) if draw and hasattr(section, "figures") else {}
        )
        if twice := sorted(set(own) & set(drawn)):
            raise ValueError(f"two sections draw {', '.join(twice)}")
        drawn |= own
        part: list[Block] = _anchored(section.blocks(found), name.replace("_", "-"))
        placed |= {block.name for block in part if isinstance(block, Figure)}
        blocks += [*part, *(Figure(name) for name in own if name not in placed)]
    told = [block for block in map(partial(_captioned, drawn=drawn), blocks) if block]
    return Report(_without_empty_headings([_compacted(block) for block in told]), drawn)


def _compacted(block: Block) -> Block:
    if isinstance(block, Folded):
        return replace(block, table=compact(block.table))
    return compact(block) if isinstance(block, Table) else block


def _anchored(blocks: list[Block], anchor: str) -> list[Block]:
    """The section under the name of its module, which stays when its heading is worded anew."""
    at = next((i for i, b in enumerate(blocks) if isinstance(b, Heading) and b.level == 2), None)
    if at is None:
        return blocks
    first = blocks[at]
    assert isinstance(first, Heading)
    return [*blocks[:at], replace(first, anchor=anchor), *blocks[at + 1 :]]


def _without_empty_headings(blocks: list[Block]) -> list[Block]:
    """The blocks without a heading that nothing stands under, such as one of a figure that was not drawn."""
    kept: list[Block] = []
    for block in reversed(blocks):
        below = kept[-1] if kept else None
        empty = below is None or (
            isinstance(below, Heading) and isinstance(block, Heading) and below.level <= block.level
        )
        if not (isinstance(block, Heading) and empty):
            kept.append(block)
    return kept[::-1]


def _captioned(block: Block, drawn: Mapping[str, CaptionedChart]) -> Block | None:
    """A figure with its caption; None for one that this run has no data for."""
    if not isinstance(block, Figure):
        return block
    if block.name not in drawn:
        return None
    return replace(block, caption=block.caption or drawn[block.name].caption)


def sections() -> list[ModuleType]:
    """The section modules, in the order of the page."""
    return [import_module(f"analysis.report.sections.{name}") for name in SECTIONS]
