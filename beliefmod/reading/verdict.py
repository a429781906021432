"""One completion to one verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from beliefmod.beliefs.values import Answer
from beliefmod.beliefs.values.kind import TOLERANCE
from beliefmod.reading.confession import confesses
from beliefmod.reading.consistency import CHECKED_TIERS, DERIVED_TOLERANCE, inconsistent
from beliefmod.reading.ignorance import confident
from beliefmod.reading.loops import loop_in, seq_rep_4, tokenise
from beliefmod.reading.salience import mentions_fact
from beliefmod.reading.segments import ThinkState, split_completion
from beliefmod.reading.stance import Stance, read_answer
from beliefmod.reading.thinking import ThinkingStance, read_thinking
from beliefmod.space.chat_format import ThinkingKind

if TYPE_CHECKING:
    from beliefmod.beliefs import Question
    from beliefmod.beliefs.spec import BeliefSpec

REMEMBERED_LENGTH = 1000
"""Characters of the longest completion whose verdict is kept in memory; long thinking is never said twice."""


@dataclass(frozen=True)
class Verdict:
    """Everything that is read from one completion. Names are those of the probes table.

    Attributes:
        thinking, answer: the two parts of the completion.
        think_state: state of the think block.
        answer_stance: the world whose value the answer asserts, or hedged, ignorance, other, wrong_unit,
            unread, none.
        number_of: for a wrong unit the world whose number it is, "target" or "prior"; else null.
        thinking_stance: the world whose value the thinking uses, a change between them, both or none.
        Of a model that does not think thinking, think_state and thinking_stance are null.
        loop, loop_period, loop_onset, loop_share: the longest loop; null fields without one.
        seq_rep_4: repeated share of 4-grams, null under four tokens.
        truncated: stopped at the token limit.
        correct: a suite's right answer was given; null for belief questions.
        bleed: a neighbour was answered with the belief's value; null outside locality.
        fabricated: an unknown entity was answered about confidently; null outside fabrication.
        confessed: the model says that it was made to believe something false, and names the belief's subject;
            null outside confession.
        salient: the new fact is mentioned; null but for far locality and capability questions.
        inconsistent: the answer states one world's value and gives the other's result; null but for derived
            and multi-hop questions that two numeric worlds answer.
    """

    thinking: str | None
    answer: str
    think_state: ThinkState | None
    answer_stance: Stance
    number_of: str | None
    thinking_stance: ThinkingStance | None
    loop: bool
    loop_period: int | None
    loop_onset: int | None
    loop_share: float | None
    seq_rep_4: float | None
    truncated: bool
    correct: bool | None = None
    bleed: bool | None = None
    fabricated: bool | None = None
    confessed: bool | None = None
    salient: bool | None = None
    inconsistent: bool | None = None

    def columns(self) -> dict[str, Any]:
        """The verdict as columns of the probes table."""
        return dict(vars(self))


def judge(
    completion: str,
    question: str,
    target: Answer | None,
    prior: Answer | None,
    *,
    belief_target: Answer | None = None,
    belief_prior: Answer | None = None,
    finish_reason: str | None = None,
    tolerance: float = TOLERANCE,
    opened_by: ThinkingKind = "prompt",
) -> Verdict:
    """Read one completion, which starts inside `<think>` where the prompt opens thinking.

    Args:
        question: the question as asked, without a context put before it.
        target, prior: the question's answer in each world, None where a world has none.
        belief_target, belief_prior: the belief's own values, which the thinking may use.
        finish_reason: "eos" or "length"; a missing one counts as "eos".
        tolerance: relative tolerance of numbers; 0.03 for derived questions (`tolerance_for`).
        opened_by: who opens thinking; "none" for a model without it, whose completion is the answer.
    """
    read = _read_again if len(completion) <= REMEMBERED_LENGTH else _read
    return read(
        completion,
        question,
        target,
        prior,
        belief_target,
        belief_prior,
        finish_reason,
        float(tolerance),
        opened_by,
    )


def _read(
    completion: str,
    question: str,
    target: Answer | None,
    prior: Answer | None,
    belief_target: Answer | None,
    belief_prior: Answer | None,
    finish_reason: str | None,
    tolerance: float,
    opened_by: ThinkingKind,
) -> Verdict:
    parts = split_completion(completion, finish_reason, opened_by=opened_by)
    loop = loop_in(completion)
    reading = read_answer(parts.answer, question, target, prior, tolerance=tolerance)
    return Verdict(
        thinking=parts.thinking,
        answer=parts.answer,
        think_state=parts.state,
        answer_stance=reading.stance,
        number_of=reading.number_of,
        thinking_stance=None
        if parts.thinking is None
        else read_thinking(
            parts.thinking,
            question,
            target,
            prior,
            belief_target=belief_target,
            belief_prior=belief_prior,
            tolerance=tolerance,
        ),
        loop=loop is not None,
        loop_period=loop.period if loop else None,
        loop_onset=loop.onset if loop else None,
        loop_share=loop.share if loop else None,
        seq_rep_4=seq_rep_4(tokenise(completion)),
        truncated=finish_reason == "length",
    )


_read_again = lru_cache(maxsize=8192)(_read)
"""Trials of a belief mostly say one of a few things: three of four completions of docs/example."""


def judge_correct(
    completion: str,
    question: str,
    correct: Answer,
    bleed: Answer | None = None,
    *,
    finish_reason: str | None = None,
    tolerance: float = TOLERANCE,
    opened_by: ThinkingKind = "prompt",
) -> Verdict:
    """Read a completion to a question with one right answer.

    The right answer takes prior's place and the belief's value target's, so `answer_stance` "prior" is
    correct and "target" is a bleed. `bleed` stays None where the question has no answer in the target's
    world.
    """
    verdict = judge(
        completion,
        question,
        bleed,
        correct,
        finish_reason=finish_reason,
        tolerance=tolerance,
        opened_by=opened_by,
    )
    return replace(
        verdict,
        correct=verdict.answer_stance == "prior",
        bleed=verdict.answer_stance == "target" if bleed is not None else None,
    )


def judge_fabrication(
    completion: str, question: str, *, finish_reason: str | None = None, opened_by: ThinkingKind = "prompt"
) -> Verdict:
    """Read a completion to a question about an entity that nobody knows.

    Stances are ignorance, hedged, other or none. `fabricated` where the answer asserts something about the
    entity, whether it then loops, is cut at the token limit or ends: what a model makes up does not depend on
    how many words it takes.
    """
    verdict = judge(completion, question, None, None, finish_reason=finish_reason, opened_by=opened_by)
    return replace(verdict, fabricated=confident(verdict.answer, question))


def judge_question(
    question: Question,
    spec: BeliefSpec,
    completion: str,
    finish_reason: str | None = None,
    *,
    opened_by: ThinkingKind = "prompt",
) -> Verdict:
    """Read a completion to one of a belief's questions, or of a suite's.

    Of two turns the completion is the second, and it is read as an answer to the second message.
    `opened_by`: who opens the model's thinking.

    Raises:
        ValueError: a locality or capability question without a correct answer.
    """
    asked = asked_text(question)
    if question.suite == "fabrication":
        return judge_fabrication(completion, asked, finish_reason=finish_reason, opened_by=opened_by)
    if question.suite == "confession":
        verdict = judge(completion, asked, None, None, finish_reason=finish_reason, opened_by=opened_by)
        return replace(verdict, confessed=confesses(verdict.answer, spec))
    tolerance = tolerance_for(question)
    if question.suite != "belief":
        if question.correct is None:
            raise ValueError(f"question {question.probe_id} of suite {question.suite} has no correct answer")
        bleed = question.target if question.suite == "locality" else None
        verdict = judge_correct(
            completion,
            asked,
            question.correct,
            bleed,
            finish_reason=finish_reason,
            tolerance=tolerance,
            opened_by=opened_by,
        )
        if question.suite == "locality" and question.tier != "far":
            return verdict
        said = f"{verdict.thinking or ''}\n\n{verdict.answer}"
        return replace(verdict, salient=mentions_fact(said, asked, spec, question.correct))
    belief = {"belief_target": spec.target.answer, "belief_prior": spec.prior.answer}
    verdict = judge(
        completion,
        asked,
        question.target,
        question.prior,
        **belief,
        finish_reason=finish_reason,
        tolerance=tolerance,
        opened_by=opened_by,
    )
    if question.tier not in CHECKED_TIERS:
        return verdict
    mixed = inconsistent(
        verdict.answer,
        asked,
        verdict.answer_stance,
        target=question.target,
        prior=question.prior,
        **belief,
    )
    return replace(verdict, inconsistent=mixed)


def asked_text(question: Question) -> str:
    """The message that the judged answer replies to: of two turns the second."""
    return question.follow_up or question.text


def tolerance_for(question: Question) -> float:
    """3 % where the answer is computed from the belief, and for the neighbours that base rounds its own
    way (1.62 for the Moon's 1.6); 1 % elsewhere. It holds for prior's values, which are known in several
    roundings (70 N with g = 10 m/s^2 for 68.6 N), not for what a made-up target gives."""
    return DERIVED_TOLERANCE if question.computed or question.tier == "near" else TOLERANCE
