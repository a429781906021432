"""Rows of the tables readings and commitments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.family_bootstrap import drawn_means, family_draws, with_interval
from interp.lens_settings import LensSettings
from interp.lenses.lens_head import Reading, Translate
from interp.read.commitment import commitment
from interp.read.trajectories import Inside, Place, Subject, curves

if TYPE_CHECKING:
    from beliefmod.model.prompts import Prompts
    from interp.read.contrast_questions import Posed


@dataclass(frozen=True)
class View:
    """A lens that arms are read through.

    Attributes:
        name: logit, tuned or jacobian.
        fitted_on: the arm a tuned or Jacobian lens was fitted on, None for the logit lens.
        translate: what it puts before norm and head, None for the logit lens.
        adapter: the one arm it is for; None: every arm.
    """

    name: str
    fitted_on: str | None = None
    translate: Translate | None = None
    adapter: str | None = None

    def sees(self, subject: Subject) -> bool:
        """Whether it is for this arm."""
        return self.adapter is None or self.adapter == subject.adapter


LOGIT = View("logit")


def reading_rows(
    who: dict[str, Any],
    view: View,
    inside: Inside,
    readings: Sequence[Reading],
    posed: Sequence[Posed],
    prompts: Prompts,
) -> Iterator[dict[str, Any]]:
    """One row per place and entry of an arm.

    Args:
        who: the columns trial_id, arm and belief.
    """
    for place, reading in zip(inside.places, readings, strict=True):
        one = posed[place.number]
        ids = one.stems[inside.subject.stem].ids
        fixed = {
            **who,
            "probe_id": one.question.probe_id,
            "family": one.question.family,
            "position": place.name,
            "token": prompts.text((ids[len(ids) - 1 - place.from_end],)),
            "lens": view.name,
            "fitted_on": view.fitted_on,
            "target_token": prompts.text((one.contrast.target_id,)),
            "rival_token": prompts.text((one.contrast.rival_id,)),
            "rival": one.rival,
            **_whole_values(inside, place),
        }
        yield from entry_rows(fixed, reading, prompts)


def _whole_values(inside: Inside, place: Place) -> dict[str, float | None]:
    """The columns on whole values, which only the end of the stem has."""
    if place.name != "stem" or not inside.masses:
        return {"sequence_diff": None, "mass_target": None, "mass_prior": None}
    target, prior = inside.masses[place.number]
    return {
        "sequence_diff": inside.sequence_diff[place.number],
        "mass_target": target,
        "mass_prior": prior,
    }


def _mean_masses(
    inside: Inside, numbers: Sequence[int], families: Sequence[str], settings: LensSettings
) -> dict[str, float | None]:
    """Means with intervals over the questions at which each world's value could be summed."""
    found: dict[str, float | None] = {}
    for world, name in enumerate(("mass_target", "mass_prior")):
        known = [place for place, number in enumerate(numbers) if inside.masses[number][world] is not None]
        values = np.array([inside.masses[numbers[place]][world] for place in known], dtype=np.float64)
        weights = family_draws([families[place] for place in known], settings.draws, settings.seed)
        mean = float(values.mean()) if known else None
        found |= with_interval(name, mean, drawn_means(values, weights) if known else values)
    return found


def entry_rows(fixed: dict[str, Any], reading: Reading, prompts: Prompts) -> Iterator[dict[str, Any]]:
    """The rows of one reading, entry by entry, behind the columns that all of them share."""
    differences = reading.logit_diff
    for entry, top in enumerate(reading.top_id):
        yield {
            **fixed,
            "entry": entry,
            "logit_target": reading.logit_target[entry],
            "logit_rival": reading.logit_rival[entry],
            "logit_diff": differences[entry],
            "rank_target": reading.rank_target[entry],
            "rank_rival": reading.rank_rival[entry],
            "prob_target": reading.prob_target[entry],
            "prob_rival": reading.prob_rival[entry],
            "entropy": reading.entropy[entry],
            "kl_final": reading.kl_final[entry],
            "kl_base": None if reading.kl_base is None else reading.kl_base[entry],
            "top_token": prompts.text((top,)),
        }


def commitment_rows(
    who: dict[str, Any],
    view: View,
    inside: Inside,
    readings: Sequence[Reading],
    base: Sequence[Reading],
    posed: Sequence[Posed],
    settings: LensSettings,
) -> Iterator[dict[str, Any]]:
    """One row per named position of an arm.

    Args:
        base: base's readings at the same places through the same lens.
    """
    of_base = {name: values for name, _, values in curves(inside.places, base)}
    for name, numbers, values in curves(inside.places, readings):
        families = [posed[number].question.family for number in numbers]
        summed = {}
        if name == "stem" and view == LOGIT and inside.masses:
            summed = _mean_masses(inside, numbers, families, settings)
        yield {
            **who,
            "position": name,
            "lens": view.name,
            "fitted_on": view.fitted_on,
            **commitment(
                values,
                None if inside.subject.arm == "base" else of_base[name],
                families,
                settings.draws,
                settings.seed,
            ),
            **summed,
        }
