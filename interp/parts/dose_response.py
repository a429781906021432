"""Dose and response: the same adapter weaker and stronger, inside and in its answers.

The update is scaled through lora_alpha: 0 is base and 1 the adapter, exactly. So every adapter gives a curve
of adoption against damage of its own, without training again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from beliefmod.metrics.registry import DAMAGE_BUDGET
from interp.family_bootstrap import Array, drawn_means, question_weights, with_interval
from interp.lens_settings import LensSettings
from interp.opened.arms import deep_trials, trained_arm
from interp.parts.dose_answers import ANSWERED, Dose, Measured, answered, in_turns
from interp.read.contrast_questions import ContrastQuestion, at_stem, final_differences, questions_of
from interp.steps import Steps, Told, untold
from interp.types import Row, Rows, Say

if TYPE_CHECKING:
    from interp.opened.inspection import Inspection, TrainedTrial

HALF = 0.5


def doses(inspection: Inspection, trials: Sequence[TrainedTrial], settings: LensSettings, say: Say) -> Rows:
    """Rows of `doses` and `thresholds`: stem differences for all of these trials, answers for the deep ones.

    Scale 0 is always among the scales: it is what the others are compared with.
    """
    found: Rows = {"doses": [], "thresholds": []}
    if "lora" not in settings.arms:
        return found
    scales = sorted({0.0, *settings.scales})
    all_doses = [Dose(trial, scale) for trial in trials for scale in scales]
    deep = {trial.trial_id for trial in deep_trials(inspection, settings)}
    answers = answered(inspection, [dose for dose in all_doses if dose.trial.trial_id in deep], say)
    questions = {t.belief: questions_of(inspection, t.belief, settings, say) for t in trials}
    to_read = [dose for dose in all_doses if questions[dose.trial.belief]]
    prompts = sum(len(questions[dose.trial.belief]) for dose in to_read if dose.scale)
    steps = Steps(say, "doses", prompts, "scaled adapters x prompts")
    inside = _inside(inspection, to_read, questions, steps)
    for trial in trials:
        asked = questions[trial.belief]
        if not asked:
            continue
        differences = np.stack([inside[Dose(trial, scale).name] for scale in scales])
        weights = question_weights([one.question.family for one in asked], settings.draws, settings.seed)
        who = trained_arm(trial).columns
        measured = [answers.get(Dose(trial, scale).name) for scale in scales]
        found["doses"] += [
            who | row | (more or dict.fromkeys(ANSWERED))
            for row, more in zip(curve(scales, differences, weights), measured, strict=True)
        ]
        found["thresholds"].append(who | thresholds(scales, differences, weights, measured))
    return found


def curve(scales: Sequence[float], differences: Array, weights: Array) -> list[Row]:
    """What is seen at the end of the stem, one row per scale, with intervals over question families.

    Args:
        differences: (scales, questions), logits.
        weights: (draws, questions) of `question_weights`.
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
) -> Row:
    """Where the curves turn, in scales of the adapter; see the table `thresholds`.

    Args:
        scales: rising.
        differences: (scales, questions), logits.
        weights: (draws, questions) of `question_weights`.
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
        said.append(f"no damage above {DAMAGE_BUDGET:g} is certain up to scale {largest:g}")
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
    """The smallest scale at which the lower end of D's interval is above DAMAGE_BUDGET; None without one."""
    found = [s for s, low in zip(scales, lows, strict=True) if low is not None and low > DAMAGE_BUDGET]
    return min(found, default=None)


def _inside(
    inspection: Inspection,
    wanted: Sequence[Dose],
    questions: dict[str, tuple[ContrastQuestion, ...]],
    told: Told,
) -> dict[str, Array]:
    """The difference at the end of every stem at every dose, (questions,) each, by its name.

    Scale 0 is base, to the last bit, and is read once for all trials of a belief. `told` hears now and then
    how many more rows of the other scales went through the model.
    """
    engine = inspection.session.engine

    def read(asked: Sequence[tuple[str | None, tuple[ContrastQuestion, ...]]], told: Told) -> list[Array]:
        rows = [row for adapter, some in asked for row in at_stem(some, "lora", adapter)]
        contrasts = [one.tokens for _, some in asked for one in some]
        numbers = final_differences(engine, inspection.head, rows, contrasts, told)
        return np.split(numbers, np.cumsum([len(some) for _, some in asked])[:-1])

    found: dict[str, Array] = {}
    for dose in wanted:
        if dose.scale == 0.0:
            some = questions[dose.trial.belief]
            key = ("at base", tuple(one.question.probe_id for one in some))
            found[dose.name] = inspection.once(key, lambda some=some: read([(None, some)], untold)[0])
    for part in in_turns(inspection, [dose for dose in wanted if dose.scale]):
        numbers = read([(dose.name, questions[dose.trial.belief]) for dose in part], told)
        found |= dict(zip([dose.name for dose in part], numbers, strict=True))
    return found
