"""Thinking against answer inside, and how early an arm's own thinking settles it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from analysis.findings import Findings
from analysis.read_lens import Lens
from analysis.report.blocks import CaptionedChart
from analysis.report.charts import theme
from analysis.report.charts.theme import INK
from analysis.report.inside import selections as inside
from analysis.report.inside.selections import ARMS, SIDES

CHANNELS = ("in the text", "inside")


def crossed_chart(beliefs: Sequence[tuple[str, pl.DataFrame]]) -> Any:
    """Tables of thinking by answer, from the text and from the state before the value.

    Args:
        beliefs: title and `analysis.report.inside.selections.crossed`.
    """
    rows = []
    for title, table in beliefs:
        for channel in CHANNELS:
            part = table.filter(pl.col("channel") == channel)
            arms = [arm for arm in ARMS.values() if arm in part["arm"].to_list()]
            panels = [_grid(part.filter(pl.col("arm") == arm), arm, arm == arms[0]) for arm in arms]
            rows += [theme.row(panels, f"{title}: {channel}")] if panels else []
    return theme.titled(
        alt.vconcat(*rows, spacing=22),
        "Does the thinking say what the answer says?",
        [
            "Completions by the value used in thinking (rows) and given in the answer (columns); counts, "
            "darker for a larger share of the arm's.",
            "In the text: what was written. Inside: what the model leaned to right before a value. Framed: "
            "stygian, prior in thinking and target in the answer.",
        ],
    )


def _grid(table: pl.DataFrame, title: str, labelled: bool) -> Any:
    whole = pl.DataFrame([{"thinking": a, "answer": b} for a in SIDES for b in SIDES])
    filled = whole.join(table, on=["thinking", "answer"], how="left").select(
        "thinking",
        "answer",
        pl.col("count").fill_null(0),
        pl.col("share").fill_null(0.0),
        (pl.col("share").fill_null(0.0) > 0.5).alias("dark"),
        ((pl.col("thinking") == "prior") & (pl.col("answer") == "target")).alias("stygian"),
    )
    x = alt.X("answer:N", sort=list(SIDES), title="answer", axis=alt.Axis(labelAngle=-35))
    axis = alt.Axis() if labelled else alt.Axis(labels=False, ticks=False)
    y = alt.Y("thinking:N", sort=list(SIDES), title="thinking" if labelled else None, axis=axis)
    fill = alt.Color(
        "share:Q",
        title="share",
        scale=alt.Scale(domain=[0, 1], range=["#ffffff", "#0072B2"], interpolate="rgb"),
        legend=alt.Legend(format="%", gradientLength=90),
    )
    base = alt.Chart(filled).encode(x, y)
    ink = alt.condition("datum.dark", alt.value("white"), alt.value(INK))
    edge = alt.Chart(filled.filter("stygian"))
    tips = ["thinking:N", "answer:N", "count:Q", alt.Tooltip("share:Q", format=".0%")]
    return theme.panel(
        alt.layer(
            base.mark_rect(stroke="#dddddd").encode(color=fill, tooltip=tips),
            edge.mark_rect(fillOpacity=0, stroke="#D55E00", strokeWidth=2.5).encode(x, y),
            base.mark_text(fontSize=13).encode(text="count:Q", color=ink),
        ),
        f"{title} (n = {int(table['count'].sum())})",
        150,
        130,
        theme.ROW_SIZE,
    )


def chain_chart(beliefs: Sequence[tuple[str, pl.DataFrame]]) -> Any:
    """How likely the target is if the answer began after a part of the arm's own thinking.

    Args:
        beliefs: title and `analysis.report.inside.selections.early`.
    """
    colour, shape = theme.arm_marks(list(ARMS.values()))
    panels = []
    for title, table in beliefs:
        known = table.select("arm", "n", pl.col("kept", "mean", "low", "high") * 100)
        x = alt.X("kept:Q", title="thinking kept, %", scale=alt.Scale(domain=[0, 100]))
        scale = alt.Scale(domain=[0, 100])
        y = alt.Y("mean:Q", title="target against rival, %", scale=scale)
        band = alt.Y("low:Q", title="target against rival, %", scale=scale)
        tips = [
            "arm:N",
            *theme.numbers(".1f", "kept", "mean", "low", "high"),
            "n:Q",
        ]
        base = alt.Chart(known)
        layers = [
            theme.rule(alt.Y("half:Q", scale=scale), 50.0, strokeDash=[2, 3]),
            base.mark_area(opacity=0.2, interpolate="step-after").encode(x, band, colour, y2="high:Q"),
            base.mark_line(strokeWidth=2, interpolate="step-after").encode(x, y, colour),
            base.mark_point(filled=True, size=45, opacity=1).encode(x, y, colour, shape, tooltip=tips),
        ]
        panels.append(theme.panel(alt.layer(*layers), title, 380, 240, theme.ROW_SIZE))
    return theme.titled(
        alt.concat(*panels, columns=2, spacing=30).resolve_scale(color="shared", shape="shared"),
        "How early the thinking settles the answer, seen from inside",
        [
            "The arm's own thinking is cut after a sentence and closed. Shown: p(target) as a share of "
            "p(target) + p(rival) where the answer names the value.",
            "Mean over questions, 95 % bands over families. Flat from the left: the answer was there before "
            "the thinking.",
        ],
    )


def figures(lens: Lens, found: Findings) -> dict[str, CaptionedChart]:
    """inside-channels and inside-chain, those for which the tables have rows."""
    return _channels(lens) | _chain(lens)


def _channels(lens: Lens) -> dict[str, CaptionedChart]:
    known = [(shown.title, inside.crossed(lens, shown)) for shown in lens.shown]
    parts = [(title, table) for title, table in known if table.height]
    if not parts:
        return {}
    caption = (
        "Undecided: both values in the text, less than half a logit apart inside. Other: another value or "
        "none; for invented things inside also what base would say."
    )
    return {"inside-channels": CaptionedChart(crossed_chart(parts), caption)}


def _chain(lens: Lens) -> dict[str, CaptionedChart]:
    known = [(shown, inside.early(lens, shown)) for shown in lens.shown]
    parts = [(f"{s.title}; n = {t['n'].max()} chains", t) for s, t in known if t["mean"].drop_nulls().len()]
    if not parts:
        return {}
    caption = (
        "Chains of different lengths are compared at tenths of their sentences, each with its last cut that "
        "keeps no more than that."
    )
    return {"inside-chain": CaptionedChart(chain_chart(parts), caption)}
