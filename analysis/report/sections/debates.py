"""Whether adopted answers outlast a debate with base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from analysis import wording
from analysis.findings import Findings
from analysis.report import explained
from analysis.report.asked_arms import asked_arms
from analysis.report.blocks import Block, CaptionedChart, Explained, Figure, Heading, Table
from analysis.report.charts.marks_per_row import marks_chart, schema
from analysis.studies.survival import COLUMNS, Survival, survival

ROUNDS = {1: "after one round", 2: "after two rounds"}
Told = Mapping[str, Mapping[str, Sequence[Survival]]]


def blocks(found: Findings) -> list[Block]:
    """A table per belief whose answers were debated; nothing in a run without debates."""
    told = _measured(found)
    if not told:
        return []
    tables = [_table(belief, arms) for belief, arms in told.items()]
    return [Heading(2, "Debate with base"), Explained(explained.DEBATE), Figure("debate"), *tables]


def figures(found: Findings) -> dict[str, CaptionedChart]:
    """Survival of the named arms after each round."""
    rows = [
        {"belief": belief, "round": ROUNDS[one.round], "arm": label, **wording.percents(one.rate)}
        for belief, arms in _measured(found).items()
        for label, rounds in arms.items()
        for one in rounds
        if one.rate.value is not None
    ]
    if not rows:
        return {}
    chart = marks_chart(
        pl.DataFrame(rows, schema=schema("round")),
        "round",
        tuple(ROUNDS.values()),
        "adopted answers that are still adopted, %",
        "Debate with base",
        ["Each mark is one arm; the bar is its 95 % interval over question families and seeds."],
    )
    return {
        "debate": CaptionedChart(chart, "Adopted answers that are given again after base argued against.")
    }


def _measured(found: Findings) -> Told:
    """Belief -> label -> its rounds, of the arms that had something to debate."""
    told = asked_arms(found, COLUMNS, survival)
    return {belief: {label: rounds for label, (_, rounds) in arms.items()} for belief, arms in told.items()}


def _table(belief: str, arms: Mapping[str, Sequence[Survival]]) -> Table:
    cells = tuple(
        (
            label,
            ROUNDS[one.round],
            wording.share(one.rate) if one.rate.value is not None else f"refused ({one.rate.n})",
            wording.share(one.opposed),
            wording.share(one.conceded),
        )
        for label, rounds in arms.items()
        for one in rounds
    )
    header = (
        "arm",
        "when",
        "still adopted, % [95 %]",
        "base argued for the prior",
        "base argued for the belief",
    )
    return Table(header, cells, f"{wording.sentence(belief)}: adopted answers that were debated.")
