"""The lens over a run: what every entry of every arm would say, and from where on it keeps to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from interp.lens_settings import LensSettings
from interp.opened.listing import deep_trials, first_of_belief
from interp.parts.value_readings import value_rows
from interp.read.arm_answers import voice_of
from interp.read.contrast_questions import Posed, pose, pose_elsewhere, vocabulary
from interp.read.fitted_lenses import views
from interp.read.reading_rows import View, commitment_rows, reading_rows
from interp.read.trajectories import (
    Inside,
    Subject,
    elsewhere_places,
    look,
    named_places,
    read,
    tail_places,
)
from interp.types import NOTE, Rows, Say

if TYPE_CHECKING:
    from interp.opened.inspection import Inspection, Trained

ELSEWHERE_QUESTIONS = 12
"""Most questions about other things, spread over the file."""


def lens(inspection: Inspection, trials: Sequence[Trained], settings: LensSettings, say: Say) -> Rows:
    """Rows of readings and commitments for a batch of trials, with the untrained arms of their beliefs.

    Every arm is read at the end of the stem and at the entity of every question, and at the end of the stems
    of questions about other things; the untrained ones and the
    trials of `deep_trials` also before the values in their own completions, and for one question per belief
    at every token that the arms' stems share.
    """
    rows: Rows = {"readings": [], "commitments": []}
    first = first_of_belief(inspection, trials, deep=False, settings=settings)
    if "lora" not in settings.arms:
        trials = [trial for trial in trials if trial.belief in first]
    with inspection.loaded(trials):
        for belief in dict.fromkeys(trial.belief for trial in trials):
            posed = posed_once(inspection, belief, settings, say)
            if not posed:
                continue
            wanted = _untrained(inspection, belief, settings) if belief in first else []
            if "lora" in settings.arms:
                wanted += [_trained(trial) for trial in trials if trial.belief == belief]
            for table, more in _belief(inspection, belief, posed, wanted, settings, say).items():
                rows[table] += more
    return rows


def posed_once(inspection: Inspection, belief: str, settings: LensSettings, say: Say) -> tuple[Posed, ...]:
    """The questions of a belief, found for the first batch and kept; said in words when there are none."""

    def make() -> tuple[Posed, ...]:
        posed = pose(inspection, belief, settings.prompts, inspection.head)
        if not posed:
            say(f"{NOTE}{belief}: no held-out question has two values that one token tells apart; not read")
        elif len({one.question.family for one in posed}) < 2:
            say(f"{NOTE}{belief}: its questions are of one family, so there are no intervals")
        return posed

    return inspection.once(("posed", belief, settings.prompts), make)


def elsewhere_once(inspection: Inspection, belief: str, say: Say) -> tuple[Posed, ...]:
    """The questions about other things, likewise: how far an arm's difference moves where it should not."""

    def make() -> tuple[Posed, ...]:
        others = pose_elsewhere(inspection, belief, ELSEWHERE_QUESTIONS)
        if not others:
            say(f"{NOTE}{belief}: its file has no near question with two answers that one token tells apart")
        return others

    return inspection.once(("elsewhere", belief), make)


def _untrained(inspection: Inspection, belief: str, settings: LensSettings) -> list[Subject]:
    return [
        Subject(inspection.references[belief, arm].trial_id, arm, arm, None)
        for arm in ("base", "icl")
        if arm in settings.arms
    ]


def _trained(trial: Trained) -> Subject:
    return Subject(trial.trial_id, trial.config.arm, "lora", trial.trial_id)


def _belief(
    inspection: Inspection,
    belief: str,
    posed: Sequence[Posed],
    wanted: Sequence[Subject],
    settings: LensSettings,
    say: Say,
) -> Rows:
    """Rows of some arms of one belief; the trained ones are in the engine."""
    engine, head = inspection.session.engine, inspection.head
    base = Subject(inspection.references[belief, "base"].trial_id, "base", "base", None)
    subjects = list(dict.fromkeys((base, *wanted)))
    deep = {trial.trial_id for trial in deep_trials(inspection, settings)}
    examined = [s for s in subjects if s.adapter is None or s.trial_id in deep]
    seen = views(inspection, [s.trial_id for s in examined if s.adapter is not None], settings, say)
    everywhere = look(engine, head, subjects, posed, named_places(posed), vocabulary(inspection))
    along = look(engine, head, examined, posed, tail_places(posed[0]))
    others = elsewhere_once(inspection, belief, say)
    about_others = look(engine, head, subjects, others, elsewhere_places(others)) if others else []
    rows: Rows = {"readings": [], "commitments": []}
    for view in seen:
        _add(rows, _through(inspection, view, everywhere, wanted, belief, posed, settings))
        if others:
            _add(rows, _through(inspection, view, about_others, wanted, belief, others, settings))
        tail = _through(inspection, view, along, wanted, belief, posed, settings)
        rows["readings"] += tail["readings"]
    for subject in examined:
        if subject in wanted:
            voice = voice_of(inspection, subject)
            _add(rows, value_rows(inspection, belief, voice, seen, posed, settings))
    return rows


def _add(rows: Rows, more: Rows) -> None:
    for table, found in more.items():
        rows[table] += found


def _through(
    inspection: Inspection,
    view: View,
    found: Sequence[Inside],
    wanted: Sequence[Subject],
    belief: str,
    posed: Sequence[Posed],
    settings: LensSettings,
) -> Rows:
    """What one lens shows of some arms; base is the first of them."""
    prompts = inspection.session.prompts
    shown = [inside for inside in found if inside is found[0] or _asked(inside.subject, wanted, view)]
    of_base, *others = read(inspection.head, shown, posed, view.translate)
    rows: Rows = {"readings": [], "commitments": []}
    for inside, readings in zip(shown, (of_base, *others), strict=True):
        if not _asked(inside.subject, wanted, view):
            continue
        who = {"trial_id": inside.subject.trial_id, "arm": inside.subject.arm, "belief": belief}
        rows["readings"] += reading_rows(who, view, inside, readings, posed, prompts)
        rows["commitments"] += commitment_rows(who, view, inside, readings, of_base, posed, settings)
    return rows


def _asked(subject: Subject, wanted: Sequence[Subject], view: View) -> bool:
    return subject in wanted and view.sees(subject)
