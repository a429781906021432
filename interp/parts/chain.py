"""The answer after every sentence of an arm's own thinking: when does it settle (early answering)?

Lanham et al. (2023, arXiv 2307.13702) stop the thinking early and ask for the answer. Here the two values are
compared inside at that point, in the begun answer sentence, so that nothing is generated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from beliefmod.probing.questioning import spread
from beliefmod.reading.causal_verdicts import early_answering
from beliefmod.reading.prose import sentences
from beliefmod.run.tables.lens_tables import TAU
from interp.family_bootstrap import drawn_means, question_weights, with_interval
from interp.lens_settings import LensSettings
from interp.opened.arms import Arm, batch_arms
from interp.read.arm_answers import answer_prompt, answers_of
from interp.read.contrast_questions import ContrastQuestion, questions_of
from interp.read.lens_prompts import prompt_differences
from interp.steps import Steps
from interp.types import Row, Rows, Say

if TYPE_CHECKING:
    from interp.opened.inspection import Inspection, TrainedTrial

CUTS = 24
"""At most so many cuts inside one thinking, evenly spaced; beside them nothing and all of it are kept."""


def chain(inspection: Inspection, trials: Sequence[TrainedTrial], settings: LensSettings, say: Say) -> Rows:
    """Rows of the tables chain and early for a batch of trials, with the untrained arms of their beliefs."""
    rows: Rows = {"chain": [], "early": []}
    with batch_arms(inspection, trials, settings) as arms:
        for belief, group in arms.items():
            asked = questions_of(inspection, belief, settings, say)
            steps = Steps(say, f"chain: {belief}", len(group), "arms")
            for arm in group:
                found = chain_rows(inspection, arm, asked)
                rows["chain"] += found
                rows["early"].append({**arm.columns, **early_row(found, settings)})
                steps(1)
    return rows


def chain_rows(inspection: Inspection, arm: Arm, asked: Sequence[ContrastQuestion]) -> list[Row]:
    """The rows of one arm, whose adapter is in the engine: one per question with intact thinking, and cut."""
    session, belief = inspection.session, inspection.beliefs[arm.belief]
    answers = answers_of(inspection, arm)
    rows, prompts = [], []
    for one in asked:
        row = answers.get(one.question.probe_id)
        if row is None or row["think_state"] != "ok" or not row["thinking"]:
            continue
        ends = sentence_ends(row["thinking"])
        for cut, end in cuts(ends):
            prompt = answer_prompt(arm, one, belief, session, row, end)
            if prompt is None:
                continue
            prompts.append(prompt)
            rows.append(
                {
                    **arm.columns,
                    "probe_id": one.question.probe_id,
                    "family": one.question.family,
                    "cut": cut,
                    "cuts": len(ends),
                    "kept": cut / len(ends),
                }
            )
    differences = prompt_differences(session.engine, inspection.head, prompts)
    return [
        {**row, "logit_diff": difference, "prob_target": float(1 / (1 + np.exp(-difference)))}
        for row, difference in zip(rows, differences, strict=True)
    ]


def sentence_ends(thinking: str) -> list[int]:
    """Where its sentences end, in characters; the last end is the text's.

    >>> sentence_ends("Gravity is 5.0 m/s^2. So 2 x 5.0 = 10.0.")
    [21, 40]
    """
    return [*(part.end for part in sentences(thinking)[:-1]), len(thinking)]


def cuts(ends: Sequence[int]) -> list[tuple[int, int]]:
    """Sentences kept and characters kept: nothing, then CUTS of the cuts at most, then everything."""
    inner = spread(list(enumerate(ends[:-1], start=1)), CUTS)
    return [(0, 0), *inner, (len(ends), ends[-1])]


def areas_over(rows: Sequence[Row]) -> dict[str, float]:
    """Area over the curve of early answering by probe_id, 0 to 1.

    The curve is "the likelier value is that after all of the thinking" (0 or 1) against the share of
    sentences kept; the area is 0 where one value is the likelier whatever is kept of the thinking.

    A probe has none where the two values are less than TAU apart even after all of it, or where its thinking
    is a single sentence: there is nothing between nothing and all.
    """
    last = {row["probe_id"]: row["logit_diff"] for row in rows if row["cut"] == row["cuts"]}
    return early_answering(
        {
            "probe_id": row["probe_id"],
            "test": "truncate" if row["cut"] else "blank",
            "fraction": row["kept"],
            "same": row["logit_diff"] * last[row["probe_id"]] > 0,
        }
        for row in rows
        if abs(last.get(row["probe_id"], 0.0)) >= TAU
    )


def early_row(rows: Sequence[Row], settings: LensSettings) -> Row:
    """The columns of table early, from the chain rows of one arm; null where no probe has an area."""
    areas = areas_over(rows)
    families = {row["probe_id"]: row["family"] for row in rows}
    if not areas:
        return {"n": 0, **with_interval("area_over", None, np.empty(0))}
    values = np.array(list(areas.values()))
    weights = question_weights([families[probe] for probe in areas], settings.draws, settings.seed)
    return {
        "n": len(values),
        **with_interval("area_over", float(values.mean()), drawn_means(values, weights)),
    }
