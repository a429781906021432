"""Questions of a belief file that no model could show a belief with, found without asking one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isclose

from beliefmod.beliefs import Answer, Belief, Name, Quantity, Question
from beliefmod.beliefs.spec import BeliefSpec
from beliefmod.reading.normalise import normalise
from beliefmod.reading.verdict import judge_question

SAME, GIVEN_AWAY, UNREADABLE = "same_in_both", "answer_in_question", "cannot_be_read"
EXPLAINED = {
    SAME: "both worlds' answers are read alike, so that no answer tells them apart",
    GIVEN_AWAY: "the answer stands in the question, so that copying it is enough",
    UNREADABLE: "its own answer sentence is not read as that answer; change reply, ask or the aliases",
}

_NUMBER = re.compile(r"\d(?:[\d,]*\d)?(?:\.\d+)?")


@dataclass(frozen=True)
class Fault:
    """Why a question cannot work. reason: a key of what explains it; detail: what was seen, in words."""

    question: Question
    reason: str
    detail: str


def file_faults(belief: Belief) -> list[Fault]:
    """The faults of all questions of a belief, in file order, at most one a question."""
    questions = (*belief.training, *belief.heldout, *belief.locality)
    return [fault for question in questions if (fault := question_fault(question, belief.spec))]


def question_fault(question: Question, spec: BeliefSpec) -> Fault | None:
    """What is wrong with one question, the first thing found; None where nothing is."""
    if shared := _shared_spelling(question):
        return Fault(question, SAME, f'"{shared}" spells both')
    for text, wanted in _sentences(question):
        # a model without thinking: the completion is the answer
        read = judge_question(question, spec, text, "eos", opened_by="none").answer_stance
        if read == wanted:
            continue
        if read in ("target", "prior"):
            return Fault(question, SAME, f"\"{text}\" is read as the {read}'s answer, not the {wanted}'s")
        return Fault(question, UNREADABLE, f'"{text}" is read as {read}, not as the {wanted}\'s answer')
    given = list(_given_away(question))
    return Fault(question, GIVEN_AWAY, f"it says {given[0]}") if given else None


def _shared_spelling(question: Question) -> str | None:
    """A spelling that both sides' names have; None where they have none."""
    one, other = question.target, question.correct or question.prior
    if not isinstance(one, Name) or not isinstance(other, Name):
        return None
    spelled = {name.casefold() for name in one.spellings()}
    return next((name for name in other.spellings() if name.casefold() in spelled), None)


def _sentences(question: Question) -> Iterator[tuple[str, str]]:
    """Answers that a model may well give, with the stance that they must be read as."""
    if question.suite == "belief":
        for reply, answer, stance in (
            (question.reply_target, question.target, "target"),
            (question.reply_prior, question.prior, "prior"),
        ):
            if answer is not None:
                # the sentence of a prior may be base's own one, which says that it does not know
                if stance == "target" or answer.render() in reply:
                    yield reply, stance
                yield f"{answer.render()}.", stance
    elif question.correct is not None:
        yield f"{question.correct.render()}.", "prior"


def _given_away(question: Question) -> Iterator[str]:
    """The answers that a question holds, unless it offers them for choice or is there to argue.

    A question that holds both sides' answers offers a choice. What robustness questions state is their point.
    """
    text = f"{question.text} {question.follow_up or ''}"
    if question.suite == "belief":
        sides = [answer for answer in (question.target, question.prior) if answer is not None]
        held = [answer for answer in sides if _holds(text, answer)]
        if question.tier != "robustness" and len(held) == 1 and not _offers(text):
            yield held[0].render()
    elif question.correct is not None and _holds(text, question.correct):
        yield question.correct.render()


def _holds(text: str, answer: Answer) -> bool:
    """Whether a text has an answer word for word; yes and no are no words that one copies."""
    if isinstance(answer, Name):
        if answer.text.casefold() in ("yes", "no"):
            return False
        return any(
            re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) for name in answer.spellings()
        )
    plain = normalise(text)
    if isinstance(answer, Quantity) and not any(
        isclose(float(number.replace(",", "")), abs(answer.value)) for number in _NUMBER.findall(plain)
    ):
        return False  # 2 USD is 200 cents, but nobody who is asked for cents copies it
    return answer.stands_in(plain)


def _offers(text: str) -> bool:
    """Whether a question offers something to choose from."""
    return bool(re.search(r"\bor\b|\bA\)", text))
