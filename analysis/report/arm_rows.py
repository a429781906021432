"""One row per arm of a belief, under the labels and in the order in which every section quotes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import polars as pl

from analysis.findings import BeliefFindings, Findings
from analysis.frontier.constant_answers import Constant
from analysis.frontier.quoted import best_under
from analysis.report.blocks import Table
from analysis.wording import NOT_MEASURED, bounds, percent, plural, rate

Row = dict[str, Any]
FULL = "Full fine-tuning, best under the limit"


def arm_rows(belief: BeliefFindings, found: Findings) -> dict[str, Row]:
    """Label -> pooled row of every arm that the run has; with full fine-tuning where it was run."""
    rows = {label: row for label, row in belief.choice.rows().items() if row is not None}
    full = found.pooled.filter((pl.col("arm") == "full") & (pl.col("belief") == belief.choice.belief))
    if full.height:
        best = best_under(full, found.limit)
        if best is not None:
            rows[FULL] = best
        else:
            rows["Full fine-tuning, least damage"] = full.sort(
                "degradation", "trial_id", nulls_last=True
            ).row(0, named=True)
    return rows


def arm_trials(found: Findings) -> dict[str, tuple[str, str]]:
    """trial_id of the first seed -> belief and label; a trial with two labels keeps the first."""
    trials: dict[str, tuple[str, str]] = {}
    for belief in found.beliefs:
        for label, row in arm_rows(belief, found).items():
            trials.setdefault(row["trial_id"], (belief.choice.belief, label))
    return trials


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
