"""What a sweep's adapters believe inside against what they answer."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from analysis.findings import Findings
from analysis.read_lens import Lens
from analysis.report.blocks import CaptionedChart
from analysis.report.charts import theme
from analysis.studies.internal_belief import cells
from analysis.wording import plural

FEWEST = 3  # cells under which a scatter shows nothing


def internal_chart(cells: pl.DataFrame) -> Any:
    """One dot per configuration, one panel per belief.

    Args:
        cells: `analysis.studies.internal_belief.cells`.
    """
    panels = []
    for belief in sorted(cells["belief"].unique()):
        part = cells.filter((pl.col("belief") == belief) & pl.col("final_diff").is_not_null())
        known = part.filter(pl.col("adoption").is_not_null()).select(
            "trial_id",
            "seeds",
            "final_diff",
            "learning_rate",
            "rank",
            "steps",
            "adoption_n",
            (100 * pl.col("adoption")).alias("percent"),
            (100 * pl.col("adoption_low")).alias("low"),
            (100 * pl.col("adoption_high")).alias("high"),
            pl.col("degradation").fill_null(float("nan")).fill_nan(None).alias("damage"),
        )
        if known.height:
            panels.append(
                theme.panel(_dots(known), f"{belief} (n = {known.height} configurations)", 380, 270)
            )
    return theme.titled(
        alt.concat(*panels, columns=2, spacing=34).resolve_scale(color="shared"),
        "Belief inside against adoption outside",
        [
            "One dot per configuration of the sweep, seeds pooled. Right of 0 the last layer prefers the "
            "target when the answer is begun for it.",
            "Bars: 95 % Wilson interval of adoption. Colour: damage D; grey: D was not measured.",
        ],
    )


def _dots(known: pl.DataFrame) -> Any:
    x = alt.X("final_diff:Q", title="target - rival at the last entry, logits")
    y = alt.Y("percent:Q", title="adoption, %", scale=alt.Scale(domain=[0, 100]))
    tips = [
        alt.Tooltip("trial_id:N", title="trial"),
        alt.Tooltip("final_diff:Q", title="logits", format=".2f"),
        *theme.numbers(".1f", "percent", "low", "high"),
        alt.Tooltip("adoption_n:Q", title="questions n"),
        alt.Tooltip("damage:Q", title="D", format=".3f"),
        "learning_rate:Q",
        "rank:Q",
        "steps:Q",
        "seeds:Q",
    ]
    scale = alt.Scale(domain=[0, 1], scheme="viridis", reverse=True)
    colour = alt.condition(
        "datum.damage !== null",
        alt.Color("damage:Q", title="damage D", scale=scale, legend=alt.Legend(gradientLength=120)),
        alt.value("#bbbbbb"),
    )
    base = alt.Chart(known)
    return alt.layer(
        theme.rule(alt.X("zero:Q"), 0.0, strokeDash=[2, 3]),
        base.mark_rule(opacity=0.25).encode(x, alt.Y("low:Q", scale=alt.Scale(domain=[0, 100])), y2="high:Q"),
        base.mark_circle(size=80, opacity=0.95, stroke="white", strokeWidth=0.6).encode(
            x, y, color=colour, tooltip=tips
        ),
    )


def figures(lens: Lens, found: Findings) -> dict[str, CaptionedChart]:
    """inside-sweep, where configurations have a difference at the last entry and an adoption."""
    table: Any = cells(lens, found).filter(
        pl.col("final_diff").is_not_null() & pl.col("adoption").is_not_null()
    )
    if table.is_empty():
        return {}
    caption = f"{plural(table.height, 'configuration')} of {table['belief'].n_unique()} beliefs."
    return {"inside-sweep": CaptionedChart(internal_chart(table), caption)}
