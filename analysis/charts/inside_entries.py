"""Where on the way through the layers the arms part: differences and contrasts to base, entry by entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from analysis.charts import theme
from analysis.charts.theme import MUTED
from analysis.inside import ARMS

DIFFERENCE = "target - rival, logits"
CONTRAST = "the same less base's, logits"


@dataclass(frozen=True)
class Path:
    """One belief's panels. curves, contrasts: as in `analysis.inside`; commit: the LoRA arm's commit entry,
    half: the entry of half its contrast, None where there is none."""

    title: str
    curves: pl.DataFrame
    contrasts: pl.DataFrame
    commit: float | None
    half: float | None


def entry_chart(paths: Sequence[Path]) -> Any:
    """Two panels per belief: the three arms' differences, and what sets two of them apart from base."""
    rows = []
    for path in paths:
        left = _panel(path.curves, DIFFERENCE, "difference", path.commit, "commits")
        right = _panel(path.contrasts, CONTRAST, "contrast to base", path.half, "half risen")
        rows.append(theme.row([left, right], path.title, 36))
    return theme.dressed(
        alt.vconcat(*rows, spacing=28).resolve_scale(color="shared", shape="shared"),
        "When the answer forms, from the embedding (entry 0) to the last layer",
        [
            "Mean over questions at the end of the begun answer, 95 % bands over question families. Above 0 "
            "the target's token is the likelier.",
            "Early entries say little on their own; dashed: where the LoRA arm commits for good, and where "
            "half of its contrast is reached.",
        ],
    )


def _panel(rows: pl.DataFrame, title: str, heading: str, mark: float | None, word: str) -> Any:
    last = max(rows["entry"], default=1)
    x = alt.X(
        "entry:Q",
        title="entry (layers passed)",
        axis=alt.Axis(tickMinStep=1, format="d"),
        scale=alt.Scale(domain=[0, last], nice=False),
    )
    names = list(ARMS.values())
    colour = alt.Color("arm:N", title=None, scale=theme.arm_scale(names), legend=alt.Legend(symbolOpacity=1))
    shape = alt.Shape("arm:N", title=None, scale=theme.arm_shapes(names))
    y = alt.Y("mean:Q", title=title)
    tips = [
        "arm:N",
        "entry:Q",
        *(alt.Tooltip(f"{k}:Q", format=".2f") for k in ("mean", "low", "high")),
        "n:Q",
    ]
    base = alt.Chart(rows.select("arm", "entry", "mean", "low", "high", "n"))
    layers: list[Any] = [
        alt.Chart(pl.DataFrame({"zero": [0.0]})).mark_rule(color=MUTED).encode(alt.Y("zero:Q")),
        base.mark_area(opacity=0.22).encode(x, alt.Y("low:Q", title=title), colour, y2="high:Q"),
        base.mark_line(strokeWidth=2).encode(x, y, colour),
        base.mark_point(filled=True, size=45, opacity=1).encode(x, y, colour, shape, tooltip=tips),
    ]
    if mark is not None:
        spot = alt.Chart(pl.DataFrame({"entry": [mark], "word": [word]}))
        layers.append(spot.mark_rule(strokeDash=[4, 3], color=MUTED).encode(x))
        text = spot.mark_text(align="right", dx=-4, y=8, color=MUTED, fontSize=11.5)
        layers.append(text.encode(x, text="word:N"))
    return theme.panel(alt.layer(*layers), heading, 330, 220, theme.ROW_SIZE)
