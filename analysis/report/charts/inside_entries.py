"""Where on the way through the layers the arms part: differences and contrasts to base, entry by entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from analysis.findings import Findings
from analysis.read_lens import Lens
from analysis.report.blocks import CaptionedChart
from analysis.report.charts import theme
from analysis.report.charts.theme import MUTED
from analysis.report.inside import selections as inside
from analysis.report.inside.selections import ARMS, commitment

PLACES = {
    "stem": "end of the begun answer",
    "thinking": "before the value in its own thinking",
    "answer": "before the value in its own answer",
}
LESS_BASE = "end of the begun answer, less base's"


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
    return theme.titled(
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
    return theme.titled(
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
    colour, shape = theme.arm_marks(list(ARMS.values()))
    y = alt.Y("mean:Q", title=title, axis=alt.Axis(labelFlush=True))
    tips = [
        "arm:N",
        "entry:Q",
        *theme.numbers(".2f", "mean", "low", "high"),
        "n:Q",
    ]
    base = alt.Chart(rows.select("arm", "entry", "mean", "low", "high", "n"))
    layers: list[Any] = [
        theme.rule(alt.Y("zero:Q"), 0.0),
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
    return theme.panel(alt.layer(*layers), panel.title, 320, 200, theme.ROW_SIZE)


def figures(lens: Lens, found: Findings) -> dict[str, CaptionedChart]:
    """inside-entries and inside-lenses, those for which the tables have rows."""
    return _entries(lens) | _lenses(lens)


def _entries(lens: Lens) -> dict[str, CaptionedChart]:
    paths = []
    for shown in lens.shown:
        curves = {place: inside.curves(lens, shown, place) for place in PLACES}
        if not any(table["mean"].drop_nulls().len() for table in curves.values()):
            continue
        row = commitment(lens, shown, "lora") or {}
        title = f"{shown.title}; n = {max(max(t['n'], default=0) for t in curves.values())} questions"
        panels = [Panel(words, curves[place]) for place, words in PLACES.items()]
        # from the embedding on: the sign never changed, so no entry stands out
        panels[0] = Panel(PLACES["stem"], curves["stem"], row.get("commit_entry") or None, "commits")
        floor = inside.contrasts(lens, shown, "elsewhere")
        less = Panel(
            LESS_BASE, inside.contrasts(lens, shown), row.get("half_rise_entry"), "half risen", floor
        )
        paths.append((title, (panels[0], less, *panels[1:])))
    if not paths:
        return {}
    caption = (
        "In the begun answer, after empty thinking, every arm reads the same tokens; only what stands before "
        "them differs. In its own thinking and answer an arm reads what it wrote itself; questions in which "
        "it wrote no value are left out (n in the table below). Dashed: the same difference less base's at "
        "questions about near things that the belief does not concern, between what it would give there and "
        "the right answer."
    )
    return {"inside-entries": CaptionedChart(entry_chart(paths), caption + _not_read(lens))}


def _not_read(lens: Lens) -> str:
    """Which of the shown trials have no curve in their own completions because nobody read those."""
    missing = [one.trial_id for one in lens.shown if inside.read_token_by_token(lens, one) != one]
    if not missing:
        return ""
    return (
        f" Of trial {' and '.join(missing)} what it wrote itself was not read, so its curve is missing there."
    )


def _lenses(lens: Lens) -> dict[str, CaptionedChart]:
    """Tuned and Jacobian lenses beside the logit lens; nothing where none was fitted."""
    rows = []
    for shown in lens.shown:
        if others := inside.other_lenses(lens, shown):
            panels = [
                Panel(_through(*through), inside.curves(lens, shown, through=through))
                for through in (inside.LOGIT, *others)
            ]
            rows.append((f"{shown.title}; n = {max(panels[0].rows['n'], default=0)} questions", panels))
    if not rows:
        return {}
    caption = (
        "The tuned lens maps every entry to be near the last one on neutral text, the Jacobian lens by its "
        "mean effect on the last one. One fitted on base is the same ruler for every arm; one fitted on the "
        "LoRA arm reads that arm alone."
    )
    return {"inside-lenses": CaptionedChart(lens_chart(rows), caption)}


def _through(name: str, fitted_on: str | None) -> str:
    names = {"logit": "logit lens", "tuned": "tuned lens", "jacobian": "Jacobian lens"}
    arms = {"base": "base", "lora": "the LoRA arm"}
    return names[name] + (f", fitted on {arms.get(fitted_on, fitted_on)}" if fitted_on else "")
