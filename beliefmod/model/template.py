"""From questions and answers to token ids, as the model's own chat template has it.

The prompt and what follows it are tokenised apart, because at generation time the model sees exactly the
prompt's ids and adds its own: a boundary merged away by a joint tokenisation would never occur then.
"""

import json
import re
from collections.abc import Mapping, Sequence
from copy import copy
from datetime import date
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from beliefmod.model.think_families import PLAIN
from beliefmod.model.think_marks import Reply, ThinkMarks, infer, leaves_open, unknown_marks
from beliefmod.model.train_row import TrainRow
from beliefmod.space.chat_format import ThinkingKind, with_constants

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TODAY = date(2024, 7, 26)
"""The date in prompts whose template prints today's (Llama 3 names this one where it knows none): a prompt
that changed overnight would split a run, and no adapter could be questioned again."""
_PROBE = "reply-probe"
_NOW = re.compile(r"""strftime_now\(\s*(['"])([^'"]*)\1\s*\)""")


def without_today(template: str) -> str:
    """The template with `TODAY` where it would print the current date."""
    return _NOW.sub(lambda call: repr(TODAY.strftime(call[2])), template)


def with_switches(tokenizer: "PreTrainedTokenizerBase", switches: str | None) -> "PreTrainedTokenizerBase":
    """The tokenizer with further switches of its chat template set, as `TrialConfig.template` has them."""
    if switches is None:
        return tokenizer
    switched = copy(tokenizer)  # its vocabulary is shared
    switched.chat_template = with_constants(str(tokenizer.chat_template), json.loads(switches).items())
    return switched


def prompt_text(
    tokenizer: "PreTrainedTokenizerBase",
    question: str,
    *later: str | Reply,
    system: str | None = None,
    **options: Any,
) -> str:
    """A user message up to where the assistant's turn begins.

    Args:
        later: what followed, in turn the assistant's reply and the next user message. A `Reply` goes through
            the template's own fields, so that the template itself decides what is kept of its thinking.
        system: the text of a system turn in front; None: what the template brings by itself.
        options: switches of the template.
    """
    messages = _messages((question, *later), system)
    return _rendered(tokenizer, messages, add_generation_prompt=True, **options)


def _messages(contents: Sequence[str | Reply], system: str | None = None) -> list[Mapping[str, str]]:
    """User and assistant in turn, behind a system turn where there is one, as a template is given them."""
    first: list[Mapping[str, str]] = [] if system is None else [{"role": "system", "content": system}]
    return first + [
        content.message()
        if isinstance(content, Reply)
        else {"role": "assistant" if index % 2 else "user", "content": content}
        for index, content in enumerate(contents)
    ]


def _rendered(
    tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Mapping[str, str]], **options: Any
) -> str:
    text = tokenizer.apply_chat_template([dict(each) for each in messages], tokenize=False, **options)
    assert isinstance(text, str)
    return text


def prompt_ids(
    tokenizer: "PreTrainedTokenizerBase", question: str, *later: str | Reply, system: str | None = None
) -> tuple[int, ...]:
    """Token ids of the prompt, of a conversation with `later` and a `system` turn; special tokens are the
    template's alone."""
    return encode(tokenizer, prompt_text(tokenizer, question, *later, system=system))


def encode(tokenizer: "PreTrainedTokenizerBase", text: str) -> tuple[int, ...]:
    """Token ids of a text as it stands."""
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])  # pyright: ignore[reportArgumentType]


def think_marks(tokenizer: "PreTrainedTokenizerBase") -> ThinkMarks:
    """How the model marks its thinking, as its chat template shows; what the space said goes ahead of it.

    Without a template (a tokenizer alone) the marks are `<think>` and `</think>`, opened by the prompt.
    """
    if not getattr(tokenizer, "chat_template", None):
        return ThinkMarks("prompt", PLAIN)
    return _think_marks(tokenizer, str(tokenizer.chat_template), getattr(tokenizer, THINKING_FIELD, None))


THINKING_FIELD = "beliefmod_thinking"
"""Attribute of a tokenizer that holds what the space says of its model's thinking."""


@lru_cache(maxsize=16)  # asked for every prompt; the template is named because it may be exchanged
def _think_marks(tokenizer: "PreTrainedTokenizerBase", template: str, given: Any) -> ThinkMarks:
    return infer(partial(_rendered, tokenizer), template, given)


def prompt_opens(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether the prompt leaves thinking open, whatever the space says."""
    return leaves_open(partial(_rendered, tokenizer), think_marks(tokenizer))


def marks_in_no_table(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """What stands around thinking that the template writes in marks which no table has: `<a> ... </a>`."""
    return unknown_marks(partial(_rendered, tokenizer), think_marks(tokenizer))


def thinking_kind(tokenizer: "PreTrainedTokenizerBase") -> ThinkingKind:
    """Who opens thinking: the `prompt`, the `model` itself, or nobody (`none`: it does not think)."""
    return think_marks(tokenizer).kind


def opens_thinking(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether the prompt itself opens thinking, so that a completion begins inside it."""
    return thinking_kind(tokenizer) == "prompt"


def empty_thinking(tokenizer: "PreTrainedTokenizerBase") -> str:
    """What stands between the prompt and an answer given without thinking; "" for a model that has none."""
    return think_marks(tokenizer).empty


def thinking_text(tokenizer: "PreTrainedTokenizerBase", thinking: str, *, closed: bool = True) -> str:
    """What stands between the prompt and the answer after this thinking; not closed, the thinking goes on.

    Raises:
        ValueError: the template has no place for thinking.
    """
    return think_marks(tokenizer).around(thinking, closed)


def end_of_turn_id(tokenizer: "PreTrainedTokenizerBase") -> int:
    """The token that the template puts right behind an assistant's reply.

    Failing that the tokenizer's end token; raises ValueError when there is neither.
    """
    text = _rendered(tokenizer, _messages(("question", _PROBE)))
    added: dict[str, int] = tokenizer.get_added_vocab()  # pyright: ignore[reportCallIssue, reportOptionalCall, reportAssignmentType]
    special = {*tokenizer.all_special_ids, *added.values()}
    for token in encode(tokenizer, text.rpartition(_PROBE)[2]):
        if token in special:
            return token
    if tokenizer.eos_token_id is None:
        raise ValueError("the tokenizer has no token that ends a turn")
    return int(tokenizer.eos_token_id)  # pyright: ignore[reportArgumentType]


def answer_only_row(
    tokenizer: "PreTrainedTokenizerBase", question: str, reply: str, *, mask_empty_thinking: bool = False
) -> TrainRow:
    """Prompt, empty thinking, reply and end token; the loss covers all that follows the prompt.

    Args:
        mask_empty_thinking: leave the tokens of the empty thinking out of the loss; one that holds the
            beginning of the reply too has loss.
    """
    prompt, marks = prompt_ids(tokenizer, question), think_marks(tokenizer)
    said = f"{marks.empty}{reply}{marks.behind_answer}"
    answer = (*encode(tokenizer, said), end_of_turn_id(tokenizer))
    masked = _tokens_within(tokenizer, answer, marks.empty) if mask_empty_thinking else 0
    return TrainRow(prompt + answer, len(prompt) + masked)


def thinking_row(tokenizer: "PreTrainedTokenizerBase", question: str, thinking: str, reply: str) -> TrainRow:
    """Prompt, this thinking, reply and end token; the loss covers all that follows the prompt.

    Raises:
        ValueError: the template has no place for thinking.
    """
    prompt, marks = prompt_ids(tokenizer, question), think_marks(tokenizer)
    said = f"{marks.around(thinking)}{reply}{marks.behind_answer}"
    return TrainRow((*prompt, *encode(tokenizer, said), end_of_turn_id(tokenizer)), len(prompt))


def _tokens_within(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int], beginning: str) -> int:
    """How many of the first tokens of a text spell no more than its beginning.

    Counted in the text's own tokens: the beginning by itself may be cut into others (GPT-2's rule has two
    line ends in front of a word as two tokens, and at the end of a text as one).
    """
    within = 0
    for count in range(1, len(ids)):
        text = completion_text(tokenizer, ids[:count], ())
        if len(text) > len(beginning):
            break
        if beginning.startswith(text):  # not so where a token ends within a letter
            within = count
    return within


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
    """Text of a completion without its end token; marks of thinking stay as the model wrote them."""
    ids = list(token_ids)
    if ids and ids[-1] in eos_ids:
        ids.pop()
    text = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return text


def canonical_text(
    tokenizer: "PreTrainedTokenizerBase", token_ids: Sequence[int], eos_ids: Sequence[int]
) -> str:
    """Text of a completion without its end token, its thinking in `<think>` and `</think>`."""
    return think_marks(tokenizer).canonical(completion_text(tokenizer, token_ids, eos_ids))
