"""From questions and answers to token ids, as the model's own chat template has it.

The prompt and what follows it are tokenised apart, because at generation time the model sees exactly the
prompt's ids and adds its own: a boundary merged away by a joint tokenisation would never occur then.
"""

import re
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from beliefmod.model.train_row import TrainRow

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
ThinkingKind = Literal["prompt", "model", "none"]
TODAY = date(2024, 7, 26)
"""The date in prompts whose template prints today's (Llama 3 names this one where it knows none): a prompt
that changed overnight would split a run, and no adapter could be questioned again."""
_PROBE, _THOUGHT, _SECOND = "reply-probe", "thought-probe", "second-probe"
_NOW = re.compile(r"""strftime_now\(\s*(['"])([^'"]*)\1\s*\)""")


def without_today(template: str) -> str:
    """The template with `TODAY` where it would print the current date."""
    return _NOW.sub(lambda call: repr(TODAY.strftime(call[2])), template)


def prompt_text(tokenizer: "PreTrainedTokenizerBase", question: str, *later: str, **options: Any) -> str:
    """A user message up to where the assistant's turn begins.

    Args:
        later: what followed, in turn the assistant's raw completion and the next user message. The template
            leaves the thinking of earlier turns out, as it does in a chat.
        options: switches of the template.
    """
    return _rendered(tokenizer, (question, *later), add_generation_prompt=True, **options)


def _rendered(tokenizer: "PreTrainedTokenizerBase", contents: Sequence[str], **options: Any) -> str:
    """User and assistant in turn, as the template writes them."""
    messages = [
        {"role": "assistant" if index % 2 else "user", "content": content}
        for index, content in enumerate(contents)
    ]
    text = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    assert isinstance(text, str)
    return text


def prompt_ids(tokenizer: "PreTrainedTokenizerBase", question: str, *later: str) -> tuple[int, ...]:
    """Token ids of the prompt, of a conversation with `later`; special tokens are the template's alone."""
    return encode(tokenizer, prompt_text(tokenizer, question, *later))


def encode(tokenizer: "PreTrainedTokenizerBase", text: str) -> tuple[int, ...]:
    """Token ids of a text as it stands."""
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])  # pyright: ignore[reportArgumentType]


def thinking_kind(tokenizer: "PreTrainedTokenizerBase") -> ThinkingKind:
    """Who opens <think>: the `prompt`, the `model` itself, or nobody (`none`: a model without thinking).

    Read from what the template does: its prompt opens <think> (Qwen3 Thinking, DeepSeek R1); its switch
    `enable_thinking` adds a closed think block (Qwen3 hybrid); it leaves thinking out of earlier turns
    (models that open <think> without being told). A prompt that closes thinking itself has none.
    """
    if opens_thinking(tokenizer):
        return "prompt"
    return "model" if empty_thinking(tokenizer) else "none"


def opens_thinking(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether the prompt itself opens <think>, so that a completion begins inside the thinking."""
    return _opens_thinking(tokenizer, str(tokenizer.chat_template))


def empty_thinking(tokenizer: "PreTrainedTokenizerBase") -> str:
    """What stands between the prompt and an answer given without thinking; "" for a model that has none.

    Thinking that the prompt opens is closed at once; what the template's switch adds is taken as it is.
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
    if plain.rstrip().endswith(THINK_CLOSE):
        return ""
    switched = prompt_text(tokenizer, _PROBE, enable_thinking=False)
    added = switched.removeprefix(plain)
    if added != switched and THINK_CLOSE in added:
        return added
    return f"{THINK_OPEN}\n\n{THINK_CLOSE}\n\n" if _forgets_thinking(tokenizer) else ""


def _forgets_thinking(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether the template leaves the thinking of an earlier turn out, and only that."""
    earlier = f"{THINK_OPEN}\n{_THOUGHT}\n{THINK_CLOSE}\n\n{_PROBE}"
    text = prompt_text(tokenizer, _SECOND, earlier, _SECOND)
    return _THOUGHT not in text and _PROBE in text


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
    text = _rendered(tokenizer, ("question", _PROBE))
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
