"""Questions with their stems, and the two tokens that part the worlds there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from interp.lens_settings import LensSettings
from interp.lenses.lens_metrics import AnswerTokens
from interp.lenses.residual_stream import ProbedRow, residuals
from interp.prompts.stems import Stem, lens_questions, other_questions, stems
from interp.read.masses import NO_SETS, ValueSets, Vocabulary, value_sets, vocabulary_of
from interp.steps import Told, untold
from interp.types import NOTE, Say

if TYPE_CHECKING:
    from beliefmod.beliefs import Question
    from beliefmod.engine.engine import Engine
    from interp.lenses.lens_head import LensHead
    from interp.opened.inspection import Inspection

NEIGHBOUR_QUESTIONS = 12
"""Most questions about other things, spread over the file."""


@dataclass(frozen=True)
class ContrastQuestion:
    """A question as it is put to every arm.

    Attributes:
        stems: by arm (base, icl, lora).
        tokens: the two tokens compared at the end of the stem.
        rival: "prior" where base's world has a value, else "base_top1": base's likeliest token there;
            "correct" at questions about other things.
        sets: the spellings of both values there.
    """

    question: Question
    stems: Mapping[str, Stem]
    tokens: AnswerTokens
    rival: str
    sets: ValueSets = NO_SETS


def questions_of(
    inspection: Inspection, belief: str, settings: LensSettings, say: Say
) -> tuple[ContrastQuestion, ...]:
    """The questions of a belief, found for the first batch and kept; a note says where there are none."""

    def make() -> tuple[ContrastQuestion, ...]:
        asked = contrast_questions(inspection, belief, settings.prompts)
        if not asked:
            say(f"{NOTE}{belief}: no held-out question has two values that one token tells apart; not read")
        elif len({one.question.family for one in asked}) < 2:
            say(f"{NOTE}{belief}: its questions are of one family, so there are no intervals")
        return asked

    return inspection.once(("questions", belief, settings.prompts), make)


def neighbours_of(inspection: Inspection, belief: str, say: Say) -> tuple[ContrastQuestion, ...]:
    """Questions about near things that a belief does not concern, found for the first batch and kept: how far
    an arm's difference moves where it should not. A note says where there are none."""

    def make() -> tuple[ContrastQuestion, ...]:
        others = neighbour_questions(inspection, belief, NEIGHBOUR_QUESTIONS)
        if not others:
            say(f"{NOTE}{belief}: its file has no near question with two answers that one token tells apart")
        return others

    return inspection.once(("neighbours", belief), make)


def contrast_questions(inspection: Inspection, belief: str, count: int) -> tuple[ContrastQuestion, ...]:
    """At most `count` questions of a belief; those whose worlds one token cannot part are left out."""
    session = inspection.session
    asked = _with_stems(inspection, belief, lens_questions(inspection.beliefs[belief], count))
    rivals = base_rivals(session.engine, inspection.head, [found["base"] for _, found in asked])
    known, tokenizer = vocabulary(inspection), session.loaded.tokenizer
    return tuple(
        ContrastQuestion(
            question,
            found,
            AnswerTokens(found["base"].target_id, rival),
            "base_top1" if found["base"].prior_id is None else "prior",
            value_sets(question, found["base"], session.prompts, tokenizer, known),
        )
        for (question, found), rival in zip(asked, rivals, strict=True)
    )


def neighbour_questions(inspection: Inspection, belief: str, count: int) -> tuple[ContrastQuestion, ...]:
    """At most `count` questions about a belief's near neighbours: compared are the token of what the belief
    would give there and that of the right answer. Those that one token cannot part are left out."""
    asked = _with_stems(inspection, belief, other_questions(inspection.beliefs[belief], count))
    return tuple(
        ContrastQuestion(question, by_arm, AnswerTokens(by_arm["base"].target_id, correct), "correct")
        for question, by_arm in asked
        if (correct := by_arm["base"].prior_id) is not None
    )


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
    unknown = [stem for stem in asked if stem.prior_id is None]
    read = residuals(engine, [ProbedRow(stem.ids, (len(stem.ids) - 1,)) for stem in unknown], last=True)
    likeliest = iter([head.likeliest(h[-1], s.target_id) for h, s in zip(read, unknown, strict=True)])
    return [next(likeliest) if stem.prior_id is None else stem.prior_id for stem in asked]


def final_differences(
    engine: Engine,
    head: LensHead,
    rows: Sequence[ProbedRow],
    tokens: Sequence[AnswerTokens],
    told: Told = untold,
) -> NDArray[np.float64]:
    """logit(target) - logit(rival) at the last entry of each row's only position, (rows,).

    `told` hears now and then how many more rows went through the model.

    Raises:
        EngineError: an adapter is not in the engine.
    """
    assert all(len(row.positions) == 1 for row in rows)
    if not rows:
        return np.zeros(0)
    read = residuals(engine, rows, last=True, told=told)
    return head.logit_diff(torch.cat([found[-1] for found in read]), tokens)


def at_stem(asked: Sequence[ContrastQuestion], arm: str, adapter: str | None) -> list[ProbedRow]:
    """The rows that read an arm's stems at their ends."""
    return [ProbedRow(one.stems[arm].ids, (one.stems[arm].positions["stem"],), adapter) for one in asked]
