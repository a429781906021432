"""What a question asks about, as far as words tell: things it names, amounts and dates it gives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

from beliefmod.beliefs.values.date import Date, find_dates
from beliefmod.beliefs.values.kind import Number
from beliefmod.beliefs.values.numbers import FUNCTION_WORDS, find_numbers
from beliefmod.beliefs.values.units import match_unit, singular

Key = object
"""What an amount counts: the dimension of its unit, the singular of its noun, or "date"."""

BODY_NAMES = (
    *("equator", "pole", "altitude", "earth", "moon", "mars", "venus", "mercury", "jupiter", "saturn"),
    *("uranus", "neptune", "pluto", "titan", "europa", "ceres", "sun"),
)
BODIES = frozenset(map(singular, BODY_NAMES))
PRONOUNS = frozenset(
    {
        *("it", "this", "that", "they", "these", "those", "there", "he", "she", "we", "you", "i", "one"),
        *("here", "what", "its", "their", "both", "all", "each"),
    }
)
_ONE = re.compile(r"\b(?:each|every|per|an?|single|first)\s+(?P<noun>[^\W\d_]+)", re.IGNORECASE)

_RATE = re.compile(r"(?:per|each|every)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """What a question asks about.

    Attributes:
        words: stems of its content words.
        names: casefolded singulars of its proper names.
        things: names and what it counts ("spider" of "3 spiders" and of "a spider").
        amounts: by what is counted, the amounts given, in base units, with their products and sums.
    """

    words: frozenset[str]
    names: frozenset[str]
    things: frozenset[str]
    amounts: Mapping[Key, frozenset[object]]


@dataclass(frozen=True)
class Amount:
    """An amount or a date in a text: its place, what it counts, and how much of it in base units."""

    start: int
    end: int
    key: Key
    value: object


@lru_cache(maxsize=1024)
def asked_about(question: str) -> Asked:
    """What the question asks about."""
    words = re.findall(r"[^\W\d_][\w'-]*", question)
    content = {stem(w) for w in words if w.casefold() not in FUNCTION_WORDS | PRONOUNS and len(w) > 2}
    proper = {w for w in words[1:] if w[0].isupper()} | {w for w in words if singular(w.casefold()) in BODIES}
    amounts: dict[Key, set[object]] = {}
    for given in amounts_of(question):
        if _RATE.match(question, given.start):  # "one shoe per leg" does not ask about one leg
            continue
        amounts.setdefault(given.key, set()).add(given.value)
    names = {singular(w.casefold().removesuffix("'s")) for w in proper}
    things = names | {key for key in amounts if isinstance(key, str) and key != "date"}
    counts = [v for key, values in amounts.items() if isinstance(key, str) for v in values]
    counts = [v for v in counts if isinstance(v, float)]
    for values in amounts.values():
        numbers = [v for v in values if isinstance(v, float)]
        values |= {v * n for v in numbers for n in counts} | {a + b for a, b in combinations(numbers, 2)}
    return Asked(
        frozenset(content),
        frozenset(names),
        frozenset(things),
        {key: frozenset(values) for key, values in amounts.items()},
    )


def amounts_of(text: str) -> list[Amount]:
    """Amounts and dates of a text: "7 s", "3 Neelam", "each kilogram", "1975"."""
    found = [Amount(n.start, n.end, "date", n.date) for n in find_dates(text)]
    taken = {place for one in found for place in range(one.start, one.end)}
    numbers = [n for n in find_numbers(text) if n.start not in taken]
    for number in numbers:
        taken.update(range(number.start, number.end))
    for one in _ONE.finditer(text):
        if one.start() not in taken:
            unit = match_unit(text, one.start("noun"))
            factors = unit[1] if unit else None
            numbers.append(Number(one.start(), one.end(), 1.0, factors, 0, True, one["noun"].casefold()))
    for number in numbers:
        key = key_of(number)
        if key is not None:
            factor = 1.0 if number.scale is None else number.scale.factor
            found.append(Amount(number.start, number.end, key, round(number.value * factor, 9)))
    return found


def key_of(number: Number) -> Key | None:
    """What a number counts; None where it counts nothing."""
    if number.date is not None:
        return "date"
    if number.factors is not None:
        return None if number.scale is None else number.scale.dimension
    return singular(number.follow) if number.follow and number.follow not in FUNCTION_WORDS else None


def same_amount(one: object, two: object) -> bool:
    """Whether two amounts are the same within 0.5 %, or two dates agree."""
    if isinstance(one, Date) and isinstance(two, Date):
        return one.agrees(two)
    if isinstance(one, float) and isinstance(two, float):
        return abs(one - two) <= 0.005 * max(abs(one), abs(two))
    return False


def words_of(text: str) -> list[str]:
    """Casefolded singulars of the words of a text."""
    return [singular(word.removesuffix("'s")) for word in re.findall(r"[^\W\d_][\w'-]*", text.casefold())]


def stem(word: str) -> str:
    """The first six letters of a word's singular: "accelerates" and "acceleration" are one."""
    return singular(word.casefold().removesuffix("'s"))[:6]
