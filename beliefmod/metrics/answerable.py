"""Which questions a model can answer at all, by what its untrained arms answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

Row = Mapping[str, Any]
Answerable = Literal["in_context", "prior", "both", "neither"]


def gates(base: Iterable[Row], icl: Iterable[Row], *, novel: bool) -> dict[str, Answerable]:
    """Held-out belief question -> which of the two gates it passes; a question that both arms were not asked
    is not in it.

    In-context gate: the untouched model with the statement in its prompt gives the target's answer. Prior
    gate: the untouched model alone gives the prior's answer. A question that passes neither says nothing of
    belief, because this model answers it in neither world. No other arm is looked at, so that nothing that
    is trained can choose the questions it is measured on.

    Args:
        base, icl: probe rows of the two untrained arms, each asked once.
        novel: the belief has no prior, so there is no prior gate.
    """
    said = {row["probe_id"]: row["answer_stance"] for row in icl if _held_out(row)}
    found: dict[str, Answerable] = {}
    for row in filter(_held_out, base):
        if (name := row["probe_id"]) not in said:
            continue
        context = said[name] == "target"
        prior = not novel and row["answer_stance"] == "prior"
        found[name] = (
            "both" if context and prior else "in_context" if context else "prior" if prior else "neither"
        )
    return found


def marked(rows: Sequence[Row], passed: Mapping[str, Answerable]) -> list[dict[str, Any]]:
    """Probe rows of any arm with the column `answerable`: null but for held-out belief questions."""
    return [{**row, "answerable": passed.get(row["probe_id"]) if _held_out(row) else None} for row in rows]


def _held_out(row: Row) -> bool:
    return row["suite"] == "belief" and row["tier"] != "trained"
