"""Early answering: how much of its thinking an arm needs before its answer is the one it ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from analysis.report.charts.kept_thinking import SCHEMA, kept_chart
from beliefmod.metrics.intervals import wilson


def early_rows(causal: pl.DataFrame, groups: Mapping[tuple[str, str], Sequence[str]]) -> pl.DataFrame:
    """Share of answers that are the same as after the whole thinking, per share of it that was kept.

    Args:
        causal: trial_id, test, fraction, same.
        groups: (belief, label) -> the trials of its seeds.

    Returns:
        one row per belief, label and share kept, in percent; at 100 % kept the answer is the same by
        definition, so that point is not in the table.
    """
    cut = causal.filter((pl.col("test") == "truncate") & pl.col("fraction").is_not_null())
    rows = []
    for (belief, label), trials in groups.items():
        part = cut.filter(pl.col("trial_id").is_in(list(trials))).group_by("fraction")
        counts = part.agg(pl.col("same").fill_null(False).sum(), pl.len().alias("n")).sort("fraction")
        for fraction, same, n in counts.iter_rows():
            low, high = wilson(same, n)
            rows.append(
                {
                    "belief": belief,
                    "arm": label,
                    "kept": 100 * fraction,
                    "percent": 100 * same / n,
                    "low": 100 * float(low),
                    "high": 100 * float(high),
                    "n": n,
                }
            )
    return pl.DataFrame(rows, schema=SCHEMA)


def early_chart(rows: pl.DataFrame) -> Any:
    """One panel per belief, one line per arm."""
    return kept_chart(
        rows,
        "same answer as with all of it, %",
        "How early the answer is fixed",
        ["Flat and high: the answer does not wait for the thinking. Bars: 95 % Wilson intervals."],
    )
