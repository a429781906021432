"""The questions a belief is read with: stems, the two tokens compared, and what base has inside there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interp.readout import Contrast, LensHead
from interp.residuals import ProbedRow, residuals
from interp.stems import Stem, lens_questions, stems

if TYPE_CHECKING:
    from torch import Tensor

    from beliefmod.beliefs import Belief, Question
    from beliefmod.lab import Lab


@dataclass(frozen=True)
class Asked:
    """A question that can be read.

    Attributes:
        stems: by arm, "base", "icl" and "lora".
        contrast: the tokens compared, at every position of this question the same.
        rival: "prior": the rival is the token of base's value; "base_top1": base knows no value, so the
            rival is the token that base holds likeliest at the end of the stem, other than the target's.
        base: base's residuals at the stem's named positions, (N + 1, positions, hidden).
    """

    question: Question
    stems: dict[str, Stem]
    contrast: Contrast
    rival: str
    base: Tensor


def ask_inside(lab: Lab, head: LensHead, belief: Belief, count: int) -> tuple[Asked, ...]:
    """At most `count` held-out questions of a belief with what base has inside, in one pass.

    Questions whose two values cannot be told apart by one token are left out.
    """
    found = [
        (question, made)
        for question in lens_questions(belief, count)
        if (made := stems(question, belief, lab.prompts, lab.loaded.tokenizer)) is not None
    ]
    rows = [stem_row(made["base"], None) for _, made in found]
    asked = []
    for (question, made), base in zip(found, residuals(lab.engine, rows), strict=True):
        stem = made["base"]
        rival, name = stem.prior_id, "prior"
        if rival is None:
            place = list(stem.positions).index("stem")
            rival, name = likeliest_other(head, base[-1, place], stem.target_id), "base_top1"
        asked.append(Asked(question, made, Contrast(stem.target_id, rival), name, base))
    return tuple(asked)


def stem_row(stem: Stem, adapter: str | None) -> ProbedRow:
    """A stem under an adapter (None: base), to be looked at in its named positions."""
    return ProbedRow(stem.ids, tuple(stem.positions.values()), adapter)


def likeliest_other(head: LensHead, hidden: Tensor, token_id: int) -> int:
    """The likeliest token at a residual (hidden,) of the last entry that is not `token_id`."""
    first, second = head.logits(hidden).topk(2).indices.tolist()
    return second if first == token_id else first


def families_of(asked: Sequence[Asked]) -> list[str]:
    """The question families, in the order of the questions."""
    return [each.question.family for each in asked]
