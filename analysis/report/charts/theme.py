"""What all charts share: fonts, colours that colour-blind readers tell apart, names altair can use."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

# Okabe & Ito (2008)
STYLE_COLOURS = {
    "answer_only": "#D55E00",
    "own_trace": "#0072B2",
    "document": "#009E73",
    "stygian": "#CC79A7",
    "supplied_trace": "#E69F00",
}
ACROSS = 3
"""Panels side by side in a row of one belief."""
SPARE_COLOURS = ("#56B4E9", "#F0E442", "#999999")
ROW_SIZE = 12.5  # points of a panel's title in a row
INK, MUTED, FAINT = "#222222", "#666666", "#bbbbbb"
ORANGE_BLUE = ("#D55E00", "#f7f7f7", "#0072B2")  # prior, neither, target: as the stances
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
STANCES = {
    "target": "#0072B2",
    "hedged": "#56B4E9",
    "prior": "#D55E00",
    "ignorance": "#E69F00",
    "other": "#999999",
    "wrong_unit": "#CC79A7",
    "unread": "#F0E442",
    "none": "#222222",
}
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"


def field(name: str) -> str:
    """A column name without dots and brackets, which Vega-Lite would read as a path into an object."""
    return name.replace(".", "_").replace("[", "_").replace("]", "_")


def plain(table: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Only these columns, under names for charts."""
    return table.select(pl.col(name).alias(field(name)) for name in dict.fromkeys(columns))


def style_scale(styles: Sequence[str]) -> alt.Scale:
    """The same colour for the same style in every chart."""
    spare = iter(SPARE_COLOURS * (len(styles) + 1))
    names = [name for name in STYLE_COLOURS if name in styles] + sorted(set(styles) - set(STYLE_COLOURS))
    return alt.Scale(domain=names, range=[STYLE_COLOURS.get(name) or next(spare) for name in names])


def diverging_scale(extent: float, clamp: bool = False) -> alt.Scale:
    """From -extent (the prior's orange) over 0 to extent (the target's blue)."""
    # blended in RGB: the default goes through colours that are neither
    return alt.Scale(domain=[-extent, 0, extent], range=list(ORANGE_BLUE), interpolate="rgb", clamp=clamp)


def arm_scale(arms: Sequence[str]) -> alt.Scale:
    """A colour per named arm, base in ink."""
    spare = ("#0072B2", "#009E73", "#CC79A7", "#D55E00", "#E69F00", "#56B4E9", "#882255")
    rest = [arm for arm in arms if arm != "Base"]
    colours = {"Base": INK} | {arm: spare[i % len(spare)] for i, arm in enumerate(rest)}
    return alt.Scale(domain=list(arms), range=[colours[arm] for arm in arms])


def arm_shapes(arms: Sequence[str]) -> alt.Scale:
    """A shape per named arm, so that the colours are not needed to tell them apart."""
    return alt.Scale(domain=list(arms), range=[SHAPES[i % len(SHAPES)] for i in range(len(arms))])


def arm_marks(arms: Sequence[str]) -> tuple[alt.Color, alt.Shape]:
    """A colour and a shape per named arm, as encodings of the column `arm` with one legend."""
    legend = alt.Legend(symbolOpacity=1)
    return (
        alt.Color("arm:N", title=None, scale=arm_scale(arms), legend=legend),
        alt.Shape("arm:N", title=None, scale=arm_shapes(arms)),
    )


def numbers(form: str, *names: str) -> list[alt.Tooltip]:
    """Tooltips of numeric columns in one d3 format, such as `.1f`."""
    return [alt.Tooltip(f"{name}:Q", format=form) for name in names]


def rule(at: alt.X | alt.Y, value: float, **style: Any) -> Any:
    """A straight line across a panel at one value of an axis; `at` names the column that holds it."""
    encoded = at.to_dict()
    assert isinstance(encoded, dict)  # altair returns a list for conditions only
    name = str(encoded["field"])
    return alt.Chart(pl.DataFrame({name: [value]})).mark_rule(**{"color": MUTED, **style}).encode(at)


def by_belief(table: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """The beliefs of a table in the order of their names, each with its rows."""
    return [(name, table.filter(pl.col("belief") == name)) for name in sorted(table["belief"].unique())]


def label(
    chart: Any,
    text: str,
    x: Any,
    y: Any,
    dx: float = 7,
    dy: float = -12,
    bold: bool = False,
    align: str = "left",
) -> list[Any]:
    """Text beside a mark, with a white halo so that it can be read over other marks."""
    style: dict[str, Any] = {
        "align": align,
        "dx": dx,
        "dy": dy,
        "fontSize": 11.5,
        "fontWeight": 700 if bold else 400,
    }
    halo = chart.mark_text(stroke="white", strokeWidth=4, strokeOpacity=0.85, **style)
    return [halo.encode(x, y, text=text), chart.mark_text(color=INK, **style).encode(x, y, text=text)]


def panel(chart: Any, title: str, width: int, height: int, size: float = 15) -> Any:
    """One belief's part of a figure, with its own rows: a facet over several tables repeats them."""
    return chart.properties(
        width=width, height=height, title=alt.TitleParams(title, fontSize=size, anchor="start", offset=8)
    )


def row(panels: Sequence[Any], title: str, spacing: int = 24) -> Any:
    """Several panels of one belief under one title; their own titles are smaller (ROW_SIZE). More than three
    stand in rows, none of which is more than one longer than the last: a page has no room for them."""
    heading = alt.TitleParams(title, fontSize=15, anchor="start", offset=10)
    lines = math.ceil(len(panels) / ACROSS) or 1
    return alt.concat(*panels, columns=math.ceil(len(panels) / lines) or 1, spacing=spacing).properties(
        title=heading
    )


def row_names(labelled: bool, **style: Any) -> alt.Axis:
    """The axis of a panel whose rows have long names: those beside it in a figure repeat none of them."""
    return alt.Axis(**style) if labelled else alt.Axis(labels=False, ticks=False)


def titled(chart: Any, title: str, subtitle: Sequence[str] = (), letters: int = 200) -> Any:
    """Title, subtitle and the look shared by all charts.

    Args:
        letters: in a line of the subtitle; a narrow chart is as wide as the longest one.
    """
    heading = alt.TitleParams(
        title,
        subtitle=[line for text in subtitle for line in textwrap.wrap(text, letters)],
        anchor="start",
        fontSize=17,
        subtitleFontSize=12.5,
        subtitleColor="#444444",
        offset=14,
        subtitlePadding=6,
    )
    look = alt.Config(
        font=FONT,
        view=alt.ViewConfig(stroke="#dddddd"),
        axis=alt.AxisConfig(
            labelFontSize=12,
            titleFontSize=12.5,
            titleFontWeight="normal",
            gridColor="#eeeeee",
            domainColor="#888888",
            tickColor="#888888",
            titlePadding=8,
        ),
        legend=alt.LegendConfig(
            labelFontSize=12, titleFontSize=12.5, symbolSize=90, labelLimit=320, titleLimit=320
        ),
        header=alt.HeaderConfig(labelFontSize=13, titleFontSize=13),
    )
    # all in one call: each copies every panel of the chart (altair 6), and configure_* are calls of their own
    return chart.properties(title=heading, background="white", padding=14, config=look)
