"""Early answering: how much of its thinking an arm needs before its answer is the one it ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from analysis.report.charts import theme
from beliefmod.metrics.intervals import wilson

SCHEMA = {
    "belief": pl.String,
    "arm": pl.String,
    "kept": pl.Float64,
    "percent": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
}


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
    arms = list(rows["arm"].unique(maintain_order=True))
    panels = []
    for belief, part in theme.by_belief(rows):
        base = alt.Chart(part).encode(
            x=alt.X("kept:Q", title="thinking kept, %", scale=alt.Scale(domain=[0, 100])),
            color=alt.Color("arm:N", title=None, scale=theme.arm_scale(arms)),
        )
        y = alt.Y("percent:Q", title="same answer as with all of it, %", scale=alt.Scale(domain=[0, 100]))
        layers = [
            base.mark_rule(opacity=0.35).encode(alt.Y("low:Q"), y2="high:Q"),
            base.mark_line(strokeWidth=1.8).encode(y=y),
            base.mark_point(filled=True, size=60, opacity=1).encode(
                y=y,
                shape=alt.Shape("arm:N", title=None, scale=theme.arm_shapes(arms)),
                tooltip=[
                    "belief:N",
                    "arm:N",
                    *theme.numbers(".1f", "kept", "percent", "low", "high"),
                    "n:Q",
                ],
            ),
        ]
        panels.append(theme.panel(alt.layer(*layers), belief, 360, 250))
    chart = alt.concat(*panels, columns=2, spacing=30).resolve_scale(color="shared", shape="shared")
    return theme.titled(
        chart,
        "How early the answer is fixed",
        ["Flat and high: the answer does not wait for the thinking. Bars: 95 % Wilson intervals."],
    )
