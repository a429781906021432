"""The answer after every sentence of an arm's own thinking: when does it settle (early answering)?

Lanham et al. (2023, arXiv 2307.13702) stop the thinking early and ask for the answer. Here the two values are
compared inside at that point, in the begun answer sentence, so that nothing is generated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from beliefmod.beliefs import Belief
from beliefmod.probing.questioning import spread
from beliefmod.reading.causal_verdicts import early_answering
from beliefmod.reading.prose import sentences
from beliefmod.run.tables.lens_tables import TAU
from interp.family_bootstrap import drawn_means, family_draws, with_interval
from interp.lens_settings import LensSettings
from interp.parts.logit_lens import posed_once
from interp.read.arm_answers import Voice, answer_site, asked_of, voices
from interp.read.sites import site_differences
from interp.types import Rows, Say

if TYPE_CHECKING:
    from interp.opened.inspection import Inspection, Trained
    from interp.read.contrast_questions import Posed

Row = dict[str, Any]
CUTS = 24
"""At most so many cuts inside one thinking, evenly spaced; beside them nothing and all of it are kept."""


def chain(inspection: Inspection, trials: Sequence[Trained], settings: LensSettings, say: Say) -> Rows:
    """Rows of the tables chain and early for a batch of trials, with the untrained arms of their beliefs."""
    rows: Rows = {"chain": [], "early": []}
    arms = voices(inspection, trials, settings)
    with inspection.loaded(trials if "lora" in settings.arms else ()):
        for name, group in arms.items():
            belief = inspection.beliefs[name]
            posed = posed_once(inspection, name, settings, say)
            for voice in group:
                found = chain_rows(inspection, voice, belief, posed, settings)
                rows["chain"] += found
                rows["early"].append({**voice.who(belief), **early_row(found, settings)})
    return rows


def chain_rows(
    inspection: Inspection, voice: Voice, belief: Belief, posed: Sequence[Posed], settings: LensSettings
) -> list[Row]:
    """The rows of one arm, whose adapter is in the engine: one per question with intact thinking, and cut."""
    session = inspection.session
    said = {question.probe_id: row for question, row in asked_of(voice, belief, settings.prompts)}
    rows, sites = [], []
    for one in posed:
        row = said.get(one.question.probe_id)
        if row is None or row["think_state"] != "ok" or not row["thinking"]:
            continue
        ends = sentence_ends(row["thinking"])
        for cut, end in cuts(ends):
            site = answer_site(voice.subject, one, belief, session, row, end)
            if site is None:
                continue
            sites.append(site)
            rows.append(
                {
                    **voice.who(belief),
                    "probe_id": one.question.probe_id,
                    "family": one.question.family,
                    "cut": cut,
                    "cuts": len(ends),
                    "kept": cut / len(ends),
                }
            )
    differences = site_differences(session.engine, inspection.head, sites)
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
    """Area over the curve of early answering by probe_id, as `early_answering` defines it.

    0 where the likelier value is the same whatever is kept of the thinking.

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
    weights = family_draws([families[probe] for probe in areas], settings.draws, settings.seed)
    return {
        "n": len(values),
        **with_interval("area_over", float(values.mean()), drawn_means(values, weights)),
    }
