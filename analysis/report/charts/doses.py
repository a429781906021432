"""Adoption and damage against the dose of the fact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from analysis.report.charts import theme
from analysis.report.charts.theme import MUTED
from analysis.studies.doses import Curve, Doses

WORDS = {"adoption": "adoption, %", "degradation": "damage D, %"}


def dose_chart(doses: Doses, curves: Sequence[Curve]) -> Any:
    """A panel per belief and outcome: configurations, fitted curve with its band, dose of one half."""
    styles = sorted(doses.table["style"].unique())
    colour = alt.Color("style:N", scale=theme.style_scale(styles), title="training data")
    reach = [float(doses.table["dose"].min()), float(doses.table["dose"].max())]  # pyright: ignore[reportArgumentType]
    x = alt.X(
        "dose:Q",
        scale=alt.Scale(type="log", domain=reach, nice=False, padding=8),
        title="dose: tokens × learning rate",
        axis=alt.Axis(format="~g", tickCount=5),
    )
    panels = []
    for belief in sorted(doses.table["belief"].unique()):
        for outcome, words in WORDS.items():
            part = doses.table.filter((pl.col("belief") == belief) & pl.col(outcome).is_not_null())
            dots = part.select("style", "dose", "trial_id", (100 * pl.col(outcome)).alias("percent"))
            y = alt.Y("percent:Q", title=words, scale=alt.Scale(domain=[0, 100]))
            here = [c for c in curves if (c.belief, c.outcome) == (belief, outcome)]
            layers: list[Any] = []
            if (lines := _lines(here)).height:
                band = alt.Chart(lines).mark_area(opacity=0.15)
                layers.append(band.encode(x, alt.Y("low:Q", title=words), colour, y2="high:Q"))
                layers.append(alt.Chart(lines).mark_line(strokeWidth=2).encode(x, y, colour))
            tips = [
                "style:N",
                alt.Tooltip("dose:Q", format=".3g"),
                alt.Tooltip("percent:Q", format=".1f"),
                "trial_id:N",
            ]
            mark = alt.Chart(dots).mark_point(filled=True, size=38, opacity=0.6)
            layers.append(mark.encode(x, y, colour, tooltip=tips))
            half_doses = pl.DataFrame(
                [{"dose": c.half, "style": c.style} for c in here if c.half is not None],
                schema={"dose": pl.Float64, "style": pl.String},
            )
            if half_doses.height:
                rule = alt.Chart(half_doses).mark_rule(strokeDash=[4, 3], color=MUTED)
                layers.append(rule.encode(x, color=colour))
            panels.append(theme.panel(alt.layer(*layers), belief, 330, 190))
    return theme.titled(
        alt.concat(*panels, columns=2),
        "Dose and response",
        [
            f"{doses.note} Curves: logit on log dose, 95 % bands over configurations; dashed: the dose of "
            "one half."
        ],
    )


def _lines(curves: Sequence[Curve]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"style": c.style, "dose": dose, "percent": 100 * fit, "low": 100 * low, "high": 100 * high}
            for c in curves
            for dose, fit, low, high in zip(c.doses, c.fit, c.low, c.high, strict=True)
        ]
    )
