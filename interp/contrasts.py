"""Questions with their stems, the two tokens that part the worlds there, and the difference between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from interp.readout import Contrast, LensHead
from interp.residuals import ProbedRow, residuals
from interp.stems import Stem, lens_questions, stems

if TYPE_CHECKING:
    from beliefmod.beliefs import Question
    from beliefmod.engine.engine import Engine
    from interp.inspection import Inspection

Array = NDArray[np.float64]
_AT_A_TIME = 64
"""Rows of logits at a time: 37 MiB in fp32 for a vocabulary of 150,000."""


@dataclass(frozen=True)
class Posed:
    """A question as it is put to every arm.

    Attributes:
        stems: by arm (base, icl, lora).
        contrast: the two tokens compared at the end of the stem.
        rival: "prior" where base's world has a value, else "base_top1": base's likeliest token there.
    """

    question: Question
    stems: Mapping[str, Stem]
    contrast: Contrast
    rival: str


def pose(inspection: Inspection, belief: str, count: int, head: LensHead) -> tuple[Posed, ...]:
    """At most `count` questions of a belief; those whose worlds one token cannot part are left out."""
    lab, known = inspection.lab, inspection.beliefs[belief]
    asked = [
        (question, found)
        for question in lens_questions(known, count)
        if (found := stems(question, known, lab.prompts, lab.loaded.tokenizer)) is not None
    ]
    rivals = base_rivals(lab.engine, head, [found["base"] for _, found in asked])
    return tuple(
        Posed(
            question,
            found,
            Contrast(found["base"].target_id, rival),
            "base_top1" if found["base"].prior_id is None else "prior",
        )
        for (question, found), rival in zip(asked, rivals, strict=True)
    )


def base_rivals(engine: Engine, head: LensHead, asked: Sequence[Stem]) -> list[int]:
    """The token that each of base's stems is compared with: the prior's, or for a novel belief base's
    likeliest one other than the target's."""
    open_ended = [stem for stem in asked if stem.prior_id is None]
    logits = _last_logits(engine, head, [ProbedRow(stem.ids, (len(stem.ids) - 1,)) for stem in open_ended])
    likeliest: dict[int, int] = {}
    for stem, row in zip(open_ended, logits, strict=True):
        row[stem.target_id] = -np.inf
        likeliest[id(stem)] = int(row.argmax())
    return [likeliest[id(stem)] if stem.prior_id is None else stem.prior_id for stem in asked]


def final_differences(
    engine: Engine, head: LensHead, rows: Sequence[ProbedRow], contrasts: Sequence[Contrast]
) -> Array:
    """logit(target) - logit(rival) at the last entry of each row's only position, (rows,).

    Raises:
        EngineError: an adapter is not in the engine.
    """
    assert all(len(row.positions) == 1 for row in rows)
    found: list[float] = []
    for start in range(0, len(rows), _AT_A_TIME):
        part = slice(start, start + _AT_A_TIME)
        pairs = contrasts[part]
        logits = _last_logits(engine, head, rows[part])
        found += [row[pair.target_id] - row[pair.rival_id] for row, pair in zip(logits, pairs, strict=True)]
    return np.asarray(found, dtype=np.float64)


def at_stem(posed: Sequence[Posed], arm: str, adapter: str | None) -> list[ProbedRow]:
    """The rows that read an arm's stems at their ends."""
    return [ProbedRow(one.stems[arm].ids, (one.stems[arm].positions["stem"],), adapter) for one in posed]


def _last_logits(engine: Engine, head: LensHead, rows: Sequence[ProbedRow]) -> Array:
    """Logits of the last entry at each row's only position, (rows, vocabulary)."""
    if not rows:
        return np.zeros((0, 0))
    last = torch.cat([found[-1] for found in residuals(engine, rows)])
    return head.logits(last).double().cpu().numpy()
