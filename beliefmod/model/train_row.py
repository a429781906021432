"""What one training row is. No torch here, so that every room may import it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class TrainRow:
    """One sequence of token ids and where its answer begins.

    The loss covers `input_ids[prompt_length:]`, each token predicted from those before it, so a row needs at
    least one prompt token and one answer token. Raises ValueError otherwise.
    """

    input_ids: tuple[int, ...]
    prompt_length: int

    def __post_init__(self) -> None:
        if not 1 <= self.prompt_length < len(self.input_ids):
            raise ValueError(
                f"a training row needs at least one prompt token and one answer token; this one has "
                f"{len(self.input_ids)} tokens of which {self.prompt_length} are prompt"
            )

    @property
    def answer_length(self) -> int:
        """Number of tokens that carry loss, at least 1."""
        return len(self.input_ids) - self.prompt_length


def plain_row(tokenizer: "PreTrainedTokenizerBase", text: str) -> TrainRow:
    """A text without a chat template, as the tokenizer itself encodes one; no loss on the first token."""
    return TrainRow(tuple(tokenizer(text)["input_ids"]), 1)  # pyright: ignore[reportArgumentType]
