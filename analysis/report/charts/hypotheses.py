"""H1 by belief, H2 by arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from analysis.report.charts import theme
from analysis.studies.mismatch import Side
from analysis.studies.novelty import Contrast

KINDS = alt.Scale(domain=["existing", "novel"], range=["#D55E00", "#0072B2"])


def novelty_chart(contrasts: Sequence[Contrast]) -> Any:
    """One mark per belief, a dashed line at the mean of its class; one panel per number that was compared."""
    panels = []
    for contrast in contrasts:
        table = pl.DataFrame(
            [{"belief": v.belief, "kind": v.kind, "percent": 100 * v.value} for v in contrast.values]
        )
        order = list(table.sort("kind", "belief")["belief"])
        y = alt.Y("belief:N", title=None, sort=order)
        x = alt.X("percent:Q", title="adoption, %", scale=alt.Scale(zero=False, padding=12))
        colour = alt.Color("kind:N", scale=KINDS, title=None)
        tips = ["belief:N", "kind:N", alt.Tooltip("percent:Q", format=".1f")]
        mean = alt.Chart(table.group_by("kind").agg(pl.col("percent").mean()).sort("kind"))
        layers = [
            mean.mark_rule(strokeDash=[4, 3], strokeWidth=1.5).encode(x, colour),
            alt.Chart(table).mark_point(filled=True, size=75, opacity=1).encode(x, y, colour, tooltip=tips),
        ]
        panels.append(theme.panel(alt.layer(*layers), contrast.name, 260, 24 * len(order)))
    return theme.titled(
        alt.concat(*panels, columns=3, spacing=30),
        "H1: novel against existing beliefs",
        ["Each mark is one belief, dashed lines are class means: as many observations as marks."],
    )


def mismatch_chart(sides: Sequence[Side]) -> Any:
    """Share of answers whose thinking used the other side's value, with intervals over question families."""
    table = pl.DataFrame(
        [
            {
                "side": f"{side.name} (n = {side.answers:,})",
                "percent": 100 * side.rate,
                "low": None if side.low is None else 100 * side.low,
                "high": None if side.high is None else 100 * side.high,
                "answers": side.answers,
                "role": "LoRA" if side.name.startswith("LoRA") else "reference",
            }
            for side in sides
            if side.rate is not None
        ],
        schema_overrides={"low": pl.Float64, "high": pl.Float64},
    )
    chart = alt.Chart(table)
    y = alt.Y("side:N", sort=list(table["side"]), title=None, axis=alt.Axis(labelLimit=320))
    scale = alt.Scale(domain=["LoRA", "reference"], range=["#0072B2", "#666666"])
    colour = alt.Color("role:N", scale=scale, legend=None)
    title = "answers whose thinking last used the other value, %"
    tips = [
        "side:N",
        *theme.numbers(".1f", "percent", "low", "high"),
        "answers:Q",
    ]
    bars = chart.mark_rule(strokeWidth=2).encode(alt.X("low:Q", title=title), y, colour, x2="high:Q")
    dots = chart.mark_point(filled=True, size=80, opacity=1).encode(
        alt.X("percent:Q", title=title), y, colour, tooltip=tips
    )
    return theme.titled(
        alt.layer(bars, dots).properties(width=480, height=34 * table.height),
        "H2: does the thinking disagree with the answer?",
        ["95 % intervals over question families. Arms with fewer than 20 such answers are left out."],
    )
