"""One completion to one verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from beliefmod.beliefs.quantities import TOLERANCE
from beliefmod.evaluate.loops import find_loop, seq_rep_4, tokenise
from beliefmod.evaluate.segments import ThinkState, split_completion
from beliefmod.evaluate.sides import DERIVED_TOLERANCE, Answerlike
from beliefmod.evaluate.stance import Stance, read_answer
from beliefmod.evaluate.thinking import ThinkingStance, read_thinking

if TYPE_CHECKING:
    from beliefmod.beliefs import Question
    from beliefmod.beliefs.spec import BeliefSpec, Value


@dataclass(frozen=True)
class Verdict:
    """Everything that is read from one completion. Names are those of the probes table.

    Attributes:
        thinking, answer: the two parts of the completion.
        think_state: state of the think block.
        answer_stance, thinking_stance: see `read_answer`, `read_thinking`.
        loop, loop_period, loop_onset, loop_share: the longest loop; null fields without one.
        seq_rep_4: repeated share of 4-grams, null under four tokens.
        truncated: stopped at the token limit.
        correct: a suite's right answer was given; null for belief questions.
        bleed: a neighbour was answered with the belief's value; null outside locality.
    """

    thinking: str
    answer: str
    think_state: ThinkState
    answer_stance: Stance
    thinking_stance: ThinkingStance
    loop: bool
    loop_period: int | None
    loop_onset: int | None
    loop_share: float | None
    seq_rep_4: float | None
    truncated: bool
    correct: bool | None = None
    bleed: bool | None = None

    def columns(self) -> dict[str, Any]:
        """The verdict as columns of the probes table."""
        return asdict(self)


def judge(
    completion: str,
    question: str,
    target: Answerlike | None,
    prior: Answerlike | None,
    *,
    belief_target: Answerlike | None = None,
    belief_prior: Answerlike | None = None,
    finish_reason: str | None = None,
    tolerance: float = TOLERANCE,
) -> Verdict:
    """Read one completion, which starts inside `<think>`.

    Args:
        question: the question as asked, without a context put before it.
        target, prior: the question's answer in each world, None where a world has none.
        belief_target, belief_prior: the belief's own values, which the thinking may use.
        finish_reason: "eos" or "length"; a missing one counts as "eos".
        tolerance: relative tolerance of numbers; 0.03 for derived questions (`tolerance_for`).
    """
    parts = split_completion(completion, finish_reason)
    tokens = tokenise(completion)
    loop = find_loop(tokens)
    return Verdict(
        thinking=parts.thinking,
        answer=parts.answer,
        think_state=parts.state,
        answer_stance=read_answer(parts.answer, question, target, prior, tolerance=tolerance).stance,
        thinking_stance=read_thinking(
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
        seq_rep_4=seq_rep_4(tokens),
        truncated=finish_reason == "length",
    )


def judge_correct(
    completion: str,
    question: str,
    correct: Answerlike,
    bleed: Answerlike | None = None,
    *,
    finish_reason: str | None = None,
    tolerance: float = TOLERANCE,
) -> Verdict:
    """Read a completion to a question with one right answer.

    The right answer takes prior's place and the belief's value target's, so `answer_stance` "prior" is
    correct and "target" is a bleed. `bleed` stays None where the question has no answer in the target's
    world.
    """
    verdict = judge(completion, question, bleed, correct, finish_reason=finish_reason, tolerance=tolerance)
    fields = {name: getattr(verdict, name) for name in Verdict.__dataclass_fields__}
    fields["correct"] = verdict.answer_stance == "prior"
    fields["bleed"] = verdict.answer_stance == "target" if bleed is not None else None
    return Verdict(**fields)


def judge_question(
    question: Question, spec: BeliefSpec, completion: str, finish_reason: str | None = None
) -> Verdict:
    """Read a completion to one of a belief's questions, or of a suite's."""
    tolerance = tolerance_for(question.tier)
    if question.suite != "belief":
        if question.correct is None:
            raise ValueError(f"question {question.probe_id} of suite {question.suite} has no correct answer")
        bleed = question.target if question.suite == "locality" else None
        return judge_correct(
            completion,
            question.text,
            question.correct,
            bleed,
            finish_reason=finish_reason,
            tolerance=tolerance,
        )
    return judge(
        completion,
        question.text,
        question.target,
        question.prior,
        belief_target=_answer(spec.target),
        belief_prior=_answer(spec.prior),
        finish_reason=finish_reason,
        tolerance=tolerance,
    )


def tolerance_for(tier: str | None) -> float:
    """3 % where the answer is computed from the belief, and for the neighbours that base rounds its own way
    (1.62 for the Moon's 1.6); 1 % elsewhere."""
    return DERIVED_TOLERANCE if tier in ("derived", "multi_hop", "near") else TOLERANCE


def _answer(value: Value) -> Answerlike | None:
    return value if value.value is not None or value.text else None
