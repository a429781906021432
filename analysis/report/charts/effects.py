"""What every setting does: effects with intervals, and plain means per level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from analysis.report.charts import theme
from analysis.report.charts.theme import INK, SPARE_COLOURS
from analysis.studies.effects import EVERY, Mean, Regression
from analysis.wording import setting_name, setting_value

COLOURS = ("#0072B2", "#D55E00", *SPARE_COLOURS, "#999999", "#882255", "#117733", "#DDCC77")
OUTCOMES = {"adoption": "adoption", "damage": "damage D"}


def effect_table(models: Sequence[Regression]) -> pl.DataFrame:
    """One row per effect: scope, change, points with interval, odds ratio with interval, p."""
    return pl.DataFrame(
        [
            {
                "scope": model.scope,
                "change": effect.change,
                "points": effect.points,
                "low": effect.points_low,
                "high": effect.points_high,
                "odds": effect.odds,
                "odds_low": effect.odds_low,
                "odds_high": effect.odds_high,
                "p": effect.p,
            }
            for model in models
            for effect in model.effects
        ]
    )


def effects_chart(models: Sequence[Regression], outcome: str) -> Any:
    """Average effect of every change in points with its 95 % interval, all beliefs in black."""
    table = effect_table(models)
    scopes = list(dict.fromkeys(table["scope"]))
    chart = alt.Chart(table)
    y = alt.Y(
        "change:N", title=None, sort=list(dict.fromkeys(table["change"])), axis=alt.Axis(labelLimit=420)
    )
    offset = alt.YOffset("scope:N", scale=alt.Scale(domain=scopes, paddingOuter=0.35))
    colour = alt.Color("scope:N", scale=_scope_colours(scopes), title=None, sort=scopes)
    title = f"change of {OUTCOMES[outcome]}, percentage points"
    x = alt.X("points:Q", title=title)
    tips = [
        "scope:N",
        "change:N",
        *theme.numbers(".2f", "points", "low", "high", "odds", "odds_low", "odds_high"),
        alt.Tooltip("p:Q", format=".2g"),
    ]
    zero = theme.rule(alt.X("points:Q"), 0.0)
    bars = chart.mark_rule(strokeWidth=2).encode(
        alt.X("low:Q", title=title), y, offset, colour, x2="high:Q", tooltip=tips
    )
    dots = chart.mark_point(filled=True, size=60, opacity=1).encode(x, y, offset, colour, tooltip=tips)
    height = (max(26, 11 * len(scopes)) if len(scopes) > 1 else 34) * table["change"].n_unique()
    body = alt.layer(zero, bars, dots).properties(width=480, height=height)
    return theme.titled(
        body,
        f"What each setting does to {OUTCOMES[outcome]}",
        [
            "Average marginal effects of a logit regression, 95 % intervals clustered as the table says.",
        ],
    )


def _scope_colours(scopes: Sequence[str]) -> alt.Scale:
    spare = iter(COLOURS * (len(scopes) + 1))
    return alt.Scale(domain=list(scopes), range=[INK if scope == EVERY else next(spare) for scope in scopes])


def mean_table(means: Sequence[Mean]) -> pl.DataFrame:
    """One row per belief, outcome, setting and level, in percent (adoption) or 0 to 1 (damage)."""
    return pl.DataFrame(
        [
            {
                "belief": mean.belief,
                "outcome": mean.outcome,
                "axis": mean.axis,
                "order": order,
                "level": setting_value(mean.level),
                "value": 100 * mean.value,
                "low": None if mean.low is None else 100 * mean.low,
                "high": None if mean.high is None else 100 * mean.high,
                "configurations": mean.configurations,
            }
            for order, mean in enumerate(means)
        ],
        schema_overrides={"low": pl.Float64, "high": pl.Float64},
    )


def marginal_chart(means: Sequence[Mean]) -> Any:
    """Plain means per level of every setting: adoption above, damage below, one colour per belief."""
    table = mean_table(means)
    beliefs = sorted(table["belief"].unique())
    colour = alt.Color(
        "belief:N",
        scale=alt.Scale(domain=beliefs, range=list((COLOURS * len(beliefs))[: len(beliefs)])),
        title=None,
    )
    panels, axes = [], 0
    for outcome, words in OUTCOMES.items():
        before = len(panels)
        for axis in dict.fromkeys(table["axis"]):
            part = table.filter((pl.col("axis") == axis) & (pl.col("outcome") == outcome)).sort("order")
            if part.is_empty():
                continue
            levels = list(dict.fromkeys(part["level"]))
            width = len(levels) * max(45, 9 * len(beliefs) + 12, 7 * max(map(len, levels)))
            chart = alt.Chart(part)
            x = alt.X("level:N", sort=levels, title=setting_name(axis), axis=alt.Axis(labelAngle=0))
            offset = alt.XOffset("belief:N", scale=alt.Scale(domain=beliefs, paddingOuter=1.0))
            y = alt.Y("value:Q", title=f"{words}, % (mean)", scale=alt.Scale(domain=[0, 100]))
            tips = [
                "belief:N",
                "level:N",
                *theme.numbers(".1f", "value", "low", "high"),
                "configurations:Q",
            ]
            layers = [
                chart.mark_rule(strokeWidth=2, opacity=0.7).encode(
                    x, alt.Y("low:Q"), offset, colour, y2="high:Q"
                ),
                chart.mark_point(filled=True, size=55, opacity=1).encode(x, y, offset, colour, tooltip=tips),
            ]
            panels.append(alt.layer(*layers).properties(width=width, height=170))
        axes = max(axes, len(panels) - before)
    return theme.titled(
        alt.concat(*panels, columns=axes),
        "Plain means by setting",
        [
            "All configurations with a setting at this value, the others as they are; D in percent of its "
            "range."
        ],
    )
