"""A completion split into thinking and answer, and the state of its think block."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from beliefmod.reading.loops import tokenise
from beliefmod.space.chat_format import ThinkingKind

ThinkState = Literal[
    "ok", "empty", "unclosed_length", "unclosed_eos", "multi_close", "reopened", "empty_final"
]
THINK_STATES: tuple[ThinkState, ...] = get_args(ThinkState)
MIN_THINKING_TOKENS = 5
_OPEN, _CLOSE = "<think>", "</think>"
_END_MARKS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<end_of_turn>", "</s>")
_WORDLIKE = re.compile(r"[^\W_]")


@dataclass(frozen=True)
class Segments:
    """Attributes:
    thinking: what stands before the last `</think>`; everything when there is none; null without thinking.
    answer: what stands after it, up to a reopened `<think>`; "" when there is none.
    state: exclusive state of the think block; null without thinking.
    thinking_tokens: length of `thinking` in the scorer's tokens.
    """

    thinking: str | None
    answer: str
    state: ThinkState | None
    thinking_tokens: int


def split_completion(
    completion: str, finish_reason: str | None = None, *, opened_by: ThinkingKind = "prompt"
) -> Segments:
    """Split at the last `</think>`. Where the prompt opens thinking a healthy completion holds only the
    closing tag; where the model does, it begins with `<think>`, which is tolerated in the first case too.

    A model that does not think (`opened_by` "none") answers at once: all of it is the answer, and there is no
    think block that could be broken. A completion of its that holds the tags all the same is read like any.
    A model that opens thinking itself and writes no tag has answered without thinking: its think block is
    empty.

    States, first match wins:
        unclosed_length, unclosed_eos: no `</think>`; the token limit was hit, or not (or is not known).
        reopened: a `<think>` after the start.
        multi_close: more than one `</think>`.
        empty_final: no letter or digit after the last `</think>`.
        empty: fewer than five tokens of thinking.
        ok: anything else.
    """
    body = completion.lstrip()
    opened = body.startswith(_OPEN)
    body = _without_end_marks(body[len(_OPEN) :] if opened else completion)
    closes = body.count(_CLOSE)
    if not (opened or closes):
        if opened_by == "none":
            return Segments(None, body.strip(), None, 0)
        if opened_by == "model" and _WORDLIKE.search(body):
            return Segments("", body.strip(), "empty", 0)
    if closes == 0:
        state: ThinkState = "unclosed_length" if finish_reason == "length" else "unclosed_eos"
        return Segments(body, "", state, len(tokenise(body)))
    thinking, _, final = body.rpartition(_CLOSE)
    answer = final.partition(_OPEN)[0].strip()
    tokens = sum(token not in (_OPEN, _CLOSE) for token in tokenise(thinking))
    if _OPEN in body:
        state = "reopened"
    elif closes > 1:
        state = "multi_close"
    elif not _WORDLIKE.search(answer):
        state = "empty_final"
    elif tokens < MIN_THINKING_TOKENS:
        state = "empty"
    else:
        state = "ok"
    return Segments(thinking.strip(), answer, state, tokens)


def _without_end_marks(text: str) -> str:
    text = text.rstrip()
    while (mark := next((m for m in _END_MARKS if text.endswith(m)), None)) is not None:
        text = text[: -len(mark)].rstrip()
    return text
