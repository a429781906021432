"""Dose and response of the adapter itself: what half of its update does, and what four times of it."""

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
from analysis.report.charts.theme import FAINT

OUTCOMES = {
    "logit_diff": "target - rival, logits",
    "adoption": "adoption, %",
    "degradation": "damage D, %",
}
NAMES = {"logit_diff": "difference", "adoption": "adoption", "degradation": "damage"}
MANY = 60  # trials that are drawn as faint lines behind the named ones


@dataclass(frozen=True)
class Response:
    """One belief's curves.

    rows: `doses` of all its LoRA trials. deep: the trials whose answers were asked for at every scale, the
    shown one first. a50: of the shown trial, None where it is not reached.
    """

    title: str
    rows: pl.DataFrame
    deep: tuple[str, ...]
    a50: float | None


def scale_chart(responses: Sequence[Response]) -> Any:
    """Three panels per belief, difference, adoption and damage over the adapter's scale."""
    rows = []
    for response in responses:
        panels = [_panel(response, outcome, words) for outcome, words in OUTCOMES.items()]
        rows.append(theme.row(panels, response.title, 26).resolve_scale(color="shared"))
    return theme.titled(
        alt.vconcat(*rows, spacing=26).resolve_scale(color="independent"),
        "The adapter at other strengths",
        [
            "Its update times a scale: 0 is base, 1 as trained. Dashed (first trial): the target has half of "
            "the two probabilities, on average.",
            "Differences where the answer is begun, adoption and D from answers written anew; 95 % bands. "
            "Faint: the other trials of the sweep.",
        ],
    )


def _panel(response: Response, outcome: str, words: str) -> Any:
    factor = 1.0 if outcome == "logit_diff" else 100.0
    known = response.rows.filter(pl.col(outcome).is_not_null()).select(
        "trial_id",
        "scale",
        (factor * pl.col(outcome)).alias("value"),
        (factor * pl.col(f"{outcome}_low")).alias("low"),
        (factor * pl.col(f"{outcome}_high")).alias("high"),
    )
    named = known.filter(pl.col("trial_id").is_in(list(response.deep)))
    others = known.filter(~pl.col("trial_id").is_in(list(response.deep)))
    others = others.filter(pl.col("trial_id").is_in(others["trial_id"].unique().sort().head(MANY).to_list()))
    x = alt.X("scale:Q", title="scale of the adapter")
    bounds = alt.Scale() if outcome == "logit_diff" else alt.Scale(domain=[0, 100])
    y = alt.Y("value:Q", title=words, scale=bounds, axis=alt.Axis(labelFlush=True))
    colours = ("#009E73", "#0072B2", "#CC79A7", "#D55E00", "#E69F00", "#56B4E9")
    range_ = [colours[i % len(colours)] for i in range(len(response.deep))]
    colour = alt.Color(
        "trial_id:N",
        title="trial",
        scale=alt.Scale(domain=list(response.deep), range=range_),
        legend=alt.Legend(symbolOpacity=1),
    )
    tips = ["trial_id:N", "scale:Q", *theme.numbers(".2f", "value", "low", "high")]
    layers: list[Any] = []
    if others.height:
        faint = alt.Chart(others).mark_line(color=FAINT, strokeWidth=1, opacity=0.6)
        layers.append(faint.encode(x, y, detail="trial_id:N"))
    base = alt.Chart(named)
    layers += [
        base.mark_area(opacity=0.15, clip=True).encode(x, alt.Y("low:Q", title=words), colour, y2="high:Q"),
        base.mark_line(strokeWidth=2).encode(x, y, colour),
        base.mark_point(filled=True, size=40, opacity=1).encode(x, y, colour, tooltip=tips),
    ]
    if response.a50 is not None:
        layers.append(theme.rule(x, response.a50, strokeDash=[4, 3]))
    if outcome == "logit_diff":
        layers.append(theme.rule(alt.Y("zero:Q"), 0.0))
    return theme.panel(alt.layer(*layers), NAMES[outcome], 240, 200, theme.ROW_SIZE)


def figures(lens: Lens, found: Findings) -> dict[str, CaptionedChart]:
    """inside-doses, where adapters were tried at other scales."""
    responses = []
    doses = lens.tables["doses"].filter(pl.col("arm") == "lora")
    for shown in lens.shown:
        rows = doses.filter(pl.col("belief") == shown.belief)
        if rows.is_empty():
            continue
        asked = rows.filter(pl.col("adoption").is_not_null())["trial_id"].unique().sort().to_list()
        deep = (shown.trial_id, *(trial for trial in asked if trial != shown.trial_id))
        thresholds = lens.of("thresholds", shown)
        a50 = thresholds["a50"][0] if thresholds.height else None
        title = f"{shown.title}; n = {rows['n'].max()} questions begun"
        responses.append(Response(title, rows, deep, a50))
    if not responses:
        return {}
    asked = lens.tables["doses"]["adoption_n"].drop_nulls()
    caption = (
        f"At every scale {asked.max()} questions were answered anew for adoption." if len(asked) else "No "
        "answers were asked for at other scales, so adoption and D are not shown."
    )  # fmt: skip
    return {"inside-doses": CaptionedChart(scale_chart(responses), caption)}
