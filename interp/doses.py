"""Dose and response: the same adapter weaker and stronger, inside and in its answers.

The update is scaled through lora_alpha: 0 is base and 1 the adapter, exactly. So every adapter gives a curve
of adoption against damage of its own, without training again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.bootstrap import drawn_means, family_draws, with_interval
from interp.contrasts import Array, Posed, at_stem, final_differences
from interp.lens import posed_once
from interp.settings import DAMAGE, LensSettings, Rows, Say, deep_trials

if TYPE_CHECKING:
    from beliefmod.beliefs import Question
    from beliefmod.model.adapter_files import AdapterFile
    from interp.inspection import Inspection, Trained

HALF = 0.5
ANSWERED = ("adoption", "adoption_n", "adoption_low", "adoption_high",
            "degradation", "degradation_low", "degradation_high", "degradation_by")  # fmt: skip
"""Columns of the trial table that are measured again at every scale."""
Measured = dict[str, Any]


@dataclass(frozen=True)
class _Dose:
    trial: Trained
    scale: float

    @property
    def name(self) -> str:
        """Its adapter's name in the engine."""
        return f"{self.trial.trial_id} at {self.scale}"


def doses(inspection: Inspection, trials: Sequence[Trained], settings: LensSettings, say: Say) -> Rows:
    """Rows of `doses` and `thresholds`: stem differences for all of these trials, answers for the deep ones.

    Scale 0 is always among the scales: it is what the others are compared with.
    """
    found: Rows = {"doses": [], "thresholds": []}
    if "lora" not in settings.arms:
        return found
    scales = sorted({0.0, *settings.scales})
    all_doses = [_Dose(trial, scale) for trial in trials for scale in scales]
    deep = {trial.trial_id for trial in deep_trials(inspection, settings)}
    answers = _answers(inspection, [dose for dose in all_doses if dose.trial.trial_id in deep], say)
    posed = {t.belief: posed_once(inspection, t.belief, settings, say) for t in trials}
    inside = _inside(inspection, [dose for dose in all_doses if posed[dose.trial.belief]], posed)
    for trial in trials:
        asked = posed[trial.belief]
        if not asked:
            continue
        differences = np.stack([inside[_Dose(trial, scale).name] for scale in scales])
        weights = family_draws([one.question.family for one in asked], settings.draws, settings.seed)
        who = {"trial_id": trial.trial_id, "arm": trial.config.arm, "belief": trial.belief}
        measured = [answers.get(_Dose(trial, scale).name) for scale in scales]
        found["doses"] += [
            who | row | (more or dict.fromkeys(ANSWERED))
            for row, more in zip(curve(scales, differences, weights), measured, strict=True)
        ]
        found["thresholds"].append(who | thresholds(scales, differences, weights, measured))
    return found


def scaled(adapter: AdapterFile, scale: float) -> AdapterFile:
    """The adapter with its update times `scale`; its tensors are shared, not copied."""
    return replace(adapter, alpha=adapter.alpha * scale)


def curve(scales: Sequence[float], differences: Array, weights: Array) -> list[dict[str, Any]]:
    """What is seen at the end of the stem, one row per scale, with intervals over question families.

    Args:
        differences: (scales, questions), logits.
        weights: (draws, questions) of `family_draws`.
    """
    chances = chance(differences)
    return [
        {
            "scale": scale,
            "n": differences.shape[1],
            **with_interval("logit_diff", float(row.mean()), drawn_means(row, weights)),
            **with_interval("prob_target", float(p.mean()), drawn_means(p, weights)),
        }
        for scale, row, p in zip(scales, differences, chances, strict=True)
    ]


def thresholds(
    scales: Sequence[float], differences: Array, weights: Array, measured: Sequence[Measured | None]
) -> dict[str, Any]:
    """Where the curves turn, in scales of the adapter; see the table `thresholds`.

    Args:
        scales: rising.
        differences: (scales, questions), logits.
        weights: (draws, questions) of `family_draws`.
        measured: the columns ANSWERED at every scale, None where no answers were asked for.
    """
    chances = chance(differences)
    value = float(crossing(scales, chances.mean(1)[None])[0])
    drawn = crossing(scales, drawn_means(chances.T, weights))
    known = drawn[~np.isnan(drawn)]
    asked = [one for one in measured if one is not None]
    damage, ends = None, [None, None, None]
    if asked:
        names = ("adoption", "adoption_high", "adoption_low")  # the higher curve is the first to cross
        rates = np.array([[one[name] for one in asked] for name in names], dtype=np.float64)
        ends = [float(scale) if np.isfinite(scale) else None for scale in crossing(scales, rates)]
        damage = first_damage(scales, [one["degradation_low"] for one in asked])
    return {
        "n": differences.shape[1],
        **with_interval("a50", value, drawn),
        "a50_never": float(np.isinf(known).mean()) if len(known) else None,
        "adoption50": ends[0],
        "adoption50_low": ends[1],
        "adoption50_high": ends[2],
        "damage_from": damage,
        "note": _note(value, bool(asked), ends[0], damage, max(scales)),
    }


def _note(
    a50: float, answered: bool, adoption50: float | None, damage: float | None, largest: float
) -> str | None:
    """Why numbers are null, in a sentence; None where none is."""
    said = []
    if not np.isfinite(a50):
        said.append(
            f"inside, the target does not come to half of the two probabilities up to scale {largest:g}"
        )
    if not answered:
        said.append("answers were asked for at no other scale than 1, in the sweep")
    elif adoption50 is None:
        said.append(f"adoption is not seen to come to {HALF:g} up to scale {largest:g}")
    if answered and damage is None:
        said.append(f"no damage above {DAMAGE:g} is certain up to scale {largest:g}")
    return "; ".join(said) or None


def chance(differences: Array) -> Array:
    """p(target) / (p(target) + p(rival)) from differences of logits, of any shape; 0.5 at 0."""
    return 0.5 * (1.0 + np.tanh(0.5 * differences))


def crossing(scales: Sequence[float], curves: Array, level: float = HALF) -> Array:
    """The smallest scale at which each curve is at `level` or above, linear between the scales.

    Example: 0.2 at scale 0 and 0.8 at scale 1 -> 0.5.

    Args:
        scales: (S,), rising.
        curves: (M, S).

    Returns:
        (M,): the first scale itself for a curve that begins there, infinity for one that never gets there,
        NaN for one that is NaN on the way.
    """
    at = np.asarray(scales, dtype=np.float64)
    above = curves >= level
    ever, first, rows = above.any(1), above.argmax(1), np.arange(len(curves))
    before = np.maximum(first - 1, 0)
    low, high = curves[rows, before], curves[rows, first]
    step = np.where(first == before, 0.0, (level - low) / np.where(first == before, 1.0, high - low))
    found = np.where(ever, at[before] + step * (at[first] - at[before]), np.inf)
    on_the_way = np.arange(len(at)) < np.where(ever, first, len(at))[:, None]
    return np.where((np.isnan(curves) & on_the_way).any(1), np.nan, found)


def first_damage(scales: Sequence[float], lows: Sequence[float | None]) -> float | None:
    """The smallest scale at which the lower end of D's interval is above DAMAGE; None if there is none."""
    found = [s for s, low in zip(scales, lows, strict=True) if low is not None and low > DAMAGE]
    return min(found, default=None)


def _inside(
    inspection: Inspection, wanted: Sequence[_Dose], posed: dict[str, tuple[Posed, ...]]
) -> dict[str, Array]:
    """The difference at the end of every stem at every dose, (questions,) each, by its name."""
    engine = inspection.lab.engine
    found: dict[str, Array] = {}
    for part in _in_turns(inspection, wanted):
        asked = [(dose, posed[dose.trial.belief]) for dose in part]
        numbers = final_differences(
            engine,
            inspection.head,
            [row for dose, some in asked for row in at_stem(some, "lora", dose.name)],
            [one.contrast for _, some in asked for one in some],
        )
        ends = np.cumsum([len(some) for _, some in asked])[:-1]
        names = [dose.name for dose in part]
        found |= dict(zip(names, np.split(numbers, ends), strict=True))
    return found


def _answers(inspection: Inspection, wanted: Sequence[_Dose], say: Say) -> dict[str, Measured]:
    """The columns ANSWERED at every dose, by its name: the sweep's own evaluation, questions and seeds.

    The causal tests and the margins, on which none of these columns depends, are left out.
    """
    from beliefmod.drift import measure_drift
    from beliefmod.evaluate.summary import summarise
    from beliefmod.questioning import Subject, ask

    lab = replace(
        inspection.lab, evaluation=inspection.lab.evaluation.model_copy(update={"margin_probes": 0})
    )
    found: dict[str, Measured] = {}
    for part in _in_turns(inspection, wanted):
        say(f"doses: answers at {len(found) + 1} to {len(found) + len(part)} of {len(wanted)} scales")
        subjects = [
            Subject(dose.trial.config, dose.name, trained_on(inspection, dose.trial)) for dose in part
        ]
        probes, drift = ask(subjects, lab), measure_drift(subjects, lab)
        for dose, asked, drifted in zip(part, probes, drift, strict=True):
            references = [lab.reference(dose.trial.config.belief, arm) for arm in ("base", "icl")]
            metrics = summarise(asked, *references, drift=drifted)
            found[dose.name] = {name: metrics[name] for name in ANSWERED}
    return found


def trained_on(inspection: Inspection, trial: Trained) -> tuple[Question, ...]:
    """The training questions that a trial was asked, in order: probes are numbered through all tiers, and a
    probe's seed is its number."""
    known = {question.probe_id: question for question in inspection.beliefs[trial.belief].training}
    rows = inspection.folder.finished_rows("probes", trial.trial_id) or []
    return tuple(known[row["probe_id"]] for row in rows if row["tier"] == "trained")


def _in_turns(inspection: Inspection, wanted: Sequence[_Dose]) -> Iterator[list[_Dose]]:
    """The doses whose adapters are in the engine now, until the next are asked for."""
    named = {dose.name: dose for dose in wanted}

    def made() -> Iterator[tuple[str, AdapterFile]]:
        for trial in dict.fromkeys(dose.trial.trial_id for dose in wanted):
            adapter = inspection.adapter(trial)
            for dose in wanted:
                if dose.trial.trial_id == trial:
                    yield dose.name, scaled(adapter, dose.scale)

    for names in inspection.in_turns(made()):
        yield [named[name] for name in names]
