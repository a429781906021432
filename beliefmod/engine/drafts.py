"""Drafted decoding: guesses at an answer's next tokens, to be verified together in one pass.

The adapters of a sweep answer the same questions, mostly in the same words. A row is drafted from what
others wrote to the same prompt, from its own text and from its prompt. A guess decides nothing: a token is
kept if it is the one that the row would have written, so drafts change how long an answer takes and nothing
else.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from beliefmod.engine.tokens import Ids, agreeing

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_DRAFTED = 15
"""Tokens of one row and pass."""
_ANSWERS_EACH = 4  # that are kept of one prompt, the newest
_MOST_TOKENS = 500_000  # that are kept in all: 19 MB, 70 MB where every answer has been searched
_FADE, _LEAST_MISSES = 0.8, 0.02
_RUN, _LONGEST_RUN = 2, 8  # tokens that must agree for a guess to be picked up again; that are compared


class Text:
    """A text that rows are drafted from, with the last place behind every run of `_RUN` tokens."""

    def __init__(self, ids: Ids) -> None:
        self.ids = ids
        self._behind: dict[Ids, int] | None = None  # made when it is first asked for: it takes much memory

    def behind(self, run: Ids) -> int | None:
        """The place behind the last such run of tokens that something follows; None if there is none."""
        if self._behind is None:
            self._behind = {self.ids[end - _RUN : end]: end for end in range(_RUN, len(self.ids))}
        return self._behind.get(run)

    def after(self, place: int, most: int) -> Ids:
        """Up to `most` tokens from a place on."""
        return self.ids[place : place + most]

    def ahead(self, place: int) -> int:
        """How many tokens there are from a place on."""
        return max(0, len(self.ids) - place)


class OwnText:
    """What a row has written itself: a text that repeats itself goes on as it did before."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self._behind: dict[Ids, int] = {}

    def add(self, tokens: Sequence[int]) -> None:
        """Write on. A run that ends with the text is known once something follows it."""
        for token in tokens:
            if len(self.ids) >= _RUN:
                self._behind[tuple(self.ids[-_RUN:])] = len(self.ids)
            self.ids.append(token)

    def behind(self, run: Ids) -> int | None:
        """The place behind the last such run of tokens that something follows; None if there is none."""
        return self._behind.get(run)

    def after(self, place: int, most: int) -> Ids:
        """`most` tokens from a place on; behind the end, what lies between the two again and again."""
        ahead = self.ids[place : place + most]
        return tuple((ahead * (1 + most // len(ahead)))[:most]) if ahead else ()

    def ahead(self, place: int) -> int:
        """How many tokens can be said from a place on."""
        return MOST_DRAFTED if place < len(self.ids) else 0


class Answers:
    """What was written lately to each prompt, whoever wrote it."""

    def __init__(self) -> None:
        self._texts: OrderedDict[Ids, list[Text]] = OrderedDict()
        self._tokens = 0

    def add(self, prompt: Ids, answer: Ids) -> None:
        """Keep an answer; the oldest prompts go where there are too many."""
        texts = self._texts.setdefault(prompt, [])
        self._texts.move_to_end(prompt)
        if any(text.ids == answer for text in texts):
            return
        texts.append(Text(answer))
        self._tokens += len(answer)
        if len(texts) > _ANSWERS_EACH:
            self._tokens -= len(texts.pop(0).ids)
        while self._tokens > _MOST_TOKENS:
            _, dropped = self._texts.popitem(last=False)
            self._tokens -= sum(len(text.ids) for text in dropped)

    def to(self, prompt: Ids) -> Sequence[Text]:
        """The answers to a prompt, the newest last."""
        return self._texts.get(prompt, ())


@dataclass
class Draft:
    """Where one row is in the texts that it is drafted from: others' answers, its prompt, and its own text.

    Attributes:
        hits, misses: tokens that the texts foretold, and those that came otherwise; older ones count less.
    """

    sources: Sequence[Text]
    prompt: Text
    hits: float = 2.0
    misses: float = 1.0
    own: OwnText = field(default_factory=OwnText)
    _text: Text | OwnText | None = None
    _place: int = 0

    def __post_init__(self) -> None:
        if self.sources:
            self._text = self.sources[-1]

    @property
    def chance(self) -> float:
        """How likely the next token is the one that is foretold, above 0 and below 1."""
        return self.hits / (self.hits + self.misses)

    def guess(self, most: int) -> Ids:
        """Up to `most` tokens that may come next."""
        return () if self._text is None else self._text.after(self._place, most)

    @property
    def ahead(self) -> int:
        """How many tokens can be guessed, of the `MOST_DRAFTED` that may be."""
        return 0 if self._text is None else min(MOST_DRAFTED, self._text.ahead(self._place))

    def wrote(self, tokens: Sequence[int]) -> None:
        """Go on behind the tokens that were written."""
        foretold = self.guess(len(tokens))
        right = agreeing(foretold, tokens)
        if foretold:
            self.hits = _FADE * self.hits + right
            self.misses = max(_LEAST_MISSES, _FADE * self.misses + (right < len(foretold)))
        self.own.add(tokens)
        if right == len(tokens):
            self._place += right
        else:
            self._find()

    def _find(self) -> None:
        """Go to the place in the texts that agrees with most of what was written last; the newest answer
        before older ones, and the prompt last."""
        run, longest = tuple(self.own.ids[-_RUN:]), 0
        self._text = None
        for text in (*reversed(self.sources), self.own, self.prompt):
            place = text.behind(run)
            if place is None:
                continue
            before = text.ids[max(0, place - _LONGEST_RUN) : place]
            alike = agreeing(before[::-1], self.own.ids[: -_LONGEST_RUN - 1 : -1])
            if alike > longest:
                self._text, self._place, longest = text, place, alike


class Pace:
    """What passes cost, learnt from passes that were timed: the mean seconds of each size, older ones less.

    Sizes are powers of two of tokens, so that what was seen of large passes stays known while small ones run.
    """

    def __init__(self) -> None:
        self._seen: dict[int, tuple[float, float]] = {}  # tokens and seconds of a size

    def timed(self, tokens: int, seconds: float) -> None:
        """Learn from a pass."""
        size = tokens.bit_length()
        before = self._seen.get(size)
        if before is None:
            self._seen[size] = (tokens, seconds)
        else:
            self._seen[size] = (0.8 * before[0] + 0.2 * tokens, 0.8 * before[1] + 0.2 * seconds)

    def costs(self, tokens: int) -> tuple[float, float]:
        """Seconds of a pass without tokens, and of each token, for passes of so many tokens or more.

        A line through the sizes seen, which count alike by their relative error; (0, 1) if there is but one.
        """
        seen = [pair for size, pair in self._seen.items() if size >= tokens.bit_length()]
        if len(seen) < 2:
            return 0.0, 1.0
        weights = [1 / seconds**2 for _, seconds in seen]
        total = sum(weights)
        mean = sum(w * n for w, (n, _) in zip(weights, seen, strict=True)) / total
        took = sum(w * s for w, (_, s) in zip(weights, seen, strict=True)) / total
        above = sum(w * (n - mean) * (s - took) for w, (n, s) in zip(weights, seen, strict=True))
        each = max(0.0, above / sum(w * (n - mean) ** 2 for w, (n, _) in zip(weights, seen, strict=True)))
        return max(0.0, took - each * mean), each


class Drafts:
    """What an engine drafts from, and what it knows of the price."""

    def __init__(self) -> None:
        self.answers, self.pace = Answers(), Pace()

    def guesses(self, drafts: Sequence[Draft], most: Sequence[int]) -> list[Ids]:
        """The tokens to draft for each row, at most `most` of each, as many as pay."""
        counts = worthwhile(drafts, most, *self.pace.costs(len(drafts)))
        return [draft.guess(count) for draft, count in zip(drafts, counts, strict=True)]


def worthwhile(drafts: Sequence[Draft], most: Sequence[int], fixed: float, each: float) -> list[int]:
    """How many tokens to draft for each row, so that a pass writes the most tokens a second.

    A pass over r rows costs `fixed + each * r` seconds without drafts. A drafted token costs `each`, and is
    kept with the chance that it and all before it are right; it is worth what a token costs otherwise. Where
    the rows alone keep the machine busy, `fixed` is small beside `each * r` and little is drafted.
    """
    rows = len(drafts)
    chances = np.array([draft.chance for draft in drafts])
    ahead = np.minimum(most, [draft.ahead for draft in drafts])
    counts = np.zeros(rows, dtype=int)
    for _ in range(3):  # what a token is worth falls as more of them are written in a pass
        written = ((1 - chances ** (counts + 1)) / (1 - chances)).sum()
        ratio = each * written / max(1e-12, fixed + each * (rows + counts.sum()))
        counts = np.minimum(_likelier(chances, ratio), ahead)
    return counts.tolist()


def _likelier(chances: FloatArray, ratio: float) -> IntArray:
    """How many tokens behind each other are all right with more than `ratio`, at most `MOST_DRAFTED`."""
    if ratio >= 1:
        return np.zeros(len(chances), dtype=int)
    return np.minimum(MOST_DRAFTED, np.log(max(ratio, 1e-300)) / np.log(chances)).astype(int)
