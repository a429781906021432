"""Does a chat template work, and does it end? Tried in a process of its own, with bounds on time and memory.

A template is a program that somebody else wrote. Jinja's sandbox keeps it from files and the system, but not
from running for ever or filling the memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from beliefmod.config.data_config import THINKING_STYLES, DataStyle
from beliefmod.errors import UserError
from beliefmod.model.template import (
    THINKING_FIELD,
    encode,
    marks_in_no_table,
    prompt_opens,
    prompt_text,
    think_marks,
)
from beliefmod.model.think_families import UNKNOWN_MARKS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SECONDS = 20
"""Processor time for four short conversations, which take a template milliseconds."""
WAIT = 60 * SECONDS
"""Seconds after which it is given up: far more than `SECONDS`, for the machine may be busy, and a template
cannot wait for anything but the processor."""
GIGABYTES = 4
LONGEST = 100_000
"""Characters that a template may write around a message of one word."""
CONVERSATIONS: tuple[tuple[str, ...], ...] = (
    ("question",),
    ("question", "answer"),
    ("question", "answer", "question"),
)


def check_template(name: str, template: str, special_tokens: str, given: bool = False) -> None:
    """Render the conversations that beliefmod has with a model.

    Args:
        name: the model's, for the sentence.
        special_tokens: the tokenizer's `special_tokens_map` as JSON.
        given: whether the template was given by the user, and is not the model's own.

    Raises:
        UserError: the template fails, does not end, writes too much, or leaves a message out.
    """
    what = f"model {name}: its chat template"
    way = "correct it, or give another with --chat-template FILE (chat_template: FILE in the space file)"
    if given:
        what, way = f"the chat template that was given (chat_template) for model {name}", "correct that file"
    fault, shown = _tried(template, special_tokens)
    if fault:
        raise UserError(f"{what} {fault}; {way}" if shown else f"{what} {fault}")


# by the text alone: many models have one template, and a process takes most of a second
@lru_cache(maxsize=16)
def _tried(template: str, special_tokens: str) -> tuple[str | None, bool]:
    """What is wrong with a template, and whether the template itself showed it, within its bounds."""
    asked = json.dumps({"template": template, "special_tokens": json.loads(special_tokens)})
    command = [sys.executable, "-m", "beliefmod.model.template_check"]
    try:
        done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=WAIT)
    except subprocess.TimeoutExpired:
        return "does not end", False
    if done.returncode < 0:
        return f"does not end within {SECONDS} s, or takes more than {GIGABYTES} GB of memory", False
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        return f"could not be tried: {reason}", False
    return json.loads(done.stdout)["fault"], True


def check_thinking(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Whether the marks of thinking are known, go with the prompt, and are tokens of the model as they stand.

    Raises:
        UserError: the template has marks that are in no table, the space says otherwise than the prompt does,
            or the tokenizer writes a mark that is a token of its own in other tokens.
    """
    template, given = str(tokenizer.chat_template), getattr(tokenizer, THINKING_FIELD, None)
    what = f"model {name}: its chat template"
    named = {given.open, given.close} if given is not None else set()
    if given is None or given.open is None:
        strange = next((mark for mark in UNKNOWN_MARKS if mark in template and mark not in named), None)
        if strange := strange or marks_in_no_table(tokenizer):
            raise UserError(
                f"{what} marks thinking with {strange}, which is in no table; name the marks in the "
                "space file, thinking: {open: ..., close: ..., opened_by: prompt or model}"
            )
    marks = think_marks(tokenizer)
    if given is not None and given.opened_by is not None:
        opens = prompt_opens(tokenizer)
        if opens != (given.opened_by == "prompt"):
            does = "ends inside thinking" if opens else f"does not leave {marks.open} open"
            raise UserError(
                f"model {name}: thinking.opened_by is {given.opened_by}, but the prompt of its chat template "
                f"{does}; set it to {'prompt' if opens else 'model or none'}, or switch the template"
            )
    if marks.kind == "none":
        return
    known: dict[str, int] = tokenizer.get_added_vocab()  # pyright: ignore[reportCallIssue, reportOptionalCall, reportAssignmentType]
    for mark in (marks.open.strip(), marks.family.close.strip()):
        if mark in known and encode(tokenizer, mark) != (known[mark],):
            raise UserError(
                f"model {name}: {mark} is a token of its own, but its tokenizer writes it in other tokens, "
                "so thinking could not be put before an answer; give the tokenizer as tokenizer.json"
            )


def check_ends(name: str, tokenizer: PreTrainedTokenizerBase, eos_ids: Sequence[int]) -> None:
    """Whether an answer could end where only its thinking does.

    Raises:
        UserError: a mark of thinking holds a token that ends answers.
    """
    marks = think_marks(tokenizer)
    if marks.kind == "none":
        return
    for token in {*encode(tokenizer, marks.open), *encode(tokenizer, marks.close)} & set(eos_ids):
        raise UserError(
            f"model {name} ends thinking with {marks.close}, which holds the end token "
            f"{tokenizer.convert_ids_to_tokens(token)}: every answer would end with its thinking; take that "
            "token out of eos_token_id in generation_config.json"
        )


def check_masking(name: str, tokenizer: PreTrainedTokenizerBase, asked: Iterable[bool]) -> None:
    """Whether the values that data.mask_empty_thinking may take make a difference to a model.

    Raises:
        UserError: it does not think, so that its bare answers have no think block.
    """
    if True in asked and think_marks(tokenizer).kind == "none":
        raise UserError(
            f"data.mask_empty_thinking has no effect on model {name}: its chat template has no place for "
            "thinking, so its bare answers have no empty think block; remove it"
        )


def check_system_turn(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Whether a statement can stand in the system turn of a model.

    Raises:
        UserError: its chat template refuses system turns, or leaves them out.
    """
    why = "leaves a system turn out"
    try:
        if _SYSTEM in prompt_text(tokenizer, "question", system=_SYSTEM):
            return
    except Exception as error:  # a template is a program, and may fail in any way
        why = f"takes no system turn ({' '.join(str(error).split())[:200] or type(error).__name__})"
    raise UserError(
        f"context.place system cannot be had of model {name}: its chat template {why}; use context.place user"
    )


_SYSTEM = "system-probe"


def check_place_for_thinking(
    name: str, tokenizer: PreTrainedTokenizerBase, styles: Sequence[DataStyle]
) -> None:
    """Whether rows with thinking of their own can be written for the model.

    Raises:
        UserError: a style of data has such rows, and the chat template has no place for thinking.
    """
    thinking = [style for style in THINKING_STYLES if style in styles]
    if thinking and think_marks(tokenizer).kind == "none":
        raise UserError(
            f"data.style {thinking[0]} puts thinking in front of answers, and the chat template of model "
            f"{name} has no place for it; take answer_only, or a model that thinks"
        )


def fault_of(template: str, special_tokens: dict[str, Any]) -> str | None:
    """What is wrong with a template, to follow "its chat template"; None if nothing is."""
    from transformers.utils.chat_template_utils import render_jinja_template

    for contents in CONVERSATIONS:
        turns = zip(("user", "assistant", "user"), contents, strict=False)
        messages = [{"role": role, "content": content} for role, content in turns]
        prompt = len(contents) % 2 == 1
        try:
            rendered, _ = render_jinja_template(
                [messages], chat_template=template, add_generation_prompt=prompt, **special_tokens
            )
        except MemoryError:
            return f"takes more than {GIGABYTES} GB of memory"
        except Exception as error:  # a template is a program, and may fail in any way
            count = "one message" if len(messages) == 1 else f"{len(messages)} messages"
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            line = _line_of(error)
            return f"fails on a conversation of {count}: {reason}{f' (line {line})' if line else ''}"
        if len(rendered[0]) > LONGEST:
            return f"writes {len(rendered[0]):,} characters around {len(messages)} short messages"
        if contents[0] not in rendered[0]:
            return "leaves the user's message out"
        if "answer" in contents and contents[1] not in rendered[0]:
            return "leaves the assistant's message out"
    return None


def _line_of(error: Exception) -> int | None:
    """The line of the template in which it failed; None where that is not known."""
    line, frame = getattr(error, "lineno", None), error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == "<template>":
            line = frame.tb_lineno
        frame = frame.tb_next
    return line


def _bounded() -> None:
    import resource

    for what, most in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, GIGABYTES * 10**9)):
        with suppress(ValueError, OSError):  # a system that has no such bound
            resource.setrlimit(what, (most, most))


if __name__ == "__main__":
    import transformers.utils.chat_template_utils  # noqa: F401  # its import is not to count

    _bounded()
    given = json.load(sys.stdin)
    print(json.dumps({"fault": fault_of(given["template"], given["special_tokens"])}))
