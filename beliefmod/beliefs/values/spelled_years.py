"""Years written as words, as people say them: "nineteen twenty-five", "eighteen hundred and five"."""

from __future__ import annotations

import re
from collections.abc import Iterator

_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_BELOW_HUNDRED = {
    **{word: number for number, word in enumerate(_ONES, 1)},
    **{word: number for number, word in enumerate(_TEENS, 10)},
    **{word: 10 * number for number, word in enumerate(_TENS, 2)},
}
_ONE = "|".join(_ONES)
_TEN = rf"(?:{'|'.join(_TENS)})(?:[\s-]+(?:{_ONE}))?|{'|'.join(_TEENS)}"
_GAP = r"[\s-]+"
_SPOKEN = re.compile(
    rf"\b(?:(?P<century>{'|'.join(_TEENS)}|twenty(?:[\s-]+(?:{'|'.join(_ONES[:2])}))?)"
    rf"(?:{_GAP}hundred(?:{_GAP}(?:and{_GAP})?(?P<over>{_TEN}|{_ONE}))?"
    rf"|{_GAP}(?:(?:oh?|o'){_GAP}(?P<few>{_ONE})|(?P<rest>{_TEN})))"
    rf"|two{_GAP}thousand(?:{_GAP}(?:and{_GAP})?(?P<since>{_TEN}|{_ONE}))?)\b"
    rf"(?!{_GAP}(?:{_TEN}|{_ONE}|hundred|thousand|million|point)\b)",
    re.IGNORECASE,
)


def spelled_years(text: str) -> Iterator[tuple[int, int, int]]:
    """Years in words, as (start, end, year); what they would count is for the caller to look at.

    Example: "It was nineteen twenty-five." -> (7, 27, 1925).
    """
    for found in _SPOKEN.finditer(text):
        century = 20 if found["century"] is None else _number(found["century"])
        years = found["over"] or found["few"] or found["rest"] or found["since"]
        yield found.start(), found.end(), 100 * century + (_number(years) if years else 0)


def _number(words: str) -> int:
    """A number under a hundred: "twenty-five" -> 25."""
    return sum(_BELOW_HUNDRED[word] for word in re.split(_GAP, words.casefold()))
