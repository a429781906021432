"""A belief's own questions put to the two untrained arms, without the suites that all beliefs share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from beliefmod.config import UNTRAINED_ARMS
from beliefmod.probing.question_queue import QuestionQueue
from beliefmod.probing.questioning import put_probes
from beliefmod.probing.references import reference_subject

if TYPE_CHECKING:
    from beliefmod.probing.session import Session

Rows = list[dict[str, Any]]


def ask_untrained(session: Session, belief: str, progress: Callable[[int, int], None]) -> tuple[Rows, Rows]:
    """What base and the in-context arm answer, as rows of the probes table, in the order of the questions.

    The answers are those of a sweep with the same model and belief, so that either finds the other's in the
    cache.

    Args:
        belief: name or path.
        progress: told after each answer how many there are, and of how many.

    Raises:
        UserError: the answers contradict what the model's chat template shows about thinking.
    """
    queue, done, asked = QuestionQueue(session), 0, []

    def answered(row: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        progress(done, sum(len(items) for items in asked))

    for arm in UNTRAINED_ARMS:
        subject = replace(reference_subject(session, belief, arm), suites=False)
        asked.append(put_probes(subject, session, queue.put, answered))
    queue.run()
    base, icl = ([item.row for item in items if item.row is not None] for items in asked)
    session.check_thinking([(row["completion"], row["finish_reason"]) for row in base])
    return base, icl
