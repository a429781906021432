"""The picture of a run: adoption against degradation, whom nobody beats, and where the references stand."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from analysis.charts import theme
from analysis.charts.theme import FAINT, INK, MUTED, field
from analysis.published import RESULTS, Published, has_phase2_settings

WIDTH, HEIGHT = 410, 330
ARMS = {"base": "base", "icl": "in context", "control": "control"}
ARM_SHAPES = {"base": "cross", "icl": "diamond", "control": "triangle-down"}


def frontier_chart(configurations: pl.DataFrame, references: pl.DataFrame, limit: float) -> Any:
    """One panel per belief.

    Args:
        configurations: `frontier(pool_seeds(...))`; rows without adoption or degradation are left out.
        references: the rows of arms base, icl and control out of `pool_seeds`.
        limit: the degradation at which "best under the limit" is read, drawn as a thin line.
    """
    ready = _ready(configurations)
    arms = _ready(references).with_columns(
        pl.col("arm").replace_strict(ARMS, default=pl.col("arm")).alias("label")
    )
    beliefs = sorted({*ready["belief"].unique(), *arms["belief"].unique()})
    ends = pl.max_horizontal("degradation", "degradation_high").alias("end")
    top = min(1.0, max([2 * limit, *ready.select(ends)["end"], *arms.select(ends)["end"]]))
    x = alt.Scale(domain=[-0.02 * top, top], nice=False)
    panels = [
        _panel(ready.filter(pl.col("belief") == name), arms.filter(pl.col("belief") == name), name, x, limit)
        for name in beliefs
    ]
    chart = alt.concat(*panels, columns=2, spacing=34).resolve_scale(color="shared", shape="shared")
    return theme.dressed(
        chart,
        "How far the belief moved, against what it cost the model",
        [
            "Each coloured mark is one LoRA configuration; the best place is top left. Ringed and joined: "
            "no other configuration adopts more at less or equal damage.",
            "Pale bars: 95 % intervals that take questions as independent (they share families, so the "
            f"truth is wider). Dotted: D = {limit:g}.",
        ],
    )


def _ready(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("adoption").is_not_null() & pl.col("degradation").is_not_null()).with_columns(
        (100 * pl.col(f"adoption{end}")).alias(f"percent{end}") for end in ("", "_low", "_high")
    )


def _panel(rows: pl.DataFrame, arms: pl.DataFrame, belief: str, x_scale: alt.Scale, limit: float) -> Any:
    asked = sorted(rows["adoption_n"].drop_nulls().unique()) or sorted(
        arms["adoption_n"].drop_nulls().unique()
    )
    n = f"n = {asked[0]}" if len(asked) == 1 else f"n = {asked[0]} to {asked[-1]}" if asked else "n unknown"
    x = alt.X(
        "degradation:Q",
        scale=x_scale,
        title="degradation D: worst component, against base (0 = intact, 1 = broken)",
        axis=alt.Axis(format=".2~f", tickCount=6),
    )
    y = alt.Y(
        "percent:Q",
        scale=alt.Scale(domain=[-4, 104], nice=False),
        title=f"adoption, % of held-out questions ({n} each)",
        axis=alt.Axis(values=[0, 20, 40, 60, 80, 100]),
    )
    layers: list[Any] = [_limit(limit)]
    if belief in RESULTS:
        layers += _published(RESULTS[belief])
    if rows.height:
        layers += _configurations(rows, x, y)
    if arms.height:
        layers += _references(arms, x, y)
    layers += _phase2(rows, x, y)
    return theme.panel(alt.layer(*layers), belief, WIDTH, HEIGHT)


def tooltips(rows: pl.DataFrame) -> list[alt.Tooltip]:
    """Configuration, numbers, n and intervals of a mark."""
    settings = [
        name
        for name in (
            "data.style",
            "data.num_examples",
            "num_train_epochs",
            "learning_rate",
            "lora.r",
            "lora.lora_alpha",
            "warmup_steps",
            "lr_scheduler_type",
            "per_device_train_batch_size",
        )
        if name in rows.columns
    ]
    return [
        alt.Tooltip("belief:N"),
        alt.Tooltip("arm:N"),
        *(alt.Tooltip(f"{field(name)}:N", title=theme.short(name)) for name in settings),
        alt.Tooltip("percent:Q", title="adoption, %", format=".1f"),
        alt.Tooltip("percent_low:Q", title="95 % from", format=".1f"),
        alt.Tooltip("percent_high:Q", title="95 % to", format=".1f"),
        alt.Tooltip("adoption_n:Q", title="questions n"),
        alt.Tooltip("degradation:Q", title="degradation D", format=".3f"),
        alt.Tooltip("degradation_low:Q", title="95 % from", format=".3f"),
        alt.Tooltip("degradation_high:Q", title="95 % to", format=".3f"),
        alt.Tooltip("degradation_by:N", title="D set by"),
        alt.Tooltip("seeds:Q"),
        alt.Tooltip("trial_id:N", title="trial"),
    ]


def _columns(rows: pl.DataFrame) -> list[str]:
    return [name for name in rows.columns if not isinstance(rows.schema[name], pl.List)]


def _configurations(rows: pl.DataFrame, x: alt.X, y: alt.Y) -> list[Any]:
    data = theme.plain(rows, _columns(rows))
    base = alt.Chart(data)
    styles = sorted(rows["data.style"].drop_nulls().unique())
    colour = alt.Color(
        "data_style:N",
        scale=theme.style_scale(styles),
        title="training data",
        legend=alt.Legend(symbolOpacity=1),
    )
    bars = base.mark_rule(opacity=0.16, strokeWidth=1.4)
    line = (
        base.transform_filter("datum.non_dominated")
        .mark_line(interpolate="step-after", color=INK, strokeWidth=1.6, opacity=0.75)
        .encode(x, y, order=alt.Order("degradation:Q"))
    )
    rings = (
        base.transform_filter("datum.non_dominated")
        .mark_point(shape="circle", size=210, strokeWidth=1.8, color=INK, filled=False, opacity=1)
        .encode(x, y, tooltip=tooltips(rows))
    )
    points = base.mark_point(filled=True, size=62, opacity=0.85, stroke="white", strokeWidth=0.5)
    points = points.encode(x, y, color=colour, tooltip=tooltips(rows))
    if name := shape_setting(rows):
        values = sorted(rows[name].unique())
        points = points.encode(
            shape=alt.Shape(
                f"{field(name)}:N",
                title=theme.short(name),
                scale=alt.Scale(domain=values, range=list(theme.SHAPES)),
            )
        )
    return [
        bars.encode(alt.X("degradation_low:Q"), y, x2="degradation_high:Q", color=colour),
        bars.encode(x, alt.Y("percent_low:Q"), y2="percent_high:Q", color=colour),
        line,
        points,
        rings,
    ]


def shape_setting(rows: pl.DataFrame) -> str | None:
    """The first setting with two to six values, the likeliest driver first; None when none varies."""
    for name in ("learning_rate", "num_train_epochs", "data.num_examples", "lora.r"):
        if 2 <= rows[name].drop_nulls().n_unique() <= len(theme.SHAPES):
            return name
    return None


def _references(arms: pl.DataFrame, x: alt.X, y: alt.Y) -> list[Any]:
    layers = []
    for name in ("base", "icl", "control"):
        part = arms.filter(pl.col("arm") == name)
        if part.is_empty():
            continue
        base = alt.Chart(theme.plain(part, _columns(part)))
        layers.append(
            base.mark_rule(opacity=0.35, color=INK).encode(x, alt.Y("percent_low:Q"), y2="percent_high:Q")
        )
        layers.append(
            base.mark_point(
                filled=True,
                shape=ARM_SHAPES[name],
                size=130,
                color=INK,
                opacity=1,
                stroke="white",
                strokeWidth=1,
            ).encode(x, y, tooltip=tooltips(part))
        )
        # many controls: naming each would cover the panel
        named = alt.Chart(theme.plain(part.sort("degradation").head(1), _columns(part)))
        layers += theme.label(named, "label:N", x, y, dy={"base": -11, "icl": -12, "control": -14}[name])
    return layers


def _phase2(rows: pl.DataFrame, x: alt.X, y: alt.Y) -> list[Any]:
    part = rows.filter(has_phase2_settings())
    if part.is_empty():
        return []
    part = part.with_columns(pl.lit("Phase 2 settings in this run").alias("label"))
    base = alt.Chart(theme.plain(part, _columns(part)))
    ring = base.mark_point(shape="square", size=300, color=INK, strokeWidth=1.6, filled=False, opacity=1)
    return [ring.encode(x, y, tooltip=tooltips(part)), *theme.label(base, "label:N", x, y, dy=-16, bold=True)]


def _limit(limit: float) -> Any:
    line = alt.Chart(pl.DataFrame({"degradation": [limit]})).mark_rule(strokeDash=[3, 3], color=FAINT)
    return line.encode(x="degradation:Q")


def _published(result: Published) -> list[Any]:
    low, high = result.interval
    text = f"Phase 2 report: {result.adopted}/{result.n} [{100 * low:.0f}, {100 * high:.0f}] %, gave no D"
    data = pl.DataFrame(
        {
            "value": [100 * result.adopted / result.n],
            "low": [100 * low],
            "high": [100 * high],
            "text": [text],
            "model": [result.model],
        }
    )
    base = alt.Chart(data)
    tip = ["text:N", "model:N"]
    # it has no D, so it stands outside the D axis
    edge = alt.value(WIDTH + 12)
    bar = base.mark_rule(color=MUTED, strokeWidth=2, clip=False)
    dot = base.mark_point(filled=True, size=70, color=MUTED, opacity=1, clip=False)
    words = base.mark_text(angle=270, align="left", baseline="middle", color=MUTED, fontSize=11, clip=False)
    return [
        base.mark_rule(color=MUTED, strokeDash=[2, 4], opacity=0.6).encode(y="value:Q"),
        bar.encode(x=edge, y="low:Q", y2="high:Q", tooltip=tip),
        dot.encode(x=edge, y="value:Q", tooltip=tip),
        words.encode(x=alt.value(WIDTH + 25), y="value:Q", text="text:N"),
    ]
