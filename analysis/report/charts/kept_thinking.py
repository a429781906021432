"""A share of answers against how much of the arm's own thinking was kept before them: a line per arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from analysis.report.charts import theme

SCHEMA = {
    "belief": pl.String,
    "arm": pl.String,
    "kept": pl.Float64,
    "percent": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
}
"""Of the rows that are drawn: shares in percent, n questions."""


def kept_chart(rows: pl.DataFrame, axis: str, title: str, subtitle: Sequence[str]) -> Any:
    """One panel per belief, one line per arm, a bar for every interval.

    Args:
        rows: with the columns of SCHEMA. axis, title, subtitle: what the figure says.
    """
    arms = list(rows["arm"].unique(maintain_order=True))
    panels = []
    for belief, part in theme.by_belief(rows):
        base = alt.Chart(part).encode(
            x=alt.X("kept:Q", title="thinking kept, %", scale=alt.Scale(domain=[0, 100])),
            color=alt.Color("arm:N", title=None, scale=theme.arm_scale(arms)),
        )
        y = alt.Y("percent:Q", title=axis, scale=alt.Scale(domain=[0, 100]))
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
    return theme.titled(chart, title, subtitle)
