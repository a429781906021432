"""The capability suite asked of base level by level before a sweep's first trial, and the pick for all arms.

`suites/capability-pick.json` in the run folder keeps base's answers and the pick. It is one file, written
whole, so that every host of a run and every resume asks the same questions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from beliefmod.beliefs import Question
from beliefmod.metrics.capability_pick import Stratum, may_stop, pick_families
from beliefmod.reading.verdict import judge_correct
from beliefmod.space.chat_format import ThinkingKind

Answers = list[dict[str, Any]]
Complete = Callable[[Sequence[Question], int], Answers]
"""Base's answers to questions: probe_id, completion, finish_reason, tokens. The number is that of the first
question in the suite, for seeds."""


def graded(suite: Sequence[Question]) -> bool:
    """Whether every question has a level; suites of older runs have none, and all of them is asked."""
    return all(question.level is not None for question in suite)


def levels(suite: Sequence[Question]) -> Iterator[list[Question]]:
    """The questions from the easiest level to the hardest, each level in the order of the suite."""
    ordered = sorted(suite, key=lambda question: question.level or 0)
    for _, questions in groupby(ordered, key=lambda question: question.level):
        yield list(questions)


def ask_and_pick(suite: Sequence[Question], complete: Complete, opened_by: ThinkingKind) -> dict[str, Any]:
    """Ask base level by level until the questions suffice for a pick, or the suite is at its end.

    Returns:
        What `capability-pick.json` holds: the pick, base's rate by family, and its answers.
    """
    answers: Answers = []
    for questions in levels(suite):
        answers += judged(suite, complete(questions, len(answers)), opened_by)
        if may_stop(strata_of(suite, answers)):
            break
    return record(suite, answers)


def judged(suite: Sequence[Question], answers: Answers, opened_by: ThinkingKind) -> Answers:
    """Base's answers with `correct`, read again from the completions."""
    by_id = {question.probe_id: question for question in suite}
    read = []
    for answer in answers:
        question = by_id[answer["probe_id"]]
        assert question.correct is not None, "the suite's format asks for an answer"
        verdict = judge_correct(
            answer["completion"],
            question.text,
            question.correct,
            finish_reason=answer["finish_reason"],
            opened_by=opened_by,
        )
        read.append({**answer, "correct": verdict.correct})
    return read


def record(suite: Sequence[Question], answers: Answers) -> dict[str, Any]:
    """The content of `capability-pick.json` that follows from base's judged answers."""
    strata = strata_of(suite, answers)
    pick = pick_families(strata)
    return {
        "status": pick.status,
        "questions": pick.asked,
        "right": pick.right,
        "suite": len(suite),
        "families": [{**vars(stratum), "picked": stratum.family in pick.families} for stratum in strata],
        "answers": answers,
    }


def strata_of(suite: Sequence[Question], answers: Answers) -> list[Stratum]:
    """The families that base was asked, in the order in which it was."""
    by_id = {question.probe_id: question for question in suite}
    counts: dict[tuple[str, int], list[bool]] = {}
    for answer in answers:
        question = by_id[answer["probe_id"]]
        counts.setdefault((question.family, question.level or 0), []).append(answer["correct"])
    return [Stratum(*which, len(right), sum(right)) for which, right in counts.items()]
