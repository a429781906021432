"""Questions with their stems, the two tokens that part the worlds there, and the difference between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from interp.lenses.lens_head import Contrast, LensHead
from interp.lenses.residual_stream import ProbedRow, residuals
from interp.prompts.stems import Stem, lens_questions, other_questions, stems
from interp.read.masses import NO_SETS, ValueSets, Vocabulary, value_sets, vocabulary_of

if TYPE_CHECKING:
    from beliefmod.beliefs import Question
    from beliefmod.engine.engine import Engine
    from interp.opened.inspection import Inspection

Array = NDArray[np.float64]
_AT_A_TIME = 64
"""Rows of logits at a time: 37 MiB in fp32 for a vocabulary of 150,000."""


@dataclass(frozen=True)
class Posed:
    """A question as it is put to every arm.

    Attributes:
        stems: by arm (base, icl, lora).
        contrast: the two tokens compared at the end of the stem.
        rival: "prior" where base's world has a value, else "base_top1": base's likeliest token there;
            "correct" at questions about other things.
        sets: the spellings of both values there.
    """

    question: Question
    stems: Mapping[str, Stem]
    contrast: Contrast
    rival: str
    sets: ValueSets = NO_SETS


def pose(inspection: Inspection, belief: str, count: int, head: LensHead) -> tuple[Posed, ...]:
    """At most `count` questions of a belief; those whose worlds one token cannot part are left out."""
    session = inspection.session
    asked = _with_stems(inspection, belief, lens_questions(inspection.beliefs[belief], count))
    rivals = base_rivals(session.engine, head, [found["base"] for _, found in asked])
    known, tokenizer = vocabulary(inspection), session.loaded.tokenizer
    return tuple(
        Posed(
            question,
            found,
            Contrast(found["base"].target_id, rival),
            "base_top1" if found["base"].prior_id is None else "prior",
            value_sets(question, found["base"], session.prompts, tokenizer, known),
        )
        for (question, found), rival in zip(asked, rivals, strict=True)
    )


def pose_elsewhere(inspection: Inspection, belief: str, count: int) -> tuple[Posed, ...]:
    """At most `count` questions about what the belief does not concern, its near neighbours: compared are the
    token of what the belief would give there and that of the right answer. Left out as by `pose`."""
    asked = _with_stems(inspection, belief, other_questions(inspection.beliefs[belief], count))
    found = []
    for question, by_arm in asked:
        target, correct = by_arm["base"].target_id, by_arm["base"].prior_id
        if correct is not None:
            found.append(Posed(question, by_arm, Contrast(target, correct), "correct"))
    return tuple(found)


def _with_stems(
    inspection: Inspection, belief: str, questions: Sequence[Question]
) -> list[tuple[Question, dict[str, Stem]]]:
    session, known = inspection.session, inspection.beliefs[belief]
    return [
        (question, found)
        for question in questions
        if (found := stems(question, known, session.prompts, session.loaded.tokenizer)) is not None
    ]


def vocabulary(inspection: Inspection) -> Vocabulary:
    """What the tokens of the model's vocabulary are, read once."""
    session = inspection.session

    def make() -> Vocabulary:
        device = session.engine.model.device
        nothing = torch.zeros(1, session.loaded.model.config.get_text_config().hidden_size, device=device)
        size = inspection.head.logits(nothing).shape[-1]  # a head may be longer than the tokenizer
        return vocabulary_of(session.loaded.tokenizer, size, device)

    return inspection.once("vocabulary", make)


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
    if not rows:
        return np.zeros(0)
    hidden = torch.cat([found[-1] for found in residuals(engine, rows, last=True)])
    found: list[float] = []
    for start in range(0, len(rows), _AT_A_TIME):
        part = slice(start, start + _AT_A_TIME)
        pairs = contrasts[part]
        ids = torch.tensor([(pair.target_id, pair.rival_id) for pair in pairs], device=hidden.device)
        chosen = head.logits(hidden[part]).gather(1, ids).double()
        found += (chosen[:, 0] - chosen[:, 1]).tolist()
    return np.asarray(found, dtype=np.float64)


def at_stem(posed: Sequence[Posed], arm: str, adapter: str | None) -> list[ProbedRow]:
    """The rows that read an arm's stems at their ends."""
    return [ProbedRow(one.stems[arm].ids, (one.stems[arm].positions["stem"],), adapter) for one in posed]


def _last_logits(engine: Engine, head: LensHead, rows: Sequence[ProbedRow]) -> Array:
    """Logits of the last entry at each row's only position, (rows, vocabulary)."""
    if not rows:
        return np.zeros((0, 0))
    last = torch.cat([found[-1] for found in residuals(engine, rows, last=True)])
    return head.logits(last).double().cpu().numpy()
