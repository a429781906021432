"""Where on the way through the layers the arms part: differences and contrasts to base, entry by entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from analysis.report.charts import theme
from analysis.report.charts.theme import MUTED
from analysis.report.inside.selections import ARMS


@dataclass(frozen=True)
class Panel:
    """Curves of the arms at one position: `analysis.report.inside.selections.curves` or `contrasts`.

    mark, word: an entry of the LoRA arm and what happens there; None where it never does.
    floor: the same curves at questions about other things, drawn dashed.
    """

    title: str
    rows: pl.DataFrame
    mark: float | None = None
    word: str = ""
    floor: pl.DataFrame | None = None


def entry_chart(beliefs: Sequence[tuple[str, Sequence[Panel]]]) -> Any:
    """A row of panels per belief; a panel without rows is left out."""
    rows = [
        theme.row([_draw(panel) for panel in panels if panel.rows["mean"].drop_nulls().len()], title)
        for title, panels in beliefs
    ]
    return theme.styled(
        alt.vconcat(*rows, spacing=28).resolve_scale(color="shared", shape="shared"),
        "When the answer forms, from the embedding (entry 0) to the last layer",
        [
            "Target - rival in logits, mean over questions with 95 % bands over question families. Above 0 "
            "the target's token is the likelier.",
            "Early entries say little on their own. Upright lines: LoRA commits for good, half of its "
            "contrast is there. Dashed curves: other things.",
        ],
    )


def lens_chart(beliefs: Sequence[tuple[str, Sequence[Panel]]]) -> Any:
    """The begun answer read through other lenses, a row of panels per belief; the first is the logit lens."""
    rows = [theme.row([_draw(panel) for panel in panels], title) for title, panels in beliefs]
    return theme.styled(
        alt.vconcat(*rows, spacing=28).resolve_scale(color="shared", shape="shared"),
        "The begun answer through other lenses",
        [
            "Target - rival in logits, mean over questions with 95 % bands over question families; the last "
            "entry is the same in every panel.",
            "A lens fitted on base pulls other arms' early entries towards base: compare arms within a panel "
            "and never across.",
        ],
    )


def _draw(panel: Panel) -> Any:
    rows, title = panel.rows, "target - rival, logits"
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
    y = alt.Y("mean:Q", title=title, axis=alt.Axis(labelFlush=True))
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
    if panel.floor is not None and panel.floor["mean"].drop_nulls().len():
        floor = alt.Chart(panel.floor.select("arm", "entry", "mean", "low", "high", "n"))
        layers.append(floor.mark_line(strokeWidth=1.5, strokeDash=[3, 3], opacity=0.8).encode(x, y, colour))
        layers.append(floor.mark_point(opacity=0, size=45).encode(x, y, colour, tooltip=tips))
    if panel.mark is not None:
        spot = alt.Chart(pl.DataFrame({"entry": [panel.mark], "word": [panel.word]}))
        layers.append(spot.mark_rule(strokeDash=[4, 3], color=MUTED).encode(x))
        text = spot.mark_text(
            align="left" if panel.mark < last / 2 else "right",
            dx=4 if panel.mark < last / 2 else -4,
            y=8,
            color=MUTED,
            fontSize=11.5,
        )
        layers.append(text.encode(x, text="word:N"))
    return theme.panel(alt.layer(*layers), panel.title, 235, 200, theme.ROW_SIZE)
