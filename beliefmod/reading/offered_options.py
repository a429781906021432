"""What a question offers to choose from, and which of it an answer points at without naming it.

"Is it 5.0 or 9.8 m/s^2?" and "A) 5.0 B) 9.8" both offer two; "the former", "Second option" and "the lower
one" point at one of them, "Both." at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from beliefmod.beliefs.values import Answer
from beliefmod.beliefs.values.date import Date
from beliefmod.reading.multiple_choice import denied, listed
from beliefmod.reading.prose import sentences

_I = re.IGNORECASE
_OR = re.compile(r",?\s+or\s+", _I)
_VERB = re.compile(r"\b(?:is|are|was|were|do|does|did|has|have|had|can|will)\b", _I)
_PLACES = ("first", "second", "third", "fourth", "fifth", "sixth")
_NUMERALS = ("1st", "2nd", "3rd", "4th", "5th", "6th")
_LOWEST = "lower|lowest|smaller|smallest|lesser|least|earlier|earliest"
_HIGHEST = "higher|highest|larger|largest|bigger|biggest|greater|greatest|later|latest"
_WORD = rf"(?P<word>{'|'.join((*_PLACES, *_NUMERALS))}|last|former|latter|{_LOWEST}|{_HIGHEST})"
_NOUN = (
    r"(?:\s+(?:one|option|choice|answer|value|number|alternative|figure|statement|possibility"
    r"|item|year|date|city"
    r"|colou?r|amount|word|listed|mentioned|given|(?:of|in|on)\s+(?:the|these|those"
    r"|your)\s+(?:two(?:\s+[a-z]+)?|list|question"
    r"|options|choices|values)))"
)
_ADVERB = r"(?:(?:definitely|probably|certainly|clearly|obviously|surely|most likely|of course)[,:]?\s+)"
_LEAD = (
    r"(?:(?:^|[.!?:;,]\s+|\n)\W*(?:so|yes|then|well|therefore|thus|hence)?,?\s*"
    r"|(?:\b(?:is|be|was|choos\w*|chose|pick\w*|select\w*|tak(?:e|es|ing)|say|says|prefer"
    r"|go(?:es)? (?:with|for)|think)"
    r"|'s)\s+)"
)
_RIGHT = r"(?:the\s+)?(?:\w+ly\s+)?(?:right|correct|true|best|accurate|answer|one)\b"
_ENDS = rf"(?=\s*(?:$|[.!,;:\n]|\b(?:because|since|as)\b|(?:is|was|seems|would be|must be)\s+{_RIGHT}))"
_POINTS = re.compile(rf"{_LEAD}{_ADVERB}?the\s+{_WORD}{_NOUN}*{_ENDS}", _I)
_ALONE = re.compile(rf"^\W*{_ADVERB}?(?:the\s+)?{_WORD}{_NOUN}*(?:,?\s+of course)?\W*$", _I)
_ALL = re.compile(
    r"^\W*(?:(?:I|we)(?:'d|\s+would)?\s+(?:think|believe|say)\s+|maybe\s+|perhaps\s+|either\b|both\b"
    r"|it\s+(?:is|could\s+be)\s+both\b)"
    r"(?:\s*\b(?:both|either|of|them|these|those|the|two|one|values?|options?|answers?|choices?|are"
    r"|is|could|can|may|be|works?"
    r"|seem|equally|correct|right|possible|valid|true|acceptable|fine)\b)*\W*$",
    _I,
)


def offered(question: str) -> list[str]:
    """What a normalised question offers, in its order; empty where it offers nothing.

    Of "Choose: is a wendrik a fish or a bird?" the first is "is a wendrik a fish": the clause in front of
    "or" holds what is offered last, the one behind it first.
    """
    options = listed(question)
    if options:
        return list(options.values())
    for part in reversed(sentences(question)):
        asked = question[part.start : part.end].rpartition(":")[2].rstrip(" ?.!\n")
        *first, last = _OR.split(asked)
        if not first or not part.asks:
            continue
        begun = first[0].split(", ")
        # "is it red, green or blue" lists three; "in a quiz, is it 5 or 8" begins with an aside
        while len(begun) > 1 and (_VERB.search(begun[-1]) or len(begun[-1].split()) > 3):
            begun[-2:] = [", ".join(begun[-2:])]
        return [*begun, *first[1:], last]
    return []


def pointed_at(text: str, sizes: Sequence[float | Answer | None]) -> set[int]:
    """The places, from 0, of what is offered that a normalised answer points at; all of them for "Both.".

    `sizes` are the numbers or dates of what is offered, None where one has none; "the lower one" needs them.
    """
    if _ALL.match(text) and re.search(r"\b(?:both|either)\b", text, _I):
        return set(range(len(sizes)))
    found = _ALONE.match(text)
    if found is None:
        said = [one for one in _POINTS.finditer(text) if not denied(text, *one.span("word"))]
        found = said[-1] if said else None
    return set() if found is None else _place(found["word"].casefold(), sizes)


def _place(word: str, sizes: Sequence[float | Answer | None]) -> set[int]:
    for names in (_PLACES, _NUMERALS):
        if word in names:
            at = names.index(word)
            return {at} if at < len(sizes) else set()
    if word == "former":
        return {0}
    if word in ("last", "latter"):
        return {len(sizes) - 1}
    values = [_order(one) for one in sizes if one is not None]
    if len(values) < len(sizes) or len({len(value) for value in values}) > 1:
        return set()
    wanted = min(values) if re.fullmatch(_LOWEST, word) else max(values)
    return {values.index(wanted)} if values.count(wanted) == 1 else set()


def _order(size: float | Answer) -> tuple[float, ...]:
    """What sizes are compared by; empty for what has no size."""
    if isinstance(size, Date):
        return (size.year, size.month or 0, size.day or 0)
    return () if isinstance(size, Answer) else (size,)
