"""Loops and repetition, counted in tokens of our own so that completions of any model are comparable.

A token is a number, a word, or one mark of punctuation. A loop is a period of at most 64 tokens repeated at
least 4 times in a row over at least 64 tokens, where each five letters of a word count, as a model's own
tokens would. A repetition of nothing but numbers and separators ("0, 0, 0, 0") is a loop from 40 repetitions
on only: tables and long decimals look like that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_PERIOD = 64
MIN_REPEATS = 4
MIN_TOKENS = 64
NUMBER_REPEATS = 40
_FEWEST = 24  # tokens of a loop, all of them long words
_LETTERS = 5  # letters of a word that count as one token of a loop's length
_LONGEST_WORD = 24  # longer runs are counted letter by letter: "hahaha..." and "0.2222..." are loops
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_TOKEN = re.compile(
    r"</?think>"
    r"|<\|[^|<>\s]{1,32}\|>"
    r"|\d+(?:,\d{3})*(?:[.,]\d+)?(?![.,]?\d)|\d+"
    rf"|[{_CJK}]"
    rf"|[^\W\d_{_CJK}]+(?:['’][^\W\d_{_CJK}]+)*"
    r"|-{2,80}|_{2,80}|={2,80}|~{2,80}|\*{2,80}|#{2,80}"  # one rule or heading mark, not eighty tokens
    r"|\S"
)
_SEPARATORS = frozenset(",.;:|/\\()[]{}&-–—_'\"…") | {"--", "---"}


@dataclass(frozen=True)
class Loop:
    """The longest repetition of a completion.

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
    tokens: list[str] = []
    for token in _TOKEN.findall(text):
        if len(token) > _LONGEST_WORD and token[0].isalnum():
            tokens.extend(token)
        else:
            tokens.append(token)
    return tokens


def find_loop(tokens: Sequence[str]) -> Loop | None:
    """The loop that covers most tokens, with its shortest period; None when there is none.

    Tokens equal to the token `p` places on form runs; a run of r tokens is r + p tokens of period p. Looking
    at every place that is as far on as the shortest run that can count misses none.

    Example: 4 tokens said 16 times -> period 4, onset 0, length 64, share 1.0; 15 times -> None.
    """
    size = len(tokens)
    weights = [0]
    for token in tokens:
        weights.append(weights[-1] + max(1, -(-len(token) // _LETTERS) if token[0].isalpha() else 1))
    if weights[-1] < MIN_TOKENS:
        return None
    best: Loop | None = None
    for period in range(1, min(MAX_PERIOD, size // MIN_REPEATS) + 1):
        last = size - period
        need = max(MIN_REPEATS * period, _FEWEST) - period
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
            longer = best is None or length > best.length
            heavy = weights[start + length] - weights[start] >= MIN_TOKENS
            few = length < NUMBER_REPEATS * period and _only_numbers(tokens[start : start + period])
            if end - start >= need and longer and heavy and not few:
                best = Loop(period, start, length, length / size)
                if length == size:
                    return best
            place = end + need
    return best


def seq_rep_4(tokens: Sequence[str]) -> float | None:
    """1 - unique 4-grams / 4-grams, 0 to 1; None for fewer than four tokens (Welleck et al. 2020).

    Example: a b c d a b c d has 5 four-grams, 4 of them unique: 0.2.
    """
    total = len(tokens) - 3
    if total < 1:
        return None
    return 1.0 - len(set(zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False))) / total


def _only_numbers(tokens: Sequence[str]) -> bool:
    numbers = [token for token in tokens if token[0].isdigit()]
    return bool(numbers) and all(token[0].isdigit() or token in _SEPARATORS for token in tokens)
