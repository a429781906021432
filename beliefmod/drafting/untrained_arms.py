"""A belief's own questions put to the two untrained arms, without the suites that all beliefs share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from beliefmod.beliefs import Belief, Question
from beliefmod.config import REFERENCE_ARMS
from beliefmod.probing.probes import Probe
from beliefmod.probing.question_queue import QuestionQueue
from beliefmod.probing.questioning import put_probes, spread
from beliefmod.probing.references import reference_subject

if TYPE_CHECKING:
    from beliefmod.probing.session import Session

Rows = list[dict[str, Any]]


def ask_untrained(
    session: Session, belief: str, per_family: int | None, progress: Callable[[int, int], None]
) -> tuple[Rows, Rows]:
    """What base and the in-context arm answer to held-out and locality questions, as rows of the probes
    table, in the order of the questions.

    The answers are those of a sweep with the same model and belief, so that either finds the other's in the
    cache.

    Args:
        belief: name or path.
        per_family: at most so many questions of each family, evenly spread; None for all.
        progress: told after each answer how many there are, and of how many.

    Raises:
        UserError: the answers contradict what the model's chat template shows about thinking.
    """
    queue, done, asked = QuestionQueue(session), 0, []

    def answered(row: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        progress(done, sum(len(items) for items in asked))

    wanted = _chosen(session.belief(belief), per_family)
    for arm in REFERENCE_ARMS:
        subject = replace(reference_subject(session, belief, arm), suites=False)
        asked.append(put_probes(subject, session, queue.put, answered, wanted))
    queue.run()
    base, icl = ([item.row for item in items if item.row is not None] for items in asked)
    session.check_thinking([(row["completion"], row["finish_reason"]) for row in base])
    return base, icl


def _chosen(belief: Belief, per_family: int | None) -> Callable[[Probe], bool]:
    """Whether a probe is one of those that are asked; training questions are not."""
    families: dict[str, list[Question]] = {}
    for question in (*belief.heldout, *belief.locality):
        families.setdefault(question.family, []).append(question)
    chosen = {
        question.probe_id
        for questions in families.values()
        for question in (questions if per_family is None else spread(questions, per_family))
    }
    return lambda probe: probe.tier != "trained" and probe.question.probe_id in chosen
