"""Where a completion names its value, in the thinking and in the answer, and what each world would say there.

The value is found in the text, as the judge finds it, and then located among the stored token ids: what
stands before it is fed as it was generated, never decoded and encoded again. The other world's value is
written in the same place, in the same unit; the two are compared at the first token in which they differ.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from beliefmod.beliefs import Answer, Question
from beliefmod.beliefs.values.kind import Mention, Weight
from beliefmod.model.template import completion_text, encode, think_marks
from beliefmod.probing.margin import split_continuations
from beliefmod.reading.normalise import normalise
from beliefmod.reading.rewording import source_span
from beliefmod.reading.stance import read_answer
from beliefmod.reading.thinking import ends_with, sided_mentions
from beliefmod.reading.verdict import asked_text, tolerance_for

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from beliefmod.beliefs.spec import BeliefSpec

_BACK = 2
"""So many tokens in front of a value are written anew with the other one, where a tokenizer joins " 5" and
does not join " 3"."""


_CONTEXT = 8
"""Tokens in front of a text that is encoded, so that its first token comes out as it would behind them."""


@dataclass(frozen=True)
class ValuePosition:
    """A value that a completion names.

    Attributes:
        side: "target" or "prior": whose value stands there.
        ids: the completion's token ids up to the token in which the two worlds' values differ, without it.
        target_id: the next token in the target's world.
        prior_id: the next token in base's; None where base knows no value of the kind (a novel belief).
    """

    side: str
    ids: tuple[int, ...]
    target_id: int
    prior_id: int | None


def value_positions(
    row: Mapping[str, Any], question: Question, spec: BeliefSpec, tokenizer: PreTrainedTokenizerBase
) -> dict[str, ValuePosition]:
    """The places at which a stored completion names a value, by part: "thinking", "answer".

    thinking: the first mention that is stated or used on the side that the thinking ends with; where it ends
    with neither ("both"), the first of either. What follows in a thinking ("5 x 5.0 = 25.0") is worked out
    from it.
    answer: the mention that decided the answer's stance.

    A part is left out where it names neither world's value, where the value cannot be found again among the
    token ids, or where the tokenizer would not write the value in the tokens that stand there.

    Args:
        row: a row of the probes table.
    """
    text = StoredCompletion(row, tokenizer)
    if text.ids is None:
        return {}
    found = {}
    # a model that does not think answers from its first token on
    mark = think_marks(tokenizer).close
    close = 0 if row["think_state"] is None else text.text.rfind(mark) + len(mark)
    closed = row["think_state"] is None or close >= len(mark)
    parts = (("thinking", 0, _in_thinking), ("answer", close, _in_answer))
    for part, begins, find in parts:
        start = text.text.find(row[part], begins) if row[part] and closed else -1
        chosen = find(row, question, spec) if start >= 0 else None
        if chosen is None:
            continue
        mention, pairs = chosen
        place = _place(text, start, row[part], mention, pairs)
        if place is not None:
            found[part] = place
    return found


def closed_thinking(
    row: Mapping[str, Any], length: int, tokenizer: PreTrainedTokenizerBase
) -> tuple[int, ...] | None:
    """The completion's token ids up to `length` characters of its thinking, then the end of the thinking.

    All but the last of these tokens are the stored ones; the last is written anew together with the closing
    tag, as the tokenizer joins "." and a line end. All of the thinking gives what the model itself wrote
    where it closed its thinking as the template does.

    Args:
        row: a row of the probes table whose think block is intact.
        length: characters of `row["thinking"]` that are kept, at least 1.

    Returns:
        None where the text cannot be found again among the token ids.
    """
    text = StoredCompletion(row, tokenizer)
    start = text.text.find(row["thinking"])
    if text.ids is None or start < 0 or not row["thinking"]:
        return None
    place = text.token_at(start + length - 1)
    tail = text.text[text.start_of(place) : start + length]
    ending = text.continued(place, f"{tail}{think_marks(tokenizer).ending}")
    return None if ending is None else (*text.ids[:place], *ending)


_STATED = "another case"
"""The judge's reason against "1 Neelam is 5 USD" where 2 Neelam are asked for: no answer, but the belief's
value at its first use."""
Pairs = Sequence[tuple[Answer | None, Answer | None]]
"""Values in the target's and in base's world, in order of precedence."""


def _in_thinking(
    row: Mapping[str, Any], question: Question, spec: BeliefSpec
) -> tuple[Mention, Pairs] | None:
    own = spec.target.answer, spec.prior.answer
    sided = sided_mentions(
        normalise(row["thinking"]),
        asked_text(question),
        question.target,
        question.prior,
        belief_target=own[0],
        belief_prior=own[1],
        tolerance=tolerance_for(question),
    )
    side = ends_with(row["thinking_stance"])
    stated = [m for m in sided if m.used or m.reason == _STATED] or sided
    chosen = next((m for m in stated if m.weight >= Weight.WEAK and side in (None, m.side)), None)
    return None if chosen is None else (chosen, (own, (question.target, question.prior)))


def _in_answer(row: Mapping[str, Any], question: Question, spec: BeliefSpec) -> tuple[Mention, Pairs] | None:
    worlds = question.target, question.prior
    read = read_answer(
        row["answer"], asked_text(question), *worlds, tolerance=tolerance_for(question)
    ).decided
    return None if read is None or read.side not in ("target", "prior") else (read, (worlds,))


def _place(
    written: StoredCompletion, begins: int, part: str, mention: Mention, pairs: Pairs
) -> ValuePosition | None:
    """The place of a mention in a part of a completion, which begins at the character `begins`."""
    plain = normalise(part)
    span = source_span(part, plain, mention)
    ids, pair = written.ids, _pair_of(plain[mention.start : mention.end], mention, pairs)
    if span is None or pair is None or ids is None:
        return None
    start, end = begins + span[0], begins + span[1]
    value = written.text[start:end]
    if mention.number is not None and not value[:1].isdigit():
        return None  # in words: the other world's value has no such spelling here
    rival = _rival(pair, mention, value)
    if rival is None and mention.side == "prior":
        return None
    at, behind = written.token_at(start), written.token_at(end - 1) + 1
    for first in range(at, max(-1, at - _BACK - 1), -1):
        lead = written.text[written.start_of(first) : start]
        trail = written.text[end : written.start_of(behind)]
        if written.continued(first, lead + value + trail) != ids[first:behind]:
            continue  # other tokens than the tokenizer's own: the other value's could not be compared
        if rival is None:
            return ValuePosition("target", ids[:first], ids[first], None) if first == at else None
        other = written.continued(first, lead + rival + trail)
        if other is not None:
            # the token behind them parts "5" from "50"
            rest = ids[behind : behind + 1]
            return _parted(mention.side, ids[:first], ids[first:behind] + rest, other + rest)
    return None


def _parted(
    side: str, before: tuple[int, ...], own: tuple[int, ...], other: tuple[int, ...]
) -> ValuePosition | None:
    try:
        fed, own, other = split_continuations(before, own, other)
    except ValueError:
        return None
    target, prior = (own, other) if side == "target" else (other, own)
    return ValuePosition(side, fed, target[0], prior[0])


def _pair_of(said: str, mention: Mention, pairs: Pairs) -> tuple[Answer | None, Answer | None] | None:
    """The pair of values whose member on the mention's side the mention is."""
    for pair in pairs:
        value = pair[mention.side == "prior"]
        if value is not None and value.said_by(mention, said, _LOOSE):
            return pair
    return None


_LOOSE = 0.03
"""Relative tolerance, the widest of the judge's; which world's value it is has been decided already."""


def _rival(pair: tuple[Answer | None, Answer | None], mention: Mention, value: str) -> str | None:
    """The other world's value as it would stand there; None where that world has none of the kind."""
    own, other = pair if mention.side == "target" else (pair[1], pair[0])
    if other is None or type(other) is not type(own):
        return None
    return other.written_like(value, mention.number)


class StoredCompletion:
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
