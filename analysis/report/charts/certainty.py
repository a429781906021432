"""The frontier's band: the best adoption at each budget of damage, over redraws of the questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from analysis.frontier.certainty import Certainty
from analysis.report.charts import theme
from analysis.report.charts.theme import FAINT, INK, MUTED

WIDTH, HEIGHT = 410, 260
BLUE = "#0072B2"


def band_rows(certain: Mapping[str, Certainty]) -> pl.DataFrame:
    """One row per belief and budget, adoption in percent, null where no configuration is so gentle."""
    parts = [
        pl.DataFrame(
            {
                "belief": [belief] * len(sure.band.grid),
                "budget": sure.band.grid,
                **{name: 100 * getattr(sure.band, name) for name in ("observed", "low", "middle", "high")},
            }
        ).with_columns(pl.col("observed", "low", "middle", "high").fill_nan(None))
        for belief, sure in certain.items()
    ]
    return pl.concat(parts)


def band_chart(certain: Mapping[str, Certainty], limit: float) -> Any:
    """One panel per belief: observed staircase, median and 95 % band over redraws, the budget dotted."""
    rows = band_rows(certain)
    top = max(2 * limit, *(_end(sure) for sure in certain.values()))
    panels = []
    for belief in certain:
        part = rows.filter((pl.col("belief") == belief) & (pl.col("budget") <= top + 1e-9))
        panels.append(_panel(part, belief, min(1.0, top), limit))
    chart = alt.concat(*panels, columns=2, spacing=34)
    return theme.titled(
        chart,
        "How sure the frontier is",
        [
            "The highest adoption at degradation up to D. Black: observed. Blue: median and 95 % band over",
            f"redrawn question families, each with its own winners. Dotted: D = {limit:g}.",
        ],
    )


def _end(sure: Certainty) -> float:
    """The D after which nothing changes any more."""
    band = sure.band
    moving = [
        np.flatnonzero(line < np.nanmax(line))
        for line in (band.observed, band.high)
        if not np.isnan(line).all()
    ]
    return max(
        (float(band.grid[min(at[-1] + 3, len(band.grid) - 1)]) for at in moving if len(at)), default=0.1
    )


def _panel(rows: pl.DataFrame, belief: str, top: float, limit: float) -> Any:
    base = alt.Chart(rows)
    x = alt.X(
        "budget:Q",
        scale=alt.Scale(domain=[0, top], nice=False),
        title="degradation D up to",
        axis=alt.Axis(format=".2~f", tickCount=6),
    )
    scale = alt.Scale(domain=[-5, 105], nice=False)
    axis = alt.Axis(values=[0, 20, 40, 60, 80, 100])
    y = alt.Y("observed:Q", scale=scale, axis=axis, title="best adoption, % of held-out questions")
    tip = [
        alt.Tooltip("budget:Q", title="D up to", format=".2f"),
        *(
            alt.Tooltip(f"{name}:Q", title=title, format=".1f")
            for name, title in (
                ("observed", "observed, %"),
                ("low", "2.5 % of redraws, %"),
                ("middle", "median of redraws, %"),
                ("high", "97.5 % of redraws, %"),
            )
        ),
    ]
    layers = [
        theme.rule(alt.X("limit:Q"), limit, strokeDash=[3, 3], color=FAINT),
        base.mark_area(interpolate="step-after", color=BLUE, opacity=0.2).encode(
            x, alt.Y("low:Q", scale=scale), y2="high:Q"
        ),
        base.mark_line(interpolate="step-after", color=BLUE, strokeWidth=1.2, strokeDash=[5, 3]).encode(
            x, alt.Y("middle:Q", scale=scale)
        ),
        base.mark_line(interpolate="step-after", color=INK, strokeWidth=1.8).encode(x, y),
        base.mark_point(size=60, opacity=0, color=MUTED).encode(x, y, tooltip=tip),
    ]
    return theme.panel(alt.layer(*layers), belief, WIDTH, HEIGHT)
