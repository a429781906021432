"""What broke: the components of D, and what each kind of training data does to the think block."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from analysis import wording
from analysis.published import has_phase2_settings
from analysis.report.charts import theme
from analysis.report.charts.theme import INK, MUTED
from analysis.studies.matched import matched_styles
from beliefmod.metrics.registry import COMPONENTS

COLUMNS = 2
"""Panels side by side."""


def component_table(lora: pl.DataFrame) -> pl.DataFrame:
    """One row per configuration and component that has a part in its D: belief, style, component, damage,
    whether it set D."""
    parts = [
        lora.filter(~pl.col("degradation_no_room").fill_null("").str.split(",").list.contains(name)).select(
            "belief",
            pl.col("data.style").alias("style"),
            "trial_id",
            pl.lit(metric.damage_words).alias("component"),
            pl.col(f"{name}_damage").alias("damage"),
            pl.col(f"{metric.name}_n").alias("n"),
            (pl.col("degradation_by") == name).fill_null(False).alias("sets"),
            pl.struct(*wording.MAIN_SETTINGS)
            .map_elements(
                lambda row: wording.setting_text(row, wording.MAIN_SETTINGS), return_dtype=pl.String
            )
            .alias("configuration"),
        )
        for name, metric in COMPONENTS.items()
    ]
    return pl.concat(parts).filter(pl.col("damage").is_not_null())


def _called() -> pl.Expr:
    """A configuration's main settings in words."""
    names = wording.MAIN_SETTINGS
    return pl.struct(*names).map_elements(
        lambda row: wording.setting_text(row, names), return_dtype=pl.String
    )


def component_chart(lora: pl.DataFrame) -> Any:
    """Damage of every component, one mark per configuration, ringed where it is the one that sets D."""
    table = component_table(lora)
    styles = sorted(table["style"].unique())
    shown = table["component"].unique(maintain_order=True).to_list()
    # the same axis in every panel, or the panels could not be compared by eye
    reach = alt.Scale(
        domain=[min(0.0, *table["damage"]) - 0.02, max(0.2, *table["damage"]) + 0.02], nice=False
    )
    x = alt.X(
        "damage:Q",
        scale=reach,
        title="damage against base (0 = like base, 1 = worst; negative = better)",
        axis=alt.Axis(format=".2~f", tickCount=6),
    )
    offset = alt.YOffset("style:N", scale=alt.Scale(domain=styles))
    tips = [
        "belief:N",
        "configuration:N",
        "component:N",
        alt.Tooltip("damage:Q", format=".3f"),
        "n:Q",
        "trial_id:N",
    ]
    zero = theme.rule(alt.X("damage:Q"), 0.0)
    panels = []
    for at, (belief, part) in enumerate(theme.by_belief(table)):
        names = theme.row_names(at % COLUMNS == 0, labelLimit=240)
        y = alt.Y("component:N", sort=shown, title=None, axis=names, scale=alt.Scale(domain=shown))
        points = (
            alt.Chart(part)
            .mark_point(filled=True, size=60)
            .encode(
                x,
                y,
                offset,
                color=alt.Color("style:N", scale=theme.style_scale(styles), title="training data"),
                opacity=alt.condition("datum.sets", alt.value(0.85), alt.value(0.16)),
                tooltip=tips,
            )
        )
        panels.append(theme.panel(alt.layer(zero, points), belief, 400, 52 * len(shown)))
    return theme.titled(
        alt.concat(*panels, columns=COLUMNS, spacing=30),
        "What breaks first",
        [
            "Each mark is one configuration. Strong: this component is the worst of all and so sets D. "
            "Pale: it is not.",
        ],
    )


def integrity_chart(lora: pl.DataFrame, base: pl.DataFrame) -> Any:
    """Thinking integrity of the same settings trained on different styles, one line per matched pair."""
    rows = matched_styles(lora).with_columns(
        (100 * pl.col("integrity")).alias("percent"),
        pl.col("data.style").alias("style"),
        pl.when(has_phase2_settings()).then(pl.lit("Phase 2 settings")).otherwise(pl.lit("")).alias("label"),
        _called().alias("configuration"),
    )
    data = rows.select(
        "belief", "style", "pair", "percent", "label", "configuration", "integrity_n", "trial_id"
    )
    styles = sorted(data["style"].unique())
    panels = []
    for belief, part in theme.by_belief(data):
        chart = alt.Chart(part)
        x = alt.X("style:N", title=None, axis=alt.Axis(labelAngle=0), scale=alt.Scale(padding=0.4))
        y = alt.Y(
            "percent:Q", title="intact think blocks, % of all answers", scale=alt.Scale(domain=[0, 100])
        )
        tips = [
            "configuration:N",
            "style:N",
            alt.Tooltip("percent:Q", format=".1f"),
            "integrity_n:Q",
            "trial_id:N",
        ]
        layers: list[Any] = [
            chart.mark_line(color=MUTED, opacity=0.3, strokeWidth=1.2).encode(x, y, detail="pair:N"),
            chart.mark_point(filled=True, size=55, opacity=0.8).encode(
                x, y, color=alt.Color("style:N", scale=theme.style_scale(styles), legend=None), tooltip=tips
            ),
            chart.transform_filter("datum.label != ''")
            .mark_point(shape="square", size=230, color=INK, filled=False, strokeWidth=1.6)
            .encode(x, y),
            *theme.label(
                chart.transform_filter("datum.label != ''"), "label:N", x, y, dx=14, dy=0, bold=True
            ),
        ]
        own = base.filter((pl.col("belief") == belief) & pl.col("integrity").is_not_null())
        if own.height:
            line = pl.DataFrame({"percent": [100 * own["integrity"][0]], "text": ["base"]})
            mark = alt.Chart(line)
            layers.append(mark.mark_rule(color=INK, strokeDash=[4, 3]).encode(y="percent:Q"))
            layers.append(
                mark.mark_text(align="left", dx=4, dy=10, color=INK).encode(
                    x=alt.value(0), y="percent:Q", text="text:N"
                )
            )
        panels.append(theme.panel(alt.layer(*layers), belief, 360, 300))
    chart = alt.concat(*panels, columns=2, spacing=40)
    return theme.titled(
        chart,
        "What the training data does to the thinking",
        [
            "Each line joins two trials that differ only in the style of their training data.",
        ],
    )
