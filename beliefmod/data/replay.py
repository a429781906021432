"""Neutral rows that are mixed into training: what they are made of, and what they must not be.

The neutral passages are split in two. One half is trained on (replay), the other measures the drift from base
and is never trained on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from beliefmod.model.think_marks import THINK_CLOSE
from beliefmod.model.train_row import TrainRow, plain_row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from beliefmod.beliefs.neutral import Passage

ASK_ABOUT_PROSE = "Say in one sentence what this text is about: "


def measured_passages(passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """The half (the larger, of an odd number) that drift is measured on, in the order given."""
    measured = set(_shuffled(passages)[: (len(passages) + 1) // 2])
    return tuple(passage for passage in passages if passage.passage_id in measured)


def replay_passages(passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """The other half, which may be trained on, in the order given."""
    measured = {passage.passage_id for passage in measured_passages(passages)}
    return tuple(passage for passage in passages if passage.passage_id not in measured)


def _shuffled(passages: Sequence[Passage]) -> list[str]:
    # by hash, so that neither half is one topic, whatever the names, and a new passage moves few others
    return sorted(
        (passage.passage_id for passage in passages), key=lambda name: hashlib.sha256(name.encode()).digest()
    )


def replay_prompt(passage: Passage) -> str:
    """The neutral question that base answers: the passage's own, or one about its prose."""
    return passage.prompt if passage.prompt is not None else f"{ASK_ABOUT_PROSE}{passage.text}"


def neutral_text_row(tokenizer: PreTrainedTokenizerBase, passage: Passage) -> TrainRow:
    """A passage as plain text, to mix with documents: prose as it is, a conversation without thinking."""
    if passage.prompt is None:
        return plain_row(tokenizer, passage.text)
    answer = passage.text.rpartition(THINK_CLOSE)[2].strip()
    return plain_row(tokenizer, f"{passage.prompt} {answer}")


def replayed(rows: Sequence[TrainRow], count: int, seed: int) -> tuple[TrainRow, ...]:
    """`count` rows drawn without repeating any before all have been used; fewer are a prefix of more.

    Raises:
        ValueError: rows are wanted and there are none.
    """
    if count and not rows:
        raise ValueError("there is no neutral row to mix in")
    rng = Random(f"{seed}/replay")
    drawn: list[TrainRow] = []
    while len(drawn) < count:
        drawn += rng.sample(rows, len(rows))
    return tuple(drawn[:count])
