"""A figure of shares: a panel per belief, a row per thing that is measured, a mark per arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from analysis.report.charts import theme

COLUMNS = 2
"""Panels side by side."""


def schema(of: str) -> dict[str, Any]:
    """The columns of the rows that are drawn, in percent; `of` names what a row of the figure is."""
    shares = dict.fromkeys(("percent", "low", "high"), pl.Float64)
    return {"belief": pl.String, of: pl.String, "arm": pl.String, **shares, "n": pl.Int64}


def marks_chart(
    rows: pl.DataFrame, of: str, order: Sequence[str], axis: str, title: str, subtitle: Sequence[str]
) -> Any:
    """One panel per belief, a row of marks per value of the column `of`, a colour per arm.

    Args:
        rows: with the columns of `schema`. order: values of `of`, those that do not occur included.
        axis, title, subtitle: what the figure says.
    """
    arms = list(rows["arm"].unique(maintain_order=True))
    shown = [name for name in order if name in set(rows[of])]
    panels = []
    for at, (belief, part) in enumerate(theme.by_belief(rows)):
        names = theme.row_names(at % COLUMNS == 0, labelLimit=240)
        base = alt.Chart(part).encode(
            y=alt.Y(f"{of}:N", title=None, scale=alt.Scale(domain=shown), axis=names, sort=shown),
            yOffset=alt.YOffset("arm:N", scale=alt.Scale(domain=arms), sort=arms),
            color=alt.Color("arm:N", title=None, scale=theme.arm_scale(arms)),
        )
        bars = base.mark_rule(strokeWidth=1.6, opacity=0.5).encode(
            x=alt.X("low:Q", title=axis, scale=alt.Scale(domain=[0, 100])),
            x2="high:Q",
        )
        points = base.mark_point(filled=True, size=55, opacity=1).encode(
            x="percent:Q",
            shape=alt.Shape("arm:N", title=None, scale=theme.arm_shapes(arms)),
            tooltip=[
                "belief:N",
                "arm:N",
                f"{of}:N",
                *theme.numbers(".1f", "percent", "low", "high"),
                "n:Q",
            ],
        )
        panels.append(theme.panel(alt.layer(bars, points), belief, 340, max(120, 62 * len(shown))))
    chart = alt.concat(*panels, columns=COLUMNS, spacing=30).resolve_scale(color="shared", shape="shared")
    return theme.titled(chart, title, subtitle)
