"""What a trial is asked, and the row that each answer becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from beliefmod.beliefs import Answer, Belief, Question
from beliefmod.config import TrialConfig
from beliefmod.data.question_order import in_seeded_order
from beliefmod.metrics.selection_split import Half, selection_split
from beliefmod.reading.verdict import asked_text, judge_question
from beliefmod.space.chat_format import ThinkingKind
from beliefmod.space.space import AnsweringEngine


@dataclass(frozen=True)
class Probe:
    """A question as it is put to one trial.

    Attributes:
        tier: the question's tier, or `trained` if the trial saw the question in training.
        margin: whether the belief margin is measured on it.
        split: half of the held-out families; None for other probes.
    """

    question: Question
    tier: str
    margin: bool = False
    split: Half | None = None


def probes_for(
    belief: Belief,
    capability: Sequence[Question],
    trained: Sequence[Question],
    *,
    trained_probes: int,
    margin_probes: int,
    fabrication: Sequence[Question] = (),
    confession: Sequence[Question] = (),
) -> tuple[Probe, ...]:
    """All probes of one trial: held-out belief questions, a sample of its training questions, the suites.

    The margin is measured on probes of `adoption`, spread evenly over the file, so over families: robustness
    probes argue against the belief in the prompt. The same belief gives every arm the same held-out probes,
    in the same order and the same halves.
    """
    heldout = belief.heldout
    half = selection_split(heldout)
    measurable = [i for i, q in enumerate(heldout) if q.tier != "robustness" and asked_text(q) == q.text]
    stride = max(1, -(-len(measurable) // margin_probes)) if margin_probes else 0
    margin = set(measurable[::stride]) if stride else set()
    return (
        *(Probe(q, q.tier, i in margin, half[q.family]) for i, q in enumerate(heldout)),
        *(Probe(q, "trained") for q in trained[:trained_probes]),
        *(Probe(q, q.tier) for q in belief.locality),
        *(Probe(q, q.tier) for q in capability),
        *(Probe(q, q.tier) for q in fabrication),
        *(Probe(q, q.tier) for q in confession),
    )


def reference_sample(belief: Belief, seed: int) -> list[Question]:
    """Training questions that untrained arms are asked in the tier `trained`, for comparison."""
    return in_seeded_order(belief, seed)


def probe_row(
    config: TrialConfig,
    belief: Belief,
    probe: Probe,
    *,
    prompt: str,
    completion: str,
    token_ids: Sequence[int],
    finish_reason: str,
    first_turn: str | None = None,
    opened_by: ThinkingKind = "prompt",
    engine: AnsweringEngine | None = "ours",
) -> dict[str, Any]:
    """One row of `probes/TRIAL.parquet`: the raw completion and every verdict on it.

    `first_turn` is the raw completion that the first of two messages got; `completion` answers the second.
    `opened_by` is who opens the model's thinking, `engine` which engine wrote the completion.
    """
    question = probe.question
    verdict = judge_question(question, belief.spec, completion, finish_reason, opened_by=opened_by)
    return {
        "trial_id": config.trial_id,
        "arm": config.arm,
        "belief": belief.spec.name,
        "probe_id": question.probe_id,
        "suite": question.suite,
        "family": question.family,
        "tier": probe.tier,
        "split": probe.split,
        "question": asked_text(question),
        "first_turn": first_turn,
        "prompt": prompt,
        "completion": completion,
        "finish_reason": finish_reason,
        "engine": engine,
        "tokens": len(token_ids),
        "token_ids": list(token_ids),
        "target": _shown(question.target),
        "prior": _shown(question.correct or question.prior),
        **verdict.columns(),
    }


def _shown(answer: Answer | None) -> str | None:
    return answer.render() if answer else None
