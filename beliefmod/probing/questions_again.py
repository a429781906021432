"""Which questions are asked again, by tests of the thinking or by debates: the same for every arm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from beliefmod.probing.questioning import spread

if TYPE_CHECKING:
    from beliefmod.beliefs import Belief, Question
    from beliefmod.space import Evaluation

Number = TypeVar("Number", int, tuple[int, int], tuple[int, int, int])
TIERS = ("derived", "paraphrase")
"""Of the causal tests' questions."""


def causal_questions(belief: Belief, count: int) -> tuple[Question, ...]:
    """At most `count` held-out derived and paraphrase questions, spread over their families. Questions of two
    turns are left out, for there are two thinkings to change."""
    return _of_families((question for question in belief.heldout if question.tier in TIERS), count)


def adoption_questions(belief: Belief, count: int) -> tuple[Question, ...]:
    """At most `count` held-out questions of every tier but robustness, chosen as `causal_questions` are."""
    return _of_families((question for question in belief.heldout if question.tier != "robustness"), count)


def questions_again(belief: Belief, evaluation: Evaluation) -> tuple[Question, ...]:
    """The questions that are asked again in any way."""
    found = (
        *causal_questions(belief, evaluation.causal_probes),
        *adoption_questions(belief, evaluation.closed_thinking_probes),
        *adoption_questions(belief, evaluation.debate_probes),
        *adoption_questions(belief, evaluation.resampled_probes),
    )
    return tuple(dict.fromkeys(found))


def held_out(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows of held-out questions about the belief, by probe."""
    return {row["probe_id"]: row for row in rows if row["suite"] == "belief" and row["tier"] != "trained"}


def in_order(rows: Mapping[Number, dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows by the number under which they were put."""
    return [rows[number] for number in sorted(rows)]


def _of_families(questions: Iterable[Question], count: int) -> tuple[Question, ...]:
    """At most `count` questions of one turn, spread evenly over their families."""
    families: dict[str, list[Question]] = {}
    for question in questions:
        if question.follow_up is None:
            families.setdefault(question.family, []).append(question)
    chosen = spread(list(families.values()), count)
    quota = [0] * len(chosen)
    while sum(quota) < min(count, sum(map(len, chosen))):
        for place, members in enumerate(chosen):
            if quota[place] < len(members) and sum(quota) < count:
                quota[place] += 1
    return tuple(q for members, most in zip(chosen, quota, strict=True) for q in spread(members, most))
