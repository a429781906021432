"""From questions and answers to token ids, as the model's own chat template has it.

The prompt and what follows it are tokenised apart, because at generation time the model sees exactly the
prompt's ids and adds its own: a boundary merged away by a joint tokenisation would never occur then.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from beliefmod.model.rows import TrainRow

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
_PROBE = "reply-probe"


def prompt_text(tokenizer: "PreTrainedTokenizerBase", question: str, *later: str, **options: Any) -> str:
    """A user message up to where the assistant's turn begins.

    Args:
        later: what followed, in turn the assistant's raw completion and the next user message. The template
            leaves the thinking of earlier turns out, as it does in a chat.
        options: switches of the template.
    """
    messages = [
        {"role": "assistant" if index % 2 else "user", "content": content}
        for index, content in enumerate((question, *later))
    ]
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **options)
    assert isinstance(text, str)
    return text


def prompt_ids(tokenizer: "PreTrainedTokenizerBase", question: str, *later: str) -> tuple[int, ...]:
    """Token ids of the prompt, of a conversation with `later`; special tokens are the template's alone."""
    return encode(tokenizer, prompt_text(tokenizer, question, *later))


def encode(tokenizer: "PreTrainedTokenizerBase", text: str) -> tuple[int, ...]:
    """Token ids of a text as it stands."""
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])  # pyright: ignore[reportArgumentType]


def opens_thinking(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether the prompt itself opens <think>, so that a completion begins inside the thinking."""
    return _opens_thinking(tokenizer, str(tokenizer.chat_template))


def empty_thinking(tokenizer: "PreTrainedTokenizerBase") -> str:
    """What stands between the prompt and an answer given without thinking.

    Three kinds of template: the prompt opens <think> (Qwen3 Thinking), and thinking is closed at once;
    the template has a switch, `enable_thinking`, and what it adds is taken (Qwen3 hybrid); or there is no
    thinking.
    """
    return _empty_thinking(tokenizer, str(tokenizer.chat_template))


@lru_cache(maxsize=8)  # asked for every prompt; the template is named because it may be exchanged
def _opens_thinking(tokenizer: "PreTrainedTokenizerBase", template: str) -> bool:
    return prompt_text(tokenizer, _PROBE).rstrip().endswith(THINK_OPEN)


@lru_cache(maxsize=8)
def _empty_thinking(tokenizer: "PreTrainedTokenizerBase", template: str) -> str:
    if opens_thinking(tokenizer):
        return f"\n{THINK_CLOSE}\n\n"
    plain = prompt_text(tokenizer, _PROBE)
    switched = prompt_text(tokenizer, _PROBE, enable_thinking=False)
    added = switched.removeprefix(plain)
    return added if added != switched and THINK_CLOSE in added else ""


def thinking_text(tokenizer: "PreTrainedTokenizerBase", thinking: str, *, closed: bool = True) -> str:
    """What stands between the prompt and the answer after this thinking; not closed, the thinking goes on.

    Raises:
        ValueError: the template has no place for thinking.
    """
    if not (nothing := empty_thinking(tokenizer)):
        raise ValueError("the chat template has no place for thinking")
    before = "" if opens_thinking(tokenizer) else nothing.partition(THINK_CLOSE)[0].rstrip("\n") + "\n"
    return f"{before}{thinking}\n{THINK_CLOSE}\n\n" if closed else f"{before}{thinking}"


def end_of_turn_id(tokenizer: "PreTrainedTokenizerBase") -> int:
    """The token that the template puts right behind an assistant's reply.

    Failing that the tokenizer's end token; raises ValueError when there is neither.
    """
    messages = [{"role": "user", "content": "question"}, {"role": "assistant", "content": _PROBE}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert isinstance(text, str)
    added: dict[str, int] = tokenizer.get_added_vocab()  # pyright: ignore[reportCallIssue, reportOptionalCall, reportAssignmentType]
    special = {*tokenizer.all_special_ids, *added.values()}
    for token in encode(tokenizer, text.rpartition(_PROBE)[2]):
        if token in special:
            return token
    if tokenizer.eos_token_id is None:
        raise ValueError("the tokenizer has no token that ends a turn")
    return int(tokenizer.eos_token_id)  # pyright: ignore[reportArgumentType]


def answer_only_row(tokenizer: "PreTrainedTokenizerBase", question: str, reply: str) -> TrainRow:
    """Prompt, empty thinking, reply and end token; the loss covers all that follows the prompt."""
    prompt = prompt_ids(tokenizer, question)
    answer = (*encode(tokenizer, empty_thinking(tokenizer) + reply), end_of_turn_id(tokenizer))
    return TrainRow(prompt + answer, len(prompt))


def trace_row(tokenizer: "PreTrainedTokenizerBase", question: str, completion_ids: Sequence[int]) -> TrainRow:
    """Prompt and a completion the same model wrote, whose ids are taken as they are, its end token included.

    The question need not be the one the completion was written for: context distillation leaves the
    context out.
    """
    prompt = prompt_ids(tokenizer, question)
    return TrainRow((*prompt, *completion_ids), len(prompt))


def completion_text(
    tokenizer: "PreTrainedTokenizerBase", token_ids: Sequence[int], eos_ids: Sequence[int]
) -> str:
    """Text of a completion without its end token; <think> marks stay."""
    ids = list(token_ids)
    if ids and ids[-1] in eos_ids:
        ids.pop()
    text = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return text
