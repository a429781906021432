"""Loops and repetition, counted in tokens of our own so that completions of any model are comparable.

A loop is a period of at most 64 tokens repeated at least 4 times in a row over at least 64 tokens. For it a
text is split as most models' own tokenizers do (`fine_tokens`): digit by digit, words whole. Repetition and
the length of thinking are counted in words, numbers and marks (`tokenise`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_PERIOD = 64
MIN_REPEATS = 4
MIN_TOKENS = 64
COUNTED_WORDS = 3
"""Words that a numbered stretch needs to be a loop: bare counting and tables of figures have fewer."""
_LONGEST_WORD = 24  # longer runs are counted letter by letter: "hahaha..." is a loop
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_LETTER = rf"[^\W\d_{_CJK}]"
_SPECIAL = r"</?think>|<\|[^|<>\s]{1,32}\|>"
_TOKEN = re.compile(
    rf"{_SPECIAL}"
    r"|\d+(?:,\d{3})*(?:[.,]\d+)?(?![.,]?\d)|\d+"
    rf"|[{_CJK}]"
    rf"|{_LETTER}+(?:['’]{_LETTER}+)*"
    r"|-{2,80}|_{2,80}|={2,80}|~{2,80}|\*{2,80}|#{2,80}"  # one rule or heading mark, not eighty tokens
    r"|\S"
)
_FINE = re.compile(
    rf"{_SPECIAL}"
    r"|\d| (?=\d)|\n\n?"  # digits one by one; a blank before them and a line's end are tokens as well
    rf"|[{_CJK}]"
    rf"|(?<={_LETTER})['’]{_LETTER}{{1,12}}"
    rf"|{_LETTER}{{{_LONGEST_WORD + 1},}}"
    rf"|(?=[A-Z]){_LETTER}{{1,5}}|{_LETTER}{{1,12}}"  # long names come in pieces, long words rarely
    + "".join(rf"|{mark}{{2,80}}(?!{mark})" for mark in ("-", "_", "=", "~", "`", r"\*", "#", r"\."))
    + r"|\S"
)
_COUNT = re.compile(r"[ ]?(?<![\w.,])(\d{1,9})(?!\w|[.,]\d)")
_ANY, _STEP = "any number", "step "  # no text has such tokens: they hold a blank


@dataclass(frozen=True)
class Loop:
    """The longest repetition of a completion, in the tokens of `fine_tokens`.

    Attributes:
        period: tokens that repeat, 1 to 64.
        onset: index of its first token.
        length: tokens it covers, at least 64.
        share: `length` over all tokens, 0 to 1.
    """

    period: int
    onset: int
    length: int
    share: float


def tokenise(text: str) -> list[str]:
    """Numbers, words, single marks. "g = 9.8 m/s" -> ["g", "=", "9.8", "m", "/", "s"]."""
    return _tokens(_TOKEN, text)


def fine_tokens(text: str) -> list[str]:
    """About what models' own tokenizers make of a text. "g = 9.8 m" -> ["g", "=", " ", "9", ".", "8", "m"].

    Capitalised words of six letters or more, which are mostly names, are two tokens or more.
    """
    return _tokens(_FINE, text)


def _tokens(pattern: re.Pattern[str], text: str) -> list[str]:
    tokens: list[str] = []
    for token in pattern.findall(text):
        if len(token) > _LONGEST_WORD and token[0].isalnum():
            tokens.extend(token)
        else:
            tokens.append(token)
    return tokens


def loop_in(text: str) -> Loop | None:
    """The longest loop of a text; None when there is none.

    Stretches of three words or more that differ in nothing but one whole number, which goes up or down by the
    same step each time ("1. It is 5 USD. 2. It is 5 USD. ..."), count as the same; the first of them, from
    which nothing is counted yet, is left out.
    """
    return find_loop(fine_tokens(text)) or _counted_loop(text)


def find_loop(tokens: Sequence[str]) -> Loop | None:
    """The loop that covers most tokens, with its shortest period; None when there is none.

    Tokens equal to the token `p` places on form runs; a run of r tokens is r + p tokens of period p. Looking
    at every place that is as far on as the shortest run that can count misses none.

    Example: 4 tokens said 16 times -> period 4, onset 0, length 64, share 1.0; 15 times -> None.
    """
    size = len(tokens)
    best: Loop | None = None
    for period in range(1, min(MAX_PERIOD, size // MIN_REPEATS) + 1):
        last = size - period
        need = max(MIN_REPEATS * period, MIN_TOKENS) - period
        place = need - 1
        while place < last:
            if tokens[place] != tokens[place + period]:
                place += need
                continue
            start = place
            while start > 0 and tokens[start - 1] == tokens[start - 1 + period]:
                start -= 1
            end = place + 1
            while end < last and tokens[end] == tokens[end + period]:
                end += 1
            length = end - start + period
            if end - start >= need and (best is None or length > best.length):
                best = Loop(period, start, length, length / size)
                if length == size:
                    return best
            place = end + need
    return best


def _counted_loop(text: str) -> Loop | None:
    """The loop of a text in which each whole number stands as its distance from the one a stretch before."""
    counts = list(_COUNT.finditer(text))
    numbers = [int(count[1]) for count in counts]
    between = [*zip([0, *(c.end() for c in counts)], [*(c.start() for c in counts), len(text)], strict=True)]

    def loop_of(marks: Sequence[str]) -> tuple[Loop | None, list[str]]:
        tokens: list[str] = []
        for (start, end), mark in zip(between, [*marks, ""], strict=True):
            tokens += [*fine_tokens(text[start:end]), mark]
        found = find_loop(tokens[:-1])
        return found, tokens[found.onset : found.onset + found.period] if found else []

    if len(numbers) <= MIN_REPEATS:
        return None
    _, stretch = loop_of([_ANY] * len(numbers))
    apart = stretch.count(_ANY)
    if not apart:
        return None
    steps = [f"{_STEP}{new - old}" for old, new in zip(numbers, numbers[apart:], strict=False)]
    found, stretch = loop_of([_ANY] * apart + steps)
    seen = [token for token in stretch if token.startswith(_STEP)]
    words = sum(token[0].isalpha() for token in stretch)
    one_counts = len(seen) == apart and sum(step != f"{_STEP}0" for step in seen) == 1
    return found if one_counts and words >= COUNTED_WORDS else None


def seq_rep_4(tokens: Sequence[str]) -> float | None:
    """1 - unique 4-grams / 4-grams, 0 to 1; None for fewer than four tokens (Welleck et al. 2020).

    Example: a b c d a b c d has 5 four-grams, 4 of them unique: 0.2.
    """
    total = len(tokens) - 3
    if total < 1:
        return None
    return 1.0 - len(set(zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False))) / total
