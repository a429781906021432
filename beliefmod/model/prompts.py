"""Prompts that were tokenised before: every trial of a belief is asked the same questions."""

from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING

from beliefmod.model.template import completion_text, encode, end_of_turn_id, prompt_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_KEPT = 4096  # more than the questions of any belief, with and without its statement in front
Ids = tuple[int, ...]


def in_context(context: str | None, question: str) -> str:
    """The user message with the statement in front; without one, the question alone."""
    return f"{context} {question}" if context else question


class Prompts:
    """What `template` gives, the last few thousand kept. For texts that come again, not for completions.

    Attributes:
        ids: a user message (and the turns before it) in the chat template, up to where the model goes on.
        encode: a text's token ids, nothing added.
        text: a prompt's ids as text, special tokens included.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer = tokenizer
        self.ids: Callable[..., Ids] = lru_cache(_KEPT)(partial(prompt_ids, tokenizer))
        self.encode: Callable[[str], Ids] = lru_cache(_KEPT)(partial(encode, tokenizer))
        self.text: Callable[[Ids], str] = lru_cache(_KEPT)(
            lambda ids: completion_text(tokenizer, ids, eos_ids=())
        )

    @cached_property
    def end_of_turn(self) -> int:
        """The token that ends a turn of the chat template."""
        return end_of_turn_id(self._tokenizer)
