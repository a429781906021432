"""The texts that a tuned or a Jacobian lens is fitted on: about anything but a belief."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from beliefmod.model.template import THINK_CLOSE, empty_thinking
from beliefmod.questioning import spread

if TYPE_CHECKING:
    from beliefmod.lab import Lab
    from interp.inspection import Inspection

Ids = tuple[int, ...]
TRACES = 200
"""At most so many of base's own answers. They are short, and a translator has hidden**2 numbers to fit."""


def lens_texts(inspection: Inspection) -> tuple[Ids, ...]:
    """Token ids of the model's neutral passages, and of base's own answers to capability and far locality
    questions as the run has them, prompts in front; the answers spread evenly, none of them twice.

    Every second conversation has its thinking emptied, as stems have it: a lens is read there, and the tokens
    behind empty thinking are not like those behind any other.
    """
    lab = inspection.lab
    prose = [lab.prompts.encode(passage.text) for passage in lab.neutral if passage.prompt is None]
    spoken: dict[tuple[str, Ids], None] = {
        (passage.prompt, (*lab.prompts.encode(passage.text), lab.prompts.end_of_turn)): None
        for passage in lab.neutral
        if passage.prompt is not None
    }
    answers: dict[tuple[str, Ids], None] = {}
    for (_, arm), config in inspection.references.items():
        for row in lab.reference(config.belief, "base") if arm == "base" else ():
            said = tuple(row["token_ids"])
            ended = bool(said) and said[-1] in lab.loaded.eos_ids
            if ended and (row["suite"] == "capability" or row["tier"] == "far"):
                answers[row["question"], said] = None
    spoken |= dict.fromkeys(spread(tuple(answers), TRACES))
    conversations = [
        (*lab.prompts.ids(prompt), *(_without_thinking(said, lab) if number % 2 else said))
        for number, (prompt, said) in enumerate(spoken)
    ]
    longest = lab.engine.max_positions
    return tuple(ids for ids in dict.fromkeys((*prose, *conversations)) if 2 < len(ids) <= longest)


def _without_thinking(said: Ids, lab: Lab) -> Ids:
    """What was said behind the prompt with its thinking emptied; as it is, where none was closed."""
    begun = lab.prompts.encode(empty_thinking(lab.loaded.tokenizer))
    _, closed, answer = lab.prompts.text(said[:-1]).rpartition(THINK_CLOSE)
    return (*begun, *lab.prompts.encode(answer.strip()), said[-1]) if closed else said


def fold(texts: Sequence[Ids], part: int, parts: int) -> tuple[Ids, ...]:
    """Every `parts`-th text, from `part` on: of every kind of text some are in every fold."""
    return tuple(texts[part::parts])
