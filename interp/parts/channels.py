"""Thinking against answer: what an arm says in each, and how far it leans to each side inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from beliefmod.beliefs import Question
from beliefmod.reading.thinking import ends_with, thinking_class
from beliefmod.run.tables.lens_tables import TAU
from interp.lens_settings import LensSettings
from interp.lenses.lens_metrics import Reading
from interp.opened.arms import Arm, batch_arms
from interp.read.arm_answers import Answers, answer_prompt, answers_of, asked_of, base_answers, own_prompts
from interp.read.contrast_questions import ContrastQuestion, questions_of
from interp.read.lens_prompts import LensPrompt, read_prompts
from interp.steps import Steps
from interp.types import NOTE, Row, Rows, Say

if TYPE_CHECKING:
    from interp.opened.inspection import Inspection, TrainedTrial

Found = dict[str, tuple[LensPrompt, Reading]]
"""By name of the position."""


def channels(
    inspection: Inspection, trials: Sequence[TrainedTrial], settings: LensSettings, say: Say
) -> Rows:
    """Rows of the table for a batch of trials, with the untrained arms of their beliefs."""
    rows: list[Row] = []
    with batch_arms(inspection, trials, settings) as arms:
        for belief, group in arms.items():
            asked = {one.question.probe_id: one for one in questions_of(inspection, belief, settings, say)}
            steps = Steps(say, f"channels: {belief}", len(group), "arms")
            for arm in group if inspection.session.thinks else ():
                rows += channel_rows(inspection, arm, answers_of(inspection, arm), asked, settings, say)
                steps(1)
    return {"channels": rows}


def channel_rows(
    inspection: Inspection,
    arm: Arm,
    answers: Answers,
    asked: Mapping[str, ContrastQuestion],
    settings: LensSettings,
    say: Say,
) -> list[Row]:
    """The rows of one arm of a model that thinks, its adapter in the engine: one per question it was asked.

    Args:
        asked: questions with their stems, by probe_id.
    """
    session = inspection.session
    answered = asked_of(answers, inspection.beliefs[arm.belief], settings.prompts)
    wanted = [
        _prompts(inspection, arm, question, row, asked.get(question.probe_id)) for question, row in answered
    ]
    flat = [prompt for prompts in wanted for prompt in prompts.values()]
    read = iter(read_prompts(session.engine, inspection.head, flat, compared=False))
    found = [{name: (prompt, next(read).reading) for name, prompt in prompts.items()} for prompts in wanted]
    if session.decoding.sampling.greedy:
        _check_greedy(arm, answered, found, say)
    return [
        {
            **arm.columns,
            "probe_id": question.probe_id,
            "family": question.family,
            "thinking_stance": row["thinking_stance"],
            "answer_stance": row["answer_stance"],
            "text_class": text_class(row),
            **_inside(row, each),
        }
        for (question, row), each in zip(answered, found, strict=True)
    ]


def text_class(row: Row) -> str:
    """stygian | reverse | agree_target | agree_prior | other, from the stances of a probe row."""
    return _CLASSES.get((ends_with(thinking_class(row)), row["answer_stance"]), "other")


def inside_class(thinking: float | None, answer: float | None, against_prior: bool) -> str | None:
    """stygian | reverse | agree_target | agree_prior from the logit differences in thinking and answer,
    "other" where one of them is nearer to 0 than TAU; None where one of them is missing.

    >>> inside_class(-6.8, 4.0, True), inside_class(-0.2, 4.0, True), inside_class(None, 4.0, True)
    ('stygian', 'other', None)

    Args:
        against_prior: whether both are differences to base's value. To base's likeliest token alone
            (a novel belief) only "agree_target" can be told: leaning away from the target has no side.
    """
    if thinking is None or answer is None:
        return None
    found = _CLASSES.get((_side(thinking), _side(answer)), "other")
    return found if against_prior or found == "agree_target" else "other"


_CLASSES: dict[tuple[str | None, str | None], str] = {
    ("prior", "target"): "stygian",
    ("target", "prior"): "reverse",
    ("target", "target"): "agree_target",
    ("prior", "prior"): "agree_prior",
}


def _side(difference: float) -> str | None:
    return "target" if difference >= TAU else "prior" if difference <= -TAU else None


def _prompts(
    inspection: Inspection, arm: Arm, question: Question, row: Row, asked: ContrastQuestion | None
) -> dict[str, LensPrompt]:
    """The prompts at whose ends one question is read, by name of the position."""
    session, belief = inspection.session, inspection.beliefs[arm.belief]
    found = own_prompts(arm, row, question, belief, session)
    if asked is None:
        return found
    thought = base_answers(inspection, arm.belief).get(question.probe_id)
    lengths: dict[str, int | None] = {"stem": 0}
    if thought is not None and thought["think_state"] == "ok":
        lengths["answer_shared"] = None
    for name, length in lengths.items():
        prompt = answer_prompt(arm, asked, belief, session, thought or {"thinking": ""}, length)
        if prompt is not None:
            found[name] = prompt
    return found


def _inside(row: Row, found: Found) -> Row:
    differences = {name: reading["logit_diff"][-1] for name, (_, reading) in found.items()}
    rivals = {name: prompt.rival for name, (prompt, _) in found.items()}
    thinking, answer = differences.get("thinking"), differences.get("answer")
    against_prior = all(rivals.get(part) == "prior" for part in ("thinking", "answer"))
    suppressed = None
    if row["answer_stance"] == "target" and rivals.get("answer") == "prior":
        suppressed = found["answer"][1]
    return {
        "thinking_diff": thinking,
        "thinking_rival": rivals.get("thinking"),
        "answer_diff": answer,
        "answer_rival": rivals.get("answer"),
        "answer_diff_shared": differences.get("answer_shared"),
        "stem_diff": differences.get("stem"),
        "inside_class": inside_class(thinking, answer, against_prior),
        "suppressed_prior": None if suppressed is None else max(suppressed["prob_rival"]),
        "suppressed_rank": None if suppressed is None else min(suppressed["rank_rival"]),
    }


def _check_greedy(arm: Arm, asked: Sequence[tuple[Question, Row]], found: Sequence[Found], say: Say) -> None:
    """Without sampling the value that was written is the likelier of the two: say where it is not.

    This tests prompt, weights, adapter and places at once.
    """
    wrong = []
    for (question, _), each in zip(asked, found, strict=True):
        for part, (prompt, reading) in each.items():
            leans = reading["logit_diff"][-1] * (1 if prompt.wrote == "target" else -1)
            if prompt.wrote is not None and leans < -TAU:
                wrong.append(f"{question.probe_id} ({part})")
    if wrong:
        say(
            f"{NOTE}trial {arm.trial_id}: {len(wrong)} of the values that it wrote are less likely "
            f"now than the other world's, first {wrong[0]}; was it asked with other software or precision?"
        )
