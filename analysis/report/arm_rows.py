"""One row per arm of a belief, under the labels and in the order in which every section quotes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import polars as pl

from analysis.findings import BeliefFindings, Findings
from analysis.frontier.constant_answers import Constant
from analysis.frontier.quoted import best_under
from analysis.report.blocks import Table
from analysis.wording import NOT_MEASURED, bounds, damage, percent, plural, rate

Row = dict[str, Any]
ALONE = "interval over questions alone"
"""What is said of an interval that takes questions as independent, beside others that do not."""
BESIDE = {
    "full": "Full fine-tuning",
    "prompt": "No training: prompt",
    "few_shot": "No training: few-shot",
    "steering": "No training: steering",
    "adapter": "No training: saved adapter",
}
"""Arms of which there may be many configurations and one is quoted, with their words."""


def arm_rows(belief: BeliefFindings, found: Findings) -> dict[str, Row]:
    """Label -> pooled row of every arm that the run has; of full fine-tuning, and of each way without
    training, the best under the limit, or else the least damaged."""
    rows = {label: row for label, row in belief.choice.rows().items() if row is not None}
    for arm, words in BESIDE.items():
        of_arm = found.pooled.filter((pl.col("arm") == arm) & (pl.col("belief") == belief.choice.belief))
        if of_arm.is_empty():
            continue
        best = best_under(of_arm, found.limit)
        if best is not None:
            rows[f"{words}, best under the limit"] = best
        else:
            rows[f"{words}, least damage"] = of_arm.sort("degradation", "trial_id", nulls_last=True).row(
                0, named=True
            )
    return rows


def arm_trials(found: Findings) -> dict[str, tuple[str, str]]:
    """trial_id of the first seed -> belief and label; a trial with two labels keeps the first."""
    trials: dict[str, tuple[str, str]] = {}
    for belief in found.beliefs:
        for label, row in arm_rows(belief, found).items():
            trials.setdefault(row["trial_id"], (belief.choice.belief, label))
    return trials


def instead_of_best(belief: BeliefFindings, limit: float) -> str:
    """What a table's caption says where no configuration is the best under the limit; empty where one is."""
    choice = belief.choice
    if choice.least is None:
        return ""
    those = "the least damaged one" if choice.most is None else "the least damaged and the most adopting one"
    count = plural(choice.lora.height, "configuration")
    return f"None of {count} stays at D ≤ {limit:g}: here is {those} in place of a best one."


def seeds_of(rows: Iterable[Row]) -> str:
    """What a table's caption says about its seeds; empty when every row is one trial."""
    most = max((row["seeds"] for row in rows), default=1)
    return f"Up to {plural(most, 'seed')}, pooled." if most > 1 else ""


def constant_text(found: Constant | None) -> str:
    """`12 % (50 N)`, the baseline of luck."""
    if found is None:
        return NOT_MEASURED
    return f"{percent(found.share, found.n)} ({found.answer})"


def over_families(belief: BeliefFindings, row: Row) -> str:
    """`17 % [3, 56], n = 6`, a row's adoption with its interval over question families and seeds; Wilson's
    where there is none over families."""
    interval = belief.by_family.get(row["trial_id"])
    if interval is None or row.get("adoption") is None:
        return rate(row, "adoption")
    n = row["adoption_n"]
    return f"{percent(row['adoption'], n)} {bounds(*interval, n)}, n = {n}"


def told_interval(belief: BeliefFindings | None, row: Row) -> tuple[str, str]:
    """A row's adoption and D with the intervals that the rest of the report quotes, over question families;
    where one is over questions alone, it says so.

    Args:
        belief: of the row; None where the run has none of its numbers.
    """
    adoption = rate(row, "adoption") if belief is None else over_families(belief, row)
    known = belief is not None and row["trial_id"] in belief.by_family
    adoption += "" if known or "[" not in adoption else f"; {ALONE}"
    # the best, the phase 2 settings and the frontier have D's interval over families
    named = None if belief is None else _named_row(belief, row["trial_id"])
    text = damage(named or row)
    return adoption, text if named or "[" not in text else f"{text}; {ALONE}"


def _named_row(belief: BeliefFindings, trial_id: str) -> Row | None:
    """The row of a configuration whose D has its interval over families; None for all others."""
    choice = belief.choice
    if trial_id not in choice.d_over_families:
        return None
    arms = (*choice.rows().values(), choice.gentler)
    found = next((row for row in arms if row is not None and row["trial_id"] == trial_id), None)
    return found or choice.lora.row(by_predicate=pl.col("trial_id") == trial_id, named=True)


def arms_table(
    title: str,
    rows: Mapping[str, Row],
    columns: Mapping[str, str],
    read: Callable[[Row, str], str],
    caption: str,
    explained: str = "",
) -> Table:
    """A row per arm, a column per metric, every cell with its interval.

    Args:
        title: header of the arms' labels.
        columns: column of the rows -> words of its header.
        read: a row and a column's name -> the cell, such as `wording.rate`.
    """
    cells = tuple((label, *(read(row, name) for name in columns)) for label, row in rows.items())
    return Table((title, *columns.values()), cells, caption, explained)
