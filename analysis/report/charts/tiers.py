"""Adoption per tier: how far the belief reaches beyond the questions it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from analysis.report.charts import theme

COLUMNS = 2
"""Panels side by side."""
SCHEMA = {
    "belief": pl.String,
    "tier": pl.String,
    "arm": pl.String,
    "percent": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
}


def tier_rows(named: Mapping[str, Mapping[str, Mapping[str, Any]]], tiers: Mapping[str, str]) -> pl.DataFrame:
    """One row per belief, named arm and tier that was measured, in percent.

    Args:
        named: belief -> label -> row with the columns `adoption_TIER`.
        tiers: tier -> its words, in order.
    """
    rows = [
        {
            "belief": belief,
            "tier": words,
            "arm": label,
            "percent": 100 * row[f"adoption_{tier}"],
            **{
                end: None
                if row.get(f"adoption_{tier}_{end}") is None
                else 100 * row[f"adoption_{tier}_{end}"]
                for end in ("low", "high")
            },
            "n": row.get(f"adoption_{tier}_n"),
        }
        for belief, arms in named.items()
        for label, row in arms.items()
        for tier, words in tiers.items()
        if row.get(f"adoption_{tier}") is not None
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


def tier_chart(rows: pl.DataFrame, tiers: Sequence[str]) -> Any:
    """One panel per belief, a row of marks per tier, a colour per arm."""
    arms = list(rows["arm"].unique(maintain_order=True))
    shown = [tier for tier in tiers if tier in set(rows["tier"])]
    panels = []
    for at, (belief, part) in enumerate(theme.by_belief(rows)):
        names = theme.row_names(at % COLUMNS == 0, labelLimit=240)
        base = alt.Chart(part).encode(
            y=alt.Y("tier:N", title=None, scale=alt.Scale(domain=shown), axis=names, sort=shown),
            yOffset=alt.YOffset("arm:N", scale=alt.Scale(domain=arms), sort=arms),
            color=alt.Color("arm:N", title=None, scale=theme.arm_scale(arms)),
        )
        bars = base.mark_rule(strokeWidth=1.6, opacity=0.5).encode(
            x=alt.X("low:Q", title="adoption, % of the tier's questions", scale=alt.Scale(domain=[0, 100])),
            x2="high:Q",
        )
        points = base.mark_point(filled=True, size=55, opacity=1).encode(
            x="percent:Q",
            shape=alt.Shape("arm:N", title=None, scale=theme.arm_shapes(arms)),
            tooltip=[
                "belief:N",
                "arm:N",
                "tier:N",
                *theme.numbers(".1f", "percent", "low", "high"),
                "n:Q",
            ],
        )
        panels.append(theme.panel(alt.layer(bars, points), belief, 340, max(120, 62 * len(shown))))
    chart = alt.concat(*panels, columns=COLUMNS, spacing=30).resolve_scale(color="shared", shape="shared")
    return theme.titled(
        chart,
        "How far the belief reaches",
        ["Each mark is one arm on one tier; the bar is its 95 % Wilson interval."],
    )
