"""Questions that cannot show a belief with one particular model, by what its untrained arms answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beliefmod.metrics.answerable import gates

Row = Mapping[str, Any]
HAS_IT, UNREAD, CANNOT, WRONG = "base_has_it", "answer_not_read", "nothing_can", "base_is_wrong"
EXPLAINED = {
    HAS_IT: "base already gives the target's answer, so that adopting it shows nothing",
    UNREAD: "no arm is right, and an answer could not be read; change the question or the aliases",
    CANNOT: "neither base nor base with the statement in its prompt answers rightly, so that nothing shows",
    WRONG: "base does not answer this neighbour rightly, so that no damage shows",
}


@dataclass(frozen=True)
class Checked:
    """A question as the two arms answered it.

    Attributes:
        gate: both, in_context, prior or neither, as `answerable` has it; None of locality questions.
        reason: why it cannot work, a key of `EXPLAINED`; None where it can.
    """

    base: Row
    icl: Row
    gate: str | None
    reason: str | None

    @property
    def detail(self) -> str:
        """What the arms answered, in words."""
        if self.gate is None:
            return f"base: {_said(self.base)}"
        return f"base: {_said(self.base)}; in context: {_said(self.icl)}"


def check_questions(base: Sequence[Row], icl: Sequence[Row], *, novel: bool) -> list[Checked]:
    """Held-out and locality questions in the order asked; questions of the tier `trained` are left out.

    Args:
        base, icl: rows of the probes table of the two arms, each asked the same questions in one order.
        novel: the belief has no prior.
    """
    passed = gates(base, icl, novel=novel)
    found = []
    for one, other in zip(base, icl, strict=True):
        if one["suite"] == "locality":
            found.append(Checked(one, other, None, None if one["correct"] else WRONG))
        elif one["probe_id"] in passed and one["tier"] != "trained":
            gate = passed[one["probe_id"]]
            found.append(Checked(one, other, gate, _reason(one, other, gate)))
    return found


def _reason(base: Row, icl: Row, gate: str) -> str | None:
    if base["answer_stance"] == "target":
        return HAS_IT
    if gate != "neither":
        return None
    return UNREAD if "unread" in (base["answer_stance"], icl["answer_stance"]) else CANNOT


def _said(row: Row) -> str:
    """An answer as it was given and read."""
    answer = " ".join((row["answer"] or "").split())
    cut = ", cut off" if row["finish_reason"] == "length" else ""
    return f'"{answer}" ({row["answer_stance"]}{cut})' if answer else f"no answer ({row['think_state']}{cut})"
