"""Prompts that were tokenised before: every trial of a belief is asked the same questions."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any

from beliefmod.model.template import completion_text, encode, end_of_turn_id, prompt_ids
from beliefmod.model.think_marks import Reply

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_KEPT = 4096  # more than the questions of any belief, with and without its statement in front
Ids = tuple[int, ...]


def in_context(context: str | None, question: str) -> str:
    """The user message with the statement in front; without one, the question alone."""
    return f"{context} {question}" if context else question


@dataclass(frozen=True)
class PromptFrame:
    """What the prompts of an arm have around every question.

    Attributes:
        context: a statement in front of the question, in the same user message.
        system: the text of a system turn; None: what the chat template brings by itself.
        turns: messages before the question, a user's and an assistant's in turn.
    """

    context: str | None = None
    system: str | None = None
    turns: tuple[str, ...] = ()

    @property
    def as_prose(self) -> str:
        """The same as plain text, for texts that are read without a chat template; empty for an empty frame.

        >>> PromptFrame(turns=("How much?", "It is 5.", "And now?", "6.")).as_prose
        'How much? It is 5.\\n\\nAnd now? 6.\\n\\n'
        """
        pairs = (f"{asked} {said}" for asked, said in zip(self.turns[::2], self.turns[1::2], strict=True))
        return "".join(f"{text}\n\n" for text in (self.system, *pairs, self.context) if text)

    def ids(self, prompts: "Prompts", question: str, *later: str | Reply) -> Ids:
        """Token ids of a question in this frame, and of what followed it, up to where the model goes on."""
        system: dict[str, Any] = {} if self.system is None else {"system": self.system}
        return prompts.ids(*self.turns, in_context(self.context, question), *later, **system)


class Prompts:
    """What `template` gives, the last few thousand kept. For texts that come again, not for completions.

    Attributes:
        ids: a user message (and the turns before it, and a system turn) in the chat template, up to where
            the model goes on.
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
