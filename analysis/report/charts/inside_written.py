"""Where the belief is written: the adapter block by block, and residuals put into base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from analysis.findings import Findings
from analysis.read_lens import Lens
from analysis.report.blocks import CaptionedChart
from analysis.report.charts import theme
from analysis.report.charts.inside_tokens import CELL, LOW, TALL, WORDED, token_axis
from analysis.report.inside import selections as inside
from analysis.report.inside.selections import figure_name

KINDS = {
    "without": "all but this block",
    "only": "this block alone",
    "prefix": "blocks up to this one",
}
MAP = 560
"""Pixels that a map of tokens and entries has beside the lines: no letters stand in its cells."""
BAR = "#0072B2"


def ablation_chart(beliefs: Sequence[tuple[str, pl.DataFrame]]) -> Any:
    """Bars of what is left of the adapter's effect, one panel per belief and way of cutting it.

    Args:
        beliefs: title and the rows of `ablations` of one trial, with shares.
    """
    rows = []
    for title, table in beliefs:
        known = table.filter(pl.col("share").is_not_null())
        ends = known.select("share", "share_low", "share_high").unpivot()["value"].drop_nulls()
        domain = [min([*ends, 0.0]), max([*ends, 1.0])]
        rows.append(theme.row([_bars(known, kind, words, domain) for kind, words in KINDS.items()], title))
    return theme.titled(
        alt.vconcat(*rows, spacing=26),
        "Which blocks of the adapter carry the belief",
        [
            "Share of the adapter's effect on target - rival when only some of its blocks work: 0 is base, 1 "
            "(dashed) the whole adapter.",
            "Mean over questions, 95 % over families (no line: no interval). Grey: lowest to highest of "
            "several random adapters of the same norm.",
        ],
    )


def _bars(table: pl.DataFrame, kind: str, title: str, domain: list[float]) -> Any:
    part = table.filter(pl.col("kind") == kind).select(
        "block",
        "share",
        "logit_diff",
        "n",
        pl.col("share_low").alias("low"),
        pl.col("share_high").alias("high"),
        pl.lit(0.0).alias("none"),
    )
    scale = alt.Scale(domain=domain)
    x = alt.X("block:O", title="block", axis=alt.Axis(labelAngle=0, labelOverlap=True))
    y = alt.Y("share:Q", title="share of the effect", scale=scale, axis=alt.Axis(labelFlush=True))
    tips = [
        "block:O",
        *theme.numbers(".2f", "share", "low", "high"),
        alt.Tooltip("logit_diff:Q", title="target - rival, logits", format=".2f"),
        "n:Q",
    ]
    layers: list[Any] = []
    random = table.filter(pl.col("kind") == "random")["share"]
    if len(random):
        band = alt.Chart(pl.DataFrame({"low": [min(random)], "high": [max(random)]}))
        area = band.mark_rect(color="#999999", opacity=0.5)
        layers.append(area.encode(alt.Y("low:Q", scale=scale), y2="high:Q"))
    bars = alt.Chart(part)
    layers.append(bars.mark_bar(color=BAR, opacity=0.75).encode(x, y, y2="none:Q", tooltip=tips))
    ranged = alt.Chart(part.filter(pl.col("low").is_not_null() & pl.col("high").is_not_null()))
    layers.append(ranged.mark_rule(strokeWidth=1.5).encode(x, alt.Y("low:Q", scale=scale), y2="high:Q"))
    for level, dash in ((0.0, [1, 0]), (1.0, [5, 3])):
        layers.append(theme.rule(alt.Y("level:Q", scale=scale), level, strokeDash=dash))
    width = max(150, min(285, 26 * part.height))
    return theme.panel(alt.layer(*layers), title, width, 190, theme.ROW_SIZE)


def patching_chart(table: pl.DataFrame, means: pl.DataFrame, title: str) -> Any:
    """A map of one example question per source, beside it the mean over questions at the named positions.

    Args:
        table, means: `patch_map` and `patch_means` of `analysis.report.inside.selections`.
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
    return theme.titled(
        alt.vconcat(*rows, spacing=20),
        title,
        [
            "One state of another arm is put into base, at one token and entry; 1: base then answers like "
            "that arm, 0: as before. Colour is cut at -1 and 1.",
            "Left: one example question. Right: mean over all patched questions, 95 % over families, at the "
            "stem's last token and at the entity's.",
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
    return theme.panel(chart, title, min(CELL * width, MAP), entries * (TALL if entries <= WORDED else LOW))


def _lines(means: pl.DataFrame) -> Any:
    names = {"stem": "end of the stem", "entity": "entity"}
    table = means.with_columns(pl.col("position").replace_strict(names, default=pl.col("position")))
    x = alt.X("entry:Q", title="entry put in", axis=alt.Axis(tickMinStep=1, format="d"))
    y = alt.Y("mean:Q", title="recovery", axis=alt.Axis(labelFlush=True))
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
        *theme.numbers(".2f", "mean", "low", "high"),
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


def figures(lens: Lens, found: Findings) -> dict[str, CaptionedChart]:
    """inside-ablations and inside-patching-BELIEF, those for which the tables have rows."""
    return _ablations(lens) | _patching(lens)


def _ablations(lens: Lens) -> dict[str, CaptionedChart]:
    known = [(shown, lens.of("ablations", shown)) for shown in lens.shown]
    # where on and off hardly differ there are no shares, and the verdict says so
    parts = [
        (f"{s.title}; n = {t['n'].max()} questions", t) for s, t in known if t["share"].drop_nulls().len()
    ]
    if not parts:
        return {}
    caption = (
        "The adapter's tensors in some blocks are set to zero. Blocks work on what earlier ones wrote, so "
        "the parts need not add up to the whole."
    )
    return {"inside-ablations": CaptionedChart(ablation_chart(parts), caption)}


def _patching(lens: Lens) -> dict[str, CaptionedChart]:
    drawn = {}
    for shown in lens.shown:
        rows, means = inside.patch_map(lens, shown), inside.patch_means(lens, shown)
        if rows["recovery"].drop_nulls().len():
            drawn[figure_name("patching", shown)] = CaptionedChart(
                patching_chart(rows, means, f"Which states carry the belief into base: {shown.title}"),
                f"Example question {rows['probe_id'][0]}. No recovery is shown where the two arms differ by "
                "less than half a logit.",
            )
    return drawn
