"""Rows of the tables readings and commitments, from what a lens reads at positions of questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from interp.family_bootstrap import drawn_means, question_weights, with_interval
from interp.lens_settings import LensSettings
from interp.lenses.lens_fit import Lens
from interp.lenses.lens_metrics import AnswerTokens, Reading
from interp.opened.arms import Arm
from interp.read.commitment import commitment
from interp.types import Row

if TYPE_CHECKING:
    from beliefmod.beliefs import Question
    from beliefmod.model.prompts import Prompts

_NOTHING: Mapping[str, float | None] = {"sequence_diff": None, "mass_target": None, "mass_prior": None}


@dataclass(frozen=True)
class PositionReading:
    """What a lens reads at one position of one question under one arm.

    Attributes:
        position: its name in the column position.
        token_id: the token that stands there.
        tokens: the two that are compared there as the next one.
        rival: what the second of them is: prior, base_top1 or correct.
        base_diff: base's logit differences at that position, one per entry; None where there is nothing to
            compare with, as for base itself.
        whole: sequence_diff (nats), mass_target and mass_prior (0 to 1) where whole values were scored.
    """

    question: Question
    position: str
    token_id: int
    tokens: AnswerTokens
    rival: str
    reading: Reading
    base_diff: Sequence[float] | None = None
    whole: Mapping[str, float | None] | None = None


def reading_rows(arm: Arm, lens: Lens, found: Sequence[PositionReading], prompts: Prompts) -> Iterator[Row]:
    """Rows of readings: one per position and entry of an arm."""
    for one in found:
        fixed = {
            **arm.columns,
            "probe_id": one.question.probe_id,
            "family": one.question.family,
            "position": one.position,
            "token": prompts.text((one.token_id,)),
            "lens": lens.name,
            "fitted_on": lens.fitted_on,
            "target_token": prompts.text((one.tokens.target_id,)),
            "rival_token": prompts.text((one.tokens.rival_id,)),
            "rival": one.rival,
            **(one.whole or _NOTHING),
        }
        columns = {name: values for name, values in one.reading.items() if name != "top_id"}
        for entry, top in enumerate(one.reading["top_id"]):
            numbers = {name: values[entry] for name, values in columns.items()}
            yield {**fixed, "entry": entry, **numbers, "top_token": prompts.text((int(top),))}


def commitment_rows(
    arm: Arm, lens: Lens, found: Sequence[PositionReading], settings: LensSettings
) -> Iterator[Row]:
    """Rows of commitments: one per named position of an arm."""
    for name in dict.fromkeys(one.position for one in found):
        here = [one for one in found if one.position == name]
        base = [one.base_diff for one in here if one.base_diff is not None]
        yield {
            **arm.columns,
            "position": name,
            "lens": lens.name,
            "fitted_on": lens.fitted_on,
            **commitment(
                np.array([one.reading["logit_diff"] for one in here]),
                np.array(base) if base else None,
                [one.question.family for one in here],
                settings.draws,
                settings.seed,
            ),
            **(_mean_masses(here, settings) if lens.name == "logit" else {}),
        }


def _mean_masses(here: Sequence[PositionReading], settings: LensSettings) -> Row:
    """Means with intervals over the questions at which each world's value could be summed; none where no
    whole value was scored."""
    found: Row = {}
    scored = [(one.question.family, one.whole) for one in here if one.whole is not None]
    for name in ("mass_target", "mass_prior") if scored else ():
        known = [(family, mass) for family, whole in scored if (mass := whole[name]) is not None]
        values = np.array([mass for _, mass in known], dtype=np.float64)
        weights = question_weights([family for family, _ in known], settings.draws, settings.seed)
        mean = float(values.mean()) if known else None
        found |= with_interval(name, mean, drawn_means(values, weights) if known else values)
    return found
