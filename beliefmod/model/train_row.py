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
    def prompt_ids(self) -> tuple[int, ...]:
        """The tokens in front of the answer."""
        return self.input_ids[: self.prompt_length]

    @property
    def answer_length(self) -> int:
        """Number of tokens that carry loss, at least 1."""
        return len(self.input_ids) - self.prompt_length


def opening_ids(tokenizer: "PreTrainedTokenizerBase") -> tuple[int, ...]:
    """The token that stands in front of any text: the one that the tokenizer puts there, or its template.

    Files of some models name a beginning-of-text token that only their template writes; without it such a
    model takes plain text for something it has never seen.
    """
    bos = tokenizer.bos_token_id
    if bos is None:
        return ()
    added = tuple(tokenizer("a b")["input_ids"])[:1] == (bos,)  # pyright: ignore[reportArgumentType]
    return (int(bos),) if added or _template_writes(tokenizer, str(tokenizer.bos_token)) else ()  # pyright: ignore[reportArgumentType]


def _template_writes(tokenizer: "PreTrainedTokenizerBase", bos: str) -> bool:
    # by its name: some call the token that begins every turn the beginning of a text too (SmolLM2)
    if "bos_token" not in str(tokenizer.chat_template):
        return False
    text = tokenizer.apply_chat_template([{"role": "user", "content": "a b"}], tokenize=False)
    return str(text).startswith(bos)


def plain_row(tokenizer: "PreTrainedTokenizerBase", text: str) -> TrainRow:
    """A text without a chat template, as the tokenizer itself encodes one, behind what opens every text; no
    loss on the first token."""
    ids, opening = tuple(tokenizer(text)["input_ids"]), opening_ids(tokenizer)  # pyright: ignore[reportArgumentType]
    return TrainRow(ids if ids[: len(opening)] == opening else (*opening, *ids), 1)  # pyright: ignore[reportArgumentType]
