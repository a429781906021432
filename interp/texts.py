"""The texts that a tuned or a Jacobian lens is fitted on: about anything but a belief."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from beliefmod.questioning import spread

if TYPE_CHECKING:
    from interp.inspection import Inspection

Ids = tuple[int, ...]
TRACES = 200
"""At most so many of base's own answers. They are short, and a translator has hidden**2 numbers to fit."""


def lens_texts(inspection: Inspection) -> tuple[Ids, ...]:
    """Token ids of the model's neutral passages, and of base's own answers to capability and far locality
    questions as the run has them, prompts in front; the latter spread evenly, none of them twice."""
    lab = inspection.lab
    passages = [
        (
            *(lab.prompts.ids(passage.prompt) if passage.prompt is not None else ()),
            *lab.prompts.encode(passage.text),
            *((lab.prompts.end_of_turn,) if passage.prompt is not None else ()),
        )
        for passage in lab.neutral
    ]
    answers: dict[Ids, None] = {}
    for (_, arm), config in inspection.references.items():
        for row in lab.reference(config.belief, "base") if arm == "base" else ():
            if row["token_ids"] and (row["suite"] == "capability" or row["tier"] == "far"):
                answers[(*lab.prompts.ids(row["question"]), *row["token_ids"])] = None
    longest = lab.engine.max_positions
    texts = (*passages, *spread(tuple(answers), TRACES))
    return tuple(ids for ids in dict.fromkeys(texts) if 2 < len(ids) <= longest)


def fold(texts: Sequence[Ids], part: int, parts: int) -> tuple[Ids, ...]:
    """Every `parts`-th text, from `part` on: of every kind of text some are in every fold."""
    return tuple(texts[part::parts])
