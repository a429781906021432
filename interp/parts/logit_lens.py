"""The lens over a run: what every entry of every arm would say, and from where on it keeps to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from beliefmod.beliefs import Question
from interp.lens_settings import LensSettings
from interp.lenses.lens_fit import Lens
from interp.opened.arms import Arm, batch_arms, deep_trials, untrained_arm
from interp.read.arm_answers import answer_prompt, answers_of, asked_of, base_answers, own_prompts
from interp.read.contrast_questions import ContrastQuestion, neighbours_of, questions_of, vocabulary
from interp.read.fitted_lenses import lenses_of
from interp.read.lens_prompts import LensPrompt, read_prompts
from interp.read.lens_rows import PositionReading, commitment_rows, reading_rows
from interp.read.stem_readings import (
    arm_residuals,
    named_positions,
    neighbour_positions,
    stem_readings,
    tail_positions,
)
from interp.steps import Steps
from interp.types import Rows, Say

if TYPE_CHECKING:
    from interp.opened.inspection import Inspection, TrainedTrial


def lens(inspection: Inspection, trials: Sequence[TrainedTrial], settings: LensSettings, say: Say) -> Rows:
    """Rows of readings and commitments for a batch of trials, with the untrained arms of their beliefs.

    Every arm is read at the end of the stem and at the entity of every question, and at the end of the stems
    of questions about other things; the untrained ones and the trials of `deep_trials` also before the values
    in their own completions, and for one question per belief at every token that the arms' stems share.
    """
    rows: Rows = {"readings": [], "commitments": []}
    with batch_arms(inspection, trials, settings) as arms:
        for belief, wanted in arms.items():
            if asked := questions_of(inspection, belief, settings, say):
                _read_belief(inspection, belief, asked, wanted, settings, say, rows)
    return rows


def _read_belief(
    inspection: Inspection,
    belief: str,
    asked: Sequence[ContrastQuestion],
    wanted: Sequence[Arm],
    settings: LensSettings,
    say: Say,
    rows: Rows,
) -> None:
    """Add the rows of some arms of one belief; the trained ones are in the engine."""
    engine, head, prompts = inspection.session.engine, inspection.head, inspection.session.prompts
    arms = list(dict.fromkeys((untrained_arm(inspection, belief, "base"), *wanted)))
    deep = {trial.trial_id for trial in deep_trials(inspection, settings)}
    examined = [arm for arm in arms if arm.adapter is None or arm.trial_id in deep]
    lenses = lenses_of(inspection, [arm.trial_id for arm in examined if arm.adapter], settings, say)
    others = neighbours_of(inspection, belief, say)
    rows_of_all = len(arms) * (len(asked) + len(others)) + len(examined)
    through = Steps(say, f"lens: {belief}, through the model", rows_of_all, "arms x prompts")
    named = arm_residuals(engine, head, arms, asked, named_positions(asked), vocabulary(inspection), through)
    ends = neighbour_positions(others)
    near = arm_residuals(engine, head, arms, others, ends, told=through) if others else []
    tail = arm_residuals(engine, head, examined, asked, tail_positions(asked[0]), told=through)
    sources = [(asked, named), (others, near), (asked, tail)]
    places = len(lenses) * sum(len(one.positions) for _, found in sources for one in found)
    reading = Steps(say, f"lens: {belief}, through the head", places, "arms x positions")
    for lens in lenses:
        for source, (questions, found) in enumerate(sources):
            shown = [r for r in found if r is found[0] or (r.arm in wanted and lens.reads(r.arm.adapter))]
            read_of = stem_readings(head, shown, questions, lens.translate, reading) if shown else ()
            for residuals, read in zip(shown, read_of, strict=True):
                if residuals.arm in wanted and lens.reads(residuals.arm.adapter):
                    rows["readings"] += reading_rows(residuals.arm, lens, read, prompts)
                    if source < 2:  # at single tokens of the tail one question commits to nothing
                        rows["commitments"] += commitment_rows(residuals.arm, lens, read, settings)
    for arm in (arm for arm in examined if arm in wanted):
        placed = _completions(inspection, arm, asked, settings)
        for lens in (lens for lens in lenses if lens.reads(arm.adapter)):
            read = _completion_readings(inspection, lens, placed)
            rows["readings"] += reading_rows(arm, lens, read, prompts)
            rows["commitments"] += commitment_rows(arm, lens, read, settings)


def _completions(
    inspection: Inspection, arm: Arm, asked: Sequence[ContrastQuestion], settings: LensSettings
) -> list[tuple[Question, str, LensPrompt]]:
    """Positions in completions at which an arm is read, with their questions and names.

    "thinking" and "answer": before the value in the arm's own completion; "answer_shared": before the value
    in the answer after base's thinking.
    """
    session, belief = inspection.session, inspection.beliefs[arm.belief]
    thoughts = base_answers(inspection, arm.belief)
    by_probe = {one.question.probe_id: one for one in asked}
    found = []
    for question, row in asked_of(answers_of(inspection, arm), belief, settings.prompts):
        own = own_prompts(arm, row, question, belief, session)
        found += [(question, name, prompt) for name, prompt in own.items()]
        one, thought = by_probe.get(question.probe_id), thoughts.get(question.probe_id)
        if one is None or thought is None or thought["think_state"] != "ok":
            continue
        shared = answer_prompt(arm, one, belief, session, thought)
        if shared is not None:
            found.append((question, "answer_shared", shared))
    return found


def _completion_readings(
    inspection: Inspection, lens: Lens, placed: Sequence[tuple[Question, str, LensPrompt]]
) -> list[PositionReading]:
    """Base reads the same tokens to be compared with (kl_base); there are no differences of base, for base
    itself wrote something else."""
    prompts = [prompt for _, _, prompt in placed]
    read = read_prompts(inspection.session.engine, inspection.head, prompts, lens.translate)
    return [
        PositionReading(question, name, prompt.ids[-1], found.tokens, prompt.rival, found.reading)
        for (question, name, prompt), found in zip(placed, read, strict=True)
    ]
