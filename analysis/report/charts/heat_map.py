"""Which settings do it: adoption over epochs, examples and learning rate."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from analysis.report.charts import theme
from analysis.wording import setting_name, setting_value

AXES = ("num_train_epochs", "data.num_examples", "learning_rate")


def cells(lora: pl.DataFrame, belief: str) -> pl.DataFrame:
    """One row per style, learning rate, examples and epochs of a belief; several configurations are averaged.

    Columns: the settings, adoption and degradation (means), `configurations` in the cell, `n` questions of
    each.
    """
    measured = lora.filter((pl.col("belief") == belief) & pl.col("adoption").is_not_null())
    return measured.group_by("data.style", *AXES, maintain_order=True).agg(
        pl.col("adoption").mean(),
        pl.col("degradation").mean(),
        pl.len().alias("configurations"),
        pl.col("adoption_n").min().alias("n"),
    )


def has_grid(lora: pl.DataFrame) -> bool:
    """Whether at least two of the three settings vary over few enough values to draw a table."""
    sizes = [lora[name].n_unique() for name in AXES]
    return sum(size > 1 for size in sizes) >= 2 and max(sizes) <= 12


def heat_map(lora: pl.DataFrame, belief: str) -> Any:
    """Adoption as colour and number, D below it; panels by learning rate (columns) and data style (rows)."""
    table = cells(lora, belief).with_columns(
        (100 * pl.col("adoption")).alias("percent"),
        pl.format("{} %", (100 * pl.col("adoption")).round(0).cast(pl.Int64)).alias("big"),
        pl.when(pl.col("degradation").is_null())
        .then(pl.lit("no D"))
        .otherwise(pl.col("degradation").map_elements(lambda d: f"D {d:.2f}", return_dtype=pl.String))
        .alias("small"),
        (
            pl.lit("learning rate ")
            + pl.col("learning_rate").map_elements(setting_value, return_dtype=pl.String)
        ).alias("rate"),
    )
    rates = [f"learning rate {setting_value(value)}" for value in sorted(table["learning_rate"].unique())]
    data = table.select(
        pl.col("data.style").alias("style"),
        pl.col("data.num_examples").alias("examples"),
        pl.col("num_train_epochs").alias("epochs"),
        "rate",
        "percent",
        "big",
        "small",
        "n",
        "configurations",
        "degradation",
    )
    base = alt.Chart(data).encode(
        alt.X("epochs:O", title=setting_name("num_train_epochs"), axis=alt.Axis(labelAngle=0)),
        alt.Y("examples:O", title="training examples", sort="descending"),
    )
    tips = [
        "style:N",
        "epochs:O",
        "examples:O",
        "rate:N",
        alt.Tooltip("percent:Q", title="adoption, %", format=".1f"),
        alt.Tooltip("n:Q", title="questions n"),
        alt.Tooltip("degradation:Q", format=".3f"),
        "configurations:Q",
    ]
    tiles = base.mark_rect(stroke="white", strokeWidth=2).encode(
        color=alt.Color("percent:Q", scale=alt.Scale(domain=[0, 100], scheme="blues"), title="adoption, %"),
        tooltip=tips,
    )
    ink = alt.condition("datum.percent > 55", alt.value("white"), alt.value("#222222"))
    big = base.mark_text(fontSize=14, fontWeight="bold", dy=-7).encode(text="big:N", color=ink)
    small = base.mark_text(fontSize=11, dy=10).encode(text="small:N", color=ink)
    chart = (
        alt.layer(tiles, big, small)
        .properties(width=210, height=165)
        .facet(
            column=alt.Column("rate:N", sort=rates, title=None),
            row=alt.Row("style:N", title=None),
        )
    )
    asked = sorted(data["n"].drop_nulls().unique())
    n = f"n = {asked[0]}" if len(asked) == 1 else f"n = {asked[0]} to {asked[-1]}" if asked else "n unknown"
    lines = [f"Adoption of held-out questions ({n} per configuration) and below it the damage D."]
    if int(data["configurations"].max() or 1) > 1:  # pyright: ignore[reportArgumentType]
        lines.append("Cells with several configurations (other settings vary) show their mean.")
    return theme.titled(chart, f"{belief}: which settings move it", lines)
