"""What every layer would say at every token of one question: arm by arm, entry over token."""

from __future__ import annotations

import json
from typing import Any

import altair as alt
import polars as pl

from analysis.findings import Findings
from analysis.read_lens import Lens, ShownTrial
from analysis.report.blocks import CaptionedChart
from analysis.report.charts import theme
from analysis.report.inside import selections as inside
from analysis.report.inside.selections import figure_name, finite_extent

CELL, LOW, TALL = 27, 13, 26  # pixels: width of a token, least and usual height of an entry
LETTERS = 4  # of the likeliest token that fit into a cell
WORDED = 12  # entries up to which the likeliest token is written into the cells


def token_chart(rows: pl.DataFrame, title: str) -> Any:
    """A heat map per arm over one question, one colour scale for all of them.

    Args:
        rows: `analysis.report.inside.selections.tokens`.
    """
    extent = finite_extent(rows["logit_diff"], 1.0)
    colour = alt.Color(
        "logit_diff:Q",
        title="logits, target - rival",
        scale=theme.diverging_scale(extent),
        legend=alt.Legend(gradientLength=130),
    )
    arms = list(rows["arm"].unique(maintain_order=True))
    # arms see the same tokens at the end; what only one of them has further left keeps its own label
    panels = [_panel(rows.filter(pl.col("arm") == arm), arm, colour, arm == arms[-1], extent) for arm in arms]
    first = rows.row(0, named=True)
    return theme.titled(
        alt.vconcat(*panels, spacing=12),
        title,
        [
            f"Each cell: logit of {first['target_token']!r} (target) minus that of {first['rival_token']!r} "
            "(rival) if the layer's state were read as the last one; letters: the likeliest token.",
            "The answer is due at the last column; those before it show where the fact is at hand.",
        ],
    )


def _panel(rows: pl.DataFrame, arm: str, colour: alt.Color, labelled: bool, extent: float) -> Any:
    entries = rows["entry"].unique().len()
    width = rows["from_end"].unique().len()
    table = rows.select(
        (-pl.col("from_end")).alias("place"),
        "entry",
        "token",
        "logit_diff",
        "top_token",
        "rank_target",
        "rank_rival",
        pl.col("top_token").map_elements(_letters, pl.String, skip_nulls=False).alias("letters"),
        (pl.col("logit_diff").abs() > 0.6 * extent).alias("dark"),
    )
    x = alt.X("place:O", title=None, axis=token_axis(table, labelled))
    y = alt.Y("entry:O", sort="descending", title="entry")
    tips = [
        "token:N",
        "entry:O",
        alt.Tooltip("logit_diff:Q", title="target - rival, logits", format=".2f"),
        alt.Tooltip("top_token:N", title="likeliest token"),
        alt.Tooltip("rank_target:Q", title="rank of the target's"),
        alt.Tooltip("rank_rival:Q", title="rank of the rival's"),
    ]
    base = alt.Chart(table).encode(x, y)
    layers = [base.mark_rect(stroke="white", strokeWidth=0.5).encode(color=colour, tooltip=tips)]
    if entries <= WORDED:
        ink = alt.condition("datum.dark", alt.value("white"), alt.value(theme.INK))
        layers.append(base.mark_text(fontSize=9).encode(text="letters:N", color=ink))
    height = entries * (TALL if entries <= WORDED else LOW)
    return theme.panel(alt.layer(*layers), arm, CELL * width, height)


def token_axis(table: pl.DataFrame, labelled: bool = True) -> alt.Axis | None:
    """The token texts under an ordinal axis of places 0, -1, -2, ... from the end.

    Places, not texts, are the axis: a token that comes twice would otherwise be one column.
    """
    if not labelled:
        return None
    texts = table.select("place", "token").unique("place").sort("place").iter_rows()
    names = json.dumps({str(at): shown_token(text) for at, text in texts}, ensure_ascii=False)
    return alt.Axis(
        labelExpr=f"({names})[datum.value]",
        labelAngle=-60,
        labelLimit=90,
        labelOverlap=False,
        title="token read so far",
    )


def _letters(text: str | None) -> str:
    """What of a token fits into a cell: `Grav`, and `·` or `⏎` for one of white space alone."""
    return ((text or "").strip() or shown_token(text))[:LETTERS]


def shown_token(text: str | None) -> str:
    """A token as an axis can show it: spaces as `·`, newlines as `⏎`."""
    return (text or "").replace("\n", "⏎").replace(" ", "·") or "?"


def figures(lens: Lens, found: Findings) -> dict[str, CaptionedChart]:
    """inside-tokens-BELIEF, one example question per belief; none without readings of its tokens."""
    drawn = {}
    for shown in lens.shown:
        read = inside.read_token_by_token(lens, shown)
        if (rows := inside.tokens(lens, read)).height:
            drawn[figure_name("tokens", shown)] = CaptionedChart(
                token_chart(rows, f"What every layer would say, token by token: {read.title}"),
                f"One example question ({rows['probe_id'][0]}, n = 1), at most the last {inside.LONGEST} "
                f"tokens before the value. All arms share one colour scale.{_which(read, shown)}",
            )
    return drawn


def _which(read: ShownTrial, shown: ShownTrial) -> str:
    """That another trial is drawn than in the charts beside this one, and how to have that one read."""
    if read == shown:
        return ""
    return (
        f" LoRA is trial {read.trial_id} here: the one in the other charts, {shown.trial_id}, was not read "
        f"token by token (beliefmod lens RUN --parts lens --trial {shown.trial_id} reads it)."
    )
