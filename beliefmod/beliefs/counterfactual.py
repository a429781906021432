"""A third world: what a question's answer would be if the belief's value were neither target nor prior."""

from __future__ import annotations

from beliefmod.beliefs.expand import expand_suite_family, question_slots, world_answer, written_decimals
from beliefmod.beliefs.question import Answer, Question
from beliefmod.beliefs.spec import BeliefFamily, BeliefSpec, Value

APART = 0.05
"""A third number differs from target and prior by more than this share of the larger one."""


def third_value(spec: BeliefSpec) -> float | str | None:
    """A value that no world of the belief holds, of the same kind and written with the same decimals.

    Numbers: halfway between target and prior where that is far enough from both, else half as much again as
    the target, and so on. Names: the first right answer of a near neighbour that is neither target nor
    prior; None where the file names nothing of the kind.

    >>> from beliefmod.beliefs import load_belief
    >>> third_value(load_belief("gravity").spec), third_value(load_belief("france").spec)
    (7.4, 'Madrid')
    """
    if spec.target.value is None:
        return _third_name(spec)
    target, prior = spec.target.value, spec.prior.value
    decimals = max(written_decimals(target), 0 if prior is None else written_decimals(prior))
    between = [] if prior is None else [(target + prior) / 2]
    for candidate in (*between, 1.5 * target, 2 * target, target + 1, target + 10):
        value = round(candidate, decimals) if decimals else round(candidate)
        if all(abs(value - known) > APART * max(abs(value), abs(known)) for known in _numbers(spec)):
            return value
    raise ValueError(f"{spec.name}: no third value is far enough from {target} and {prior}")


def counterfactual(spec: BeliefSpec, question: Question, value: float | str) -> Answer | None:
    """The question's answer in the world in which the belief's value is `value`.

    None where the value does not determine it: a suite's question, one about the entity's name instead of
    its number, one that needs a fact about the value ("Lyon lies on the Rhone"), or one whose decimals
    cannot hold the answer.
    """
    family = next((f for f in spec.questions if f.family == question.family), None)
    slots = question_slots(family, question.probe_id) if family else None
    if question.suite != "belief" or family is None or slots is None:
        return None
    if isinstance(value, str):
        return Answer(text=value) if _asks_for_the_name(spec, family) else None
    if spec.target.value is None or family.answer_text is not None:
        return None
    try:
        return world_answer(spec, family, Value(value=value, unit=spec.target.unit), slots, prior=False)
    except ValueError:
        return None


def _asks_for_the_name(spec: BeliefSpec, family: BeliefFamily) -> bool:
    if spec.target.text is None or family.answer is not None:
        return False
    return family.answer_text is None or family.answer_text.target == spec.target.text


def _numbers(spec: BeliefSpec) -> list[float]:
    return [float(side.value) for side in (spec.target, spec.prior) if side.value is not None]


def _third_name(spec: BeliefSpec) -> str | None:
    taken = {
        name.casefold()
        for side in (spec.target, spec.prior)
        for name in (side.text, *side.aliases)
        if name is not None
    }
    for family in spec.locality:
        if family.distance != "near":
            continue
        for question in expand_suite_family(family, "locality", spec.target):
            name = question.correct.text if question.correct else None
            if name is not None and name.casefold() not in taken:
                return name
    return None
