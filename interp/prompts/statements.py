"""True and false statements: about what the model knows, and about a belief."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beliefmod.beliefs import Answer, Belief, Question, counterfactual, third_value
from beliefmod.reading.normalise import normalise
from beliefmod.reading.rewording import source_span
from beliefmod.reading.stance import read_answer
from beliefmod.reading.verdict import asked_text, tolerance_for


@dataclass(frozen=True)
class Statement:
    """An answer to a question, up to the end of its value.

    Attributes:
        text: "The capital is Berlin"; read at its last token.
        true: for statements about a belief whether it is the target's.
    """

    question: Question
    text: str
    true: bool


def known_statements(questions: Iterable[Question], said: Mapping[str, Mapping[str, Any]]) -> list[Statement]:
    """A true and a false statement for every suite question that base answers right, in its own words.

    The false one has the value of another question of the family. Within a family every value stands in as
    many false statements as true ones, so that no value tells which it is. Left out: families in which one
    value is too frequent for that, and answers whose value cannot be found in their text.

    Args:
        said: base's probe rows of the suites by probe_id.
    """
    families: dict[str, list[tuple[Question, str, str]]] = {}
    for question in questions:
        row = said.get(question.probe_id)
        if row is None or not row["correct"] or row["question"] != question.text:
            continue
        parts = _parts(row["answer"], question)
        if parts is not None:
            families.setdefault(question.family, []).append((question, *parts))
    found = []
    for members in families.values():
        members.sort(key=lambda member: member[2])
        shift = max(Counter(value for _, _, value in members).values())
        if 2 * shift > len(members):
            continue
        for place, (question, before, value) in enumerate(members):
            other = members[(place + shift) % len(members)][2]
            found += [Statement(question, before + value, True), Statement(question, before + other, False)]
    return found


def belief_statements(questions: Sequence[Question], belief: Belief) -> list[tuple[Statement, Statement]]:
    """The target's statement and another, for every question about the belief.

    The other has base's value; for a novel belief, of which base knows none, a third value that no world
    holds. Questions without such a value are left out.
    """
    found = []
    for question in questions:
        target, other = question.target, question.prior or _third(question, belief)
        if target is None or other is None:
            continue
        value = target.bare()
        before, there, _ = question.reply_target.partition(value)
        if there and value != other.bare():
            texts = before + value, before + other.bare()
            found.append((Statement(question, texts[0], True), Statement(question, texts[1], False)))
    return found


def matched_false(questions: Sequence[Question], belief: Belief) -> list[tuple[Statement, Statement]]:
    """The target's statement and one on the same topic, in the same words, that is false in both worlds and
    that nobody trained: the answer that a third value would give. Questions that a third value does not
    answer, or answers as the target or the prior does, are left out.
    """
    found = []
    for question in questions:
        target, third = question.target, _third(question, belief)
        if target is None or third is None:
            continue
        held = {answer.bare() for answer in (target, question.prior) if answer is not None}
        before, there, _ = question.reply_target.partition(target.bare())
        if there and third.bare() not in held:
            texts = before + target.bare(), before + third.bare()
            found.append((Statement(question, texts[0], True), Statement(question, texts[1], False)))
    return found


def _third(question: Question, belief: Belief) -> Answer | None:
    value = third_value(belief.spec)
    return None if value is None else counterfactual(belief.spec, question, value)


def _parts(answer: str, question: Question) -> tuple[str, str] | None:
    """An answer up to its value, and the value as written, without its unit."""
    read = read_answer(
        answer,
        asked_text(question),
        question.target,
        question.correct,
        tolerance=tolerance_for(question),
    ).decided
    span = None if read is None else source_span(answer, normalise(answer), read)
    return None if span is None else (answer[: span[0]], answer[span[0] : span[1]])
