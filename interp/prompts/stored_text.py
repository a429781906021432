"""A stored completion as text and as token ids, and which character stands in which token."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from beliefmod.model.template import completion_text, encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_CONTEXT = 8
"""Tokens in front of a text that is encoded, so that its first token comes out as it would behind them."""


class Written:
    """A stored completion as text and token ids, which name one another's places.

    Attributes:
        text: the completion.
        ids: its token ids; None where they do not give this text.
    """

    def __init__(self, row: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self.text: str = row["completion"]
        ids = tuple(row["token_ids"] or ())
        self._ids = ids
        whole = self._decoded(len(ids))
        # the stored text lacks the end token, and nothing else
        self.ids: tuple[int, ...] | None = ids if self.text and whole.startswith(self.text) else None

    def _decoded(self, count: int) -> str:
        return completion_text(self._tokenizer, self._ids[:count], eos_ids=())

    def start_of(self, place: int) -> int:
        """The character at which the token at `place` starts."""
        return len(self._decoded(place))

    def token_at(self, character: int) -> int:
        """The token that a character stands in; of one that several tokens make, the first of them.

        The text that a longer piece of the ids gives is never shorter, so halving finds it.
        """
        return bisect_left(range(1, len(self._ids) + 1), character + 1, key=lambda n: len(self._decoded(n)))

    def continued(self, place: int, text: str) -> tuple[int, ...] | None:
        """A text's token ids as the tokenizer writes it behind the first `place` tokens.

        None where it would join the text with the token in front of it.
        """
        before = completion_text(self._tokenizer, self._ids[max(0, place - _CONTEXT) : place], eos_ids=())
        head, whole = encode(self._tokenizer, before), encode(self._tokenizer, before + text)
        return whole[len(head) :] if whole[: len(head)] == head else None
