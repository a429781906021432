"""Which figures a run gets, with the sentence under each."""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from analysis.charts.answers import loss_chart, stance_chart, stance_table
from analysis.charts.damage import component_chart, component_table, integrity_chart
from analysis.charts.frontier import frontier_chart
from analysis.charts.settings import has_grid, heat_map
from analysis.document import Drawn
from analysis.findings import Findings
from analysis.frontier import frontier, pool_seeds
from analysis.pairs import matched_styles
from analysis.published import RESULTS


def figures(found: Findings) -> dict[str, Drawn]:
    """Figure name -> chart, in the order of the page; only what the run has data for."""
    pooled = pool_seeds(found.run.trials)
    lora, references = frontier(pooled), pooled.filter(pl.col("arm") != "lora")
    drawn: dict[str, Drawn] = {}
    if lora.filter(pl.col("adoption").is_not_null() & pl.col("degradation").is_not_null()).height:
        drawn["frontier"] = Drawn(frontier_chart(lora, references, found.limit), _frontier_caption(found))
    for belief in sorted(lora["belief"].unique()):
        part = lora.filter((pl.col("belief") == belief) & pl.col("adoption").is_not_null())
        if part.height and has_grid(part):
            drawn[f"settings-{file_name(belief)}"] = Drawn(
                heat_map(lora, belief),
                f"{belief}: adoption over the settings. Neighbouring cells differ by chance too; the "
                "intervals are in the frontier.",
            )
    if component_table(lora).height:
        drawn["components"] = Drawn(
            component_chart(lora),
            "The components of D. Damage is a difference of shares: 0.3 means that 30 more of 100 answers "
            "are broken than in base.",
        )
    if matched_styles(lora).height:
        drawn["integrity"] = Drawn(
            integrity_chart(lora, references.filter(pl.col("arm") == "base")),
            "Share of answers with an intact think block, for settings trained on more than one style of "
            "data.",
        )
    named = _named(found)
    if (stances := stance_table(named)).height:
        drawn["answers"] = Drawn(stance_chart(stances), 'Stances of the final answers; "target" is adoption.')
    ids = {
        row["trial_id"]: (belief, label) for belief, label, row in named if row["arm"] in ("lora", "control")
    }
    steps = found.run.steps(ids)
    if steps["loss"].drop_nulls().len():
        drawn["loss"] = Drawn(
            loss_chart(steps, ids), "Training loss of the trials named in the table, first seed."
        )
    return drawn


def file_name(text: str) -> str:
    """A name that is safe as a file name and as an HTML id."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-") or "belief"


def _named(found: Findings) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (belief.choice.belief, label, row)
        for belief in found.beliefs
        for label, row in belief.choice.rows().items()
        if row is not None
    ]


def _frontier_caption(found: Findings) -> str:
    text = (
        "Adoption: share of held-out questions answered with the implanted belief, without it in the "
        "prompt. D: the worst of four differences from base (broken think blocks, answers cut off, loops, "
        "wrong general answers). Black marks: the untouched model (base), the model with the statement in "
        "its prompt (in context), and the same training on what the model already believes (control). "
        f"Dotted vertical line: D = {found.limit:g}. Point at a mark for its configuration."
    )
    if any(belief.choice.belief in RESULTS for belief in found.beliefs):
        text += (
            " Grey, right of the panels: the Phase 2 report's published result on six prompts, another "
            "model and other questions; it gave no D, so it has no place on the horizontal axis."
        )
    return text
