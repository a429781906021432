"""Where the belief is written: the adapter block by block, and residuals put into base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from analysis.charts import theme
from analysis.charts.inside_tokens import CELL, LOW, TALL, WORDED, token_axis
from analysis.charts.theme import MUTED

KINDS = {
    "without": "all but this block",
    "only": "this block alone",
    "prefix": "blocks up to this one",
}
BAR = "#0072B2"
NOISE = "random adapter of the same norm"


def ablation_chart(beliefs: Sequence[tuple[str, pl.DataFrame]]) -> Any:
    """Bars from the level without the adapter, one panel per belief and way of cutting it.

    Args:
        beliefs: title and the rows of `ablations` of one trial.
    """
    rows = []
    for title, table in beliefs:
        values = [*table["logit_diff_low"].drop_nulls(), *table["logit_diff_high"].drop_nulls()]
        values += table["logit_diff"].drop_nulls().to_list()
        domain = [min([*values, 0.0]), max([*values, 0.0])]
        panels = [_bars(table, kind, words, domain) for kind, words in KINDS.items()]
        rows.append(theme.row(panels, title))
    return theme.dressed(
        alt.vconcat(*rows, spacing=26),
        "Which blocks of the adapter carry the belief",
        [
            "Bars start at base (adapter off, solid line) and end where part of the adapter leaves the "
            "difference; dashed: the whole adapter. Mean over questions, 95 % over families.",
            "Grey band: from the lowest to the highest of several random adapters with the same norm in "
            "every layer, which is what any change of that size does.",
        ],
    )


def _bars(table: pl.DataFrame, kind: str, title: str, domain: list[float]) -> Any:
    level = {k: _first(table.filter(pl.col("kind") == k)["logit_diff"]) for k in ("full", "off")}
    part = table.filter((pl.col("kind") == kind) & pl.col("logit_diff").is_not_null()).select(
        "block",
        "logit_diff",
        pl.col("logit_diff_low").alias("low"),
        pl.col("logit_diff_high").alias("high"),
        "share",
        "n",
        pl.lit(level["off"], pl.Float64).alias("off"),
    )
    x = alt.X("block:O", title="block", axis=alt.Axis(labelAngle=0, labelOverlap=True))
    y = alt.Y("logit_diff:Q", title="target - rival, logits", scale=alt.Scale(domain=domain))
    tips = [
        "block:O",
        alt.Tooltip("logit_diff:Q", format=".2f"),
        alt.Tooltip("low:Q", format=".2f"),
        alt.Tooltip("high:Q", format=".2f"),
        alt.Tooltip("share:Q", title="share of the whole effect", format=".2f"),
        "n:Q",
    ]
    layers: list[Any] = []
    random = table.filter((pl.col("kind") == "random") & pl.col("logit_diff").is_not_null())["logit_diff"]
    if len(random):
        band = pl.DataFrame({"low": [random.min()], "high": [random.max()], "what": [NOISE]})
        area = alt.Chart(band).mark_rect(color="#999999", opacity=0.4)
        layers.append(area.encode(alt.Y("low:Q", scale=alt.Scale(domain=domain)), y2="high:Q"))
    bars = alt.Chart(part)
    layers.append(bars.mark_bar(color=BAR, opacity=0.75).encode(x, y, y2="off:Q", tooltip=tips))
    layers.append(bars.mark_rule(strokeWidth=1.5).encode(x, alt.Y("low:Q"), y2="high:Q"))
    for name, dash in (("off", [1, 0]), ("full", [5, 3])):
        if level[name] is not None:
            rule = alt.Chart(pl.DataFrame({"level": [level[name]]})).mark_rule(strokeDash=dash, color=MUTED)
            layers.append(rule.encode(alt.Y("level:Q")))
    return theme.panel(alt.layer(*layers), title, max(150, min(300, 26 * part.height)), 190, theme.ROW_SIZE)


def patching_chart(table: pl.DataFrame, means: pl.DataFrame, title: str) -> Any:
    """A map of one example question per source, beside it the mean over questions at the named positions.

    Args:
        table: `analysis.inside.patch_map`; means: `analysis.inside.patch_means`.
    """
    sources = {"lora": "from LoRA into base", "icl": "from in context into base"}
    there = [name for name in sources if table.filter(pl.col("source") == name).height]
    rows = [
        alt.hconcat(
            _map(table.filter(pl.col("source") == name), sources[name], name == there[-1]),
            _lines(means.filter(pl.col("source") == name)),
            spacing=24,
        )
        for name in there
    ]
    return theme.dressed(
        alt.vconcat(*rows, spacing=20),
        title,
        [
            "One state of another arm is put into base, at one token and entry; 1: base then answers like "
            "that arm, 0: as before. Colour is cut at -1 and 1.",
            "Left: one example question. Right: mean over all patched questions, 95 % over families, at the "
            "last token of the stem and of what the question is about.",
        ],
    )


def _map(table: pl.DataFrame, title: str, labelled: bool) -> Any:
    entries, width = table["entry"].n_unique(), table["from_end"].n_unique()
    known = table.select((-pl.col("from_end")).alias("place"), "entry", "token", "recovery", "logit_diff")
    y = alt.Y("entry:O", sort="descending", title="entry")
    colour = alt.Color(
        "recovery:Q",
        title="recovery",
        scale=theme.diverging_scale(1.0, clamp=True),
        legend=alt.Legend(gradientLength=110),
    )
    tips = [
        "token:N",
        "entry:O",
        alt.Tooltip("recovery:Q", format=".2f"),
        alt.Tooltip("logit_diff:Q", title="patched difference", format=".2f"),
    ]
    chart = (
        alt.Chart(known)
        .mark_rect(stroke="white", strokeWidth=0.5)
        .encode(alt.X("place:O", title=None, axis=token_axis(known, labelled)), y, colour, tooltip=tips)
    )
    return theme.panel(chart, title, CELL * width, entries * (TALL if entries <= WORDED else LOW))


def _lines(means: pl.DataFrame) -> Any:
    names = {"stem": "end of the stem", "entity": "entity"}
    table = means.with_columns(pl.col("position").replace_strict(names, default=pl.col("position")))
    x = alt.X("entry:Q", title="entry put in", axis=alt.Axis(tickMinStep=1, format="d"))
    y = alt.Y("mean:Q", title="recovery")
    order = list(names.values())
    colour = alt.Color(
        "position:N",
        title="at",
        scale=alt.Scale(domain=order, range=["#0072B2", "#E69F00"]),
        legend=alt.Legend(symbolOpacity=1),
    )
    base = alt.Chart(table)
    tips = [
        "position:N",
        "entry:Q",
        *(alt.Tooltip(f"{k}:Q", format=".2f") for k in ("mean", "low", "high")),
        "n:Q",
    ]
    layers = [
        base.mark_area(opacity=0.2).encode(x, alt.Y("low:Q", title="recovery"), colour, y2="high:Q"),
        base.mark_line(strokeWidth=2).encode(x, y, colour),
        base.mark_point(filled=True, size=40, opacity=1).encode(x, y, colour, tooltip=tips),
    ]
    entries = means["entry"].n_unique()
    height = max(110, min(260, entries * (TALL if entries <= WORDED else LOW)))
    return theme.panel(
        alt.layer(*layers), f"mean over n = {max(means['n'], default=0)} questions", 200, height
    )


def _first(values: pl.Series) -> float | None:
    return float(values[0]) if len(values) and values[0] is not None else None
