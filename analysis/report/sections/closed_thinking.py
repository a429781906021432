"""Adoption with the thinking closed at once or cut short, beside adoption with all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from analysis import wording
from analysis.findings import Findings
from analysis.report import explained
from analysis.report.arm_rows import Row, seeds_of
from analysis.report.asked_arms import asked_arms, without_thinking
from analysis.report.blocks import Block, CaptionedChart, Explained, Figure, Heading, Table
from analysis.report.charts.marks_per_row import marks_chart, schema
from analysis.studies.asked_again import COLUMNS, AskedAgain, asked_again
from beliefmod.metrics.intervals import Estimate

SETTING = "closed_thinking_probes"
ZERO, LESS = "zero_think", "less_think"
FULL = "all of the thinking"
SHOWN = (FULL, "first part (LessThink)", "none (ZeroThink)")

Tests = Mapping[str, AskedAgain | None]
Arms = dict[str, tuple[Row, Tests]]


def blocks(found: Findings) -> list[Block]:
    """A table per belief; of a model without thinking whose space asks for it, why there is none."""
    heading = Heading(2, "With the thinking closed")
    told = _measured(found)
    if not told:
        return without_thinking(found, SETTING, heading, "ZeroThink and LessThink adoption are not measured")
    tables = [_table(belief, arms) for belief, arms in told.items()]
    return [heading, Explained(explained.CLOSED_THINKING), Figure("closed-thinking"), *tables]


def figures(found: Findings) -> dict[str, CaptionedChart]:
    """Adoption of the named arms after all, the first part and none of the thinking."""
    rows = [
        {"belief": belief, "thinking": words, "arm": label, **wording.percents(estimate)}
        for belief, arms in _measured(found).items()
        for label, (_, tests) in arms.items()
        for words, estimate in zip(SHOWN, _adoption(tests), strict=True)
        if estimate is not None
    ]
    if not rows:
        return {}
    chart = marks_chart(
        pl.DataFrame(rows, schema=schema("thinking")),
        "thinking",
        SHOWN,
        "adoption, % of the same questions",
        "Adoption with the thinking closed",
        ["Each mark is one arm; the bar is its 95 % Wilson interval."],
    )
    caption = "The thinking is closed at once or after its first part, and the answer is written anew."
    return {"closed-thinking": CaptionedChart(chart, caption)}


def _measured(found: Findings) -> dict[str, Arms]:
    """Belief -> label -> row and what its tests gave, of the arms that were asked."""

    def tests(causal: pl.DataFrame, trials: Sequence[str]) -> Tests | None:
        given = {test: asked_again(causal, trials, test) for test in (ZERO, LESS)}
        return given if any(given.values()) else None

    return asked_arms(found, COLUMNS, tests)


def _adoption(tests: Tests) -> tuple[Estimate | None, Estimate | None, Estimate | None]:
    """After all of the thinking, its first part, and none."""
    zero, less = tests[ZERO], tests[LESS]
    return zero and zero.before, less and less.after, zero and zero.after


def _table(belief: str, arms: Arms) -> Table:
    cells = []
    for label, (_, tests) in arms.items():
        adoption = [wording.share(estimate) for estimate in _adoption(tests)]
        less, zero = (wording.points(test and test.change) for test in (tests[LESS], tests[ZERO]))
        cells.append((label, adoption[0], adoption[1], less, adoption[2], zero))
    caption = f"{wording.sentence(belief)}: adoption. {seeds_of(row for row, _ in arms.values())}"
    return Table(
        (
            "arm, % [95 %]",
            FULL,
            "LessThink",
            "LessThink less all, points",
            "ZeroThink",
            "ZeroThink less all, points",
        ),
        tuple(cells),
        caption.strip(),
    )
