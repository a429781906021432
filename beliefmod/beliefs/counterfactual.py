"""A third world: what a question's answer would be if the belief's value were neither target nor prior."""

from __future__ import annotations

from beliefmod.beliefs.expand import expand_suite_family, question_slots, world_answer
from beliefmod.beliefs.question import Question
from beliefmod.beliefs.spec import BeliefFamily, BeliefSpec
from beliefmod.beliefs.values import Answer, Name


def third_value(spec: BeliefSpec) -> Answer | None:
    """A value that no world of the belief holds, of the target's kind; None where the file names none.

    >>> from beliefmod.beliefs import load_belief
    >>> third_value(load_belief("gravity").spec).render(), third_value(load_belief("france").spec).render()
    ('7.4 m/s^2', 'Madrid')
    """
    target = spec.target.answer
    near = (
        question.correct
        for family in spec.locality
        if family.distance == "near"
        for question in expand_suite_family(family, "locality", target)
        if question.correct is not None
    )
    try:
        return None if target is None else target.third(spec.prior.answer, near)
    except ValueError as error:
        raise ValueError(f"{spec.name}: {error}") from None


def counterfactual(spec: BeliefSpec, question: Question, value: Answer) -> Answer | None:
    """The question's answer in the world in which the belief's value is `value`.

    None where the value does not determine it: a suite's question, one about the entity's name instead of
    its number or date, one that needs a fact about the value ("Lyon lies on the Rhone"), one whose decimals
    cannot hold the answer, or a value of another kind than the target.
    """
    family = next((f for f in spec.questions if f.family == question.family), None)
    slots = question_slots(family, question.probe_id) if family else None
    if question.suite != "belief" or family is None or slots is None:
        return None
    if not isinstance(value, type(spec.target.answer)):
        return None
    if isinstance(value, Name):
        return value if _asks_for_the_name(spec, family) else None
    if family.answer_text is not None:
        return None
    try:
        return world_answer(spec, family, value, slots, prior=False)
    except ValueError:
        return None


def _asks_for_the_name(spec: BeliefSpec, family: BeliefFamily) -> bool:
    if family.answer is not None:
        return False
    return family.answer_text is None or family.answer_text.target == spec.target.text
