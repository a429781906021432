"""The texts that a tuned or a Jacobian lens is fitted on: about anything but a belief."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from beliefmod.model.template import THINK_CLOSE, empty_thinking
from beliefmod.probing.questioning import spread
from beliefmod.probing.references import reference_probes

if TYPE_CHECKING:
    from beliefmod.probing.session import Session
    from interp.opened.inspection import Inspection

Ids = tuple[int, ...]
TRACES = 200
"""At most so many of base's own answers. They are short, and a translator has hidden**2 numbers to fit."""


def lens_texts(inspection: Inspection) -> tuple[Ids, ...]:
    """Token ids of the model's neutral passages, and of base's own answers to capability and far locality
    questions as the run has them, prompts in front; the answers spread evenly, none of them twice.

    Every second conversation has its thinking emptied, as stems have it: a lens is read there, and the tokens
    behind empty thinking are not like those behind any other.
    """
    session = inspection.session
    prose = [session.prompts.encode(passage.text) for passage in session.neutral if passage.prompt is None]
    spoken: dict[tuple[str, Ids], None] = {
        (passage.prompt, (*session.prompts.encode(passage.text), session.prompts.end_of_turn)): None
        for passage in session.neutral
        if passage.prompt is not None
    }
    answers: dict[tuple[str, Ids], None] = {}
    for (_, arm), config in inspection.references.items():
        for row in reference_probes(session, config.belief, "base") if arm == "base" else ():
            said = tuple(row["token_ids"])
            ended = bool(said) and said[-1] in session.loaded.eos_ids
            if ended and (row["suite"] == "capability" or row["tier"] == "far"):
                answers[row["question"], said] = None
    spoken |= dict.fromkeys(spread(tuple(answers), TRACES))
    conversations = [
        (*session.prompts.ids(prompt), *(_without_thinking(said, session) if number % 2 else said))
        for number, (prompt, said) in enumerate(spoken)
    ]
    longest = session.engine.max_positions
    return tuple(ids for ids in dict.fromkeys((*prose, *conversations)) if 2 < len(ids) <= longest)


def _without_thinking(said: Ids, session: Session) -> Ids:
    """What was said behind the prompt with its thinking emptied; as it is, where none was closed."""
    begun = session.prompts.encode(empty_thinking(session.loaded.tokenizer))
    _, closed, answer = session.prompts.text(said[:-1]).rpartition(THINK_CLOSE)
    return (*begun, *session.prompts.encode(answer.strip()), said[-1]) if closed else said


def fold(texts: Sequence[Ids], part: int, parts: int) -> tuple[Ids, ...]:
    """Every `parts`-th text, from `part` on: of every kind of text some are in every fold."""
    return tuple(texts[part::parts])
