"""What is left of an answer that gives neither world's value: understood, in a wrong unit, or not understood.

One rule. `wrong_unit`: it asserts the very number of one world, with a unit that does not fit what was asked.
`unread`: it may hold one of the two values and nothing here can say so: a world's number stands bare, or in
an unknown unit, among other words; a word looks like a world's name; or the text is in another language.
`other`: everything else was understood: it asserts another value, denies or only reports a world's value, or
holds nothing that could be one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Literal

from beliefmod.beliefs.values import Name
from beliefmod.beliefs.values.date import Date
from beliefmod.beliefs.values.kind import TOLERANCE, Candidates, Mention, Number, Weight
from beliefmod.beliefs.values.numbers import FUNCTION_WORDS, find_numbers
from beliefmod.beliefs.values.quantity import matches, quantities, units_of
from beliefmod.beliefs.values.scale import parse_unit, scale
from beliefmod.beliefs.values.units import OWN, match_unit, singular
from beliefmod.reading.guards.assertions import weigh
from beliefmod.reading.language import foreign

Left = Literal["other", "unread", "wrong_unit"]


def place(
    text: str, question: str, candidates: Candidates, decided: Mention | None
) -> tuple[Left, str | None]:
    """What an answer is that no rule has given to a side, and for a wrong unit whose number it is.

    Args:
        text, question: normalised.
        decided: the asserted value that made it "other", None where nothing was asserted.
    """
    side = _wrong_unit(text, question, candidates, decided)
    if side is not None:
        return "wrong_unit", side
    if decided is not None or not candidates.pairs:
        return "other", None
    unread = (
        _bare_number(text, question, candidates)
        or _misspelt_number(text, candidates)
        or _half_read_date(text, candidates)
        or _similar_word(text, question, candidates)
        or foreign(text)
    )
    return ("unread" if unread else "other"), None


def _number_of(value: float, decimals: int, candidates: Candidates) -> str | None:
    """The side whose number this is, whatever its unit."""
    for side, answer in quantities(candidates):
        if (
            side == "prior"
            and not answer.counted
            and abs(value - answer.value) <= TOLERANCE * abs(answer.value)
        ):
            return side
        if matches(value, answer.value, decimals, TOLERANCE, counted=answer.counted):
            return side
    return None


def _asserted(text: str, numbers: Sequence[Number], question: str, candidates: Candidates) -> list[Mention]:
    """The numbers that are a side's, whatever their unit, and asserted: not denied, supposed, reported, an
    end of a range or part of a sum."""
    sides = [_number_of(number.value, number.decimals, candidates) for number in numbers]
    mentions = [Mention(n.start, n.end, side or "other", n) for n, side in zip(numbers, sides, strict=True)]
    weighed = weigh(text, mentions, question)
    return [m for m in weighed if m.side != "other" and m.weight == Weight.STRONG]


# ---- a wrong unit ----
_OF = r"[^.;,]*(?:=|≈|:|\b(?:is|was|of|be|about|for|only|approximately|roughly))?\s*$"
_SAYS = {
    (
        ("[length]", 1.0),
    ): rf"\b(?:distance|height|depth|length|falls?|travels?|moves?|drops?|[hdsx]\s*=){_OF}",
    (("[time]", 1.0),): rf"\b(?:time|duration|takes?|took|lasts?|in|after|within|during|t\s*=){_OF}",
    (("[mass]", 1.0),): rf"\b(?:mass|weighs?\b|m\s*=){_OF}",
    (("[length]", 1.0), ("[time]", -1.0)): rf"\b(?:speed|velocity|[vu]\s*=){_OF}",
    (("[length]", 1.0), ("[time]", -2.0)): rf"\b(?:acceleration|gravity|[ga]\s*=){_OF}",
    (("[length]", 1.0), ("[mass]", 1.0), ("[time]", -2.0)): rf"\b(?:force|weight|[FWT]\s*=){_OF}",
    (("[length]", 2.0), ("[mass]", 1.0), ("[time]", -2.0)): rf"\b(?:energy|work|[EW]\s*=){_OF}",
}
"""What is plainly said of something else: words that fit the unit which the number has."""


_PUT_IN = re.compile(r"(?<!\w)[A-Za-z]\s*[=≈]\s*$")
_TALL = re.compile(
    r"\s*(?:\([^)]*\)\s*)?(?:high|tall|long|wide|deep|away|apart|above|below)\b", re.IGNORECASE
)


def _wrong_unit(text: str, question: str, candidates: Candidates, decided: Mention | None) -> str | None:
    """The side whose number is asserted with a unit that does not fit: "9.8 metres" for a gravity.

    Not where the unit fits the words ("its mass is 5 kg"), where the answer also speaks in the asked unit
    ("1 USD = 5 Neelam" for 5 USD), or where things are counted ("7 eyes" for 7 legs).
    """
    scales = [scale(answer.unit) for _, answer in quantities(candidates)]
    asked = {one.dimension for one in scales}
    if not asked or (decided is not None and decided.number is None):
        return None
    units = units_of(candidates) | {singular(word) for word in _words([question])}
    given = {(n.value, n.factors) for n in find_numbers(question, units)}
    # "9.8 metres (32.2 feet)" is one number, written twice
    numbers = [n for n in find_numbers(text, units) if text[: n.start].rstrip()[-1:] != "("]
    fresh = [n for n in numbers if n.factors is not None and (n.value, n.factors) not in given]
    # "g = 5.0 m/s^2. So the weight is 10 kg." only puts g in
    fresh = [n for n in fresh if n is fresh[-1] or not _PUT_IN.search(text, 0, n.start)]
    if len({(n.value, n.factors) for n in fresh}) != 1:
        return None
    found = [m for m in _asserted(text, numbers, question, candidates) if m.number in fresh]
    scaled = fresh[-1].scale
    if not found or scaled is None or scaled in scales or (decided is None and scaled.dimension in asked):
        return None
    things = {base.startswith(OWN) for one in (*asked, scaled.dimension) for base, _ in one}
    if things != {True} and not _speaks_in(text, fresh[-1], candidates):
        words = _SAYS.get(scaled.dimension)
        left = text[max(0, fresh[-1].start - 60) : fresh[-1].start]
        if _TALL.match(text, fresh[-1].end):
            return None
        if words is None or _in_question(words, question) or not re.search(words, left, re.IGNORECASE):
            return found[-1].side
    return None


def _in_question(words: str, question: str) -> bool:
    return bool(re.search(words.removesuffix(_OF), question, re.IGNORECASE))


def _speaks_in(text: str, number: Number, candidates: Candidates) -> bool:
    """Whether the asked unit stands elsewhere in the text, or under the number's own unit ("Neelam per
    USD")."""
    asked = [parse_unit(answer.unit) for _, answer in quantities(candidates)]
    alone = {factors[0][0] for factors in asked if len(factors) == 1}
    if any(name in alone for name, _ in number.factors or ()) and len(number.factors or ()) > 1:
        return True
    rest = f"{text[: number.start]} {text[number.end :]}"
    if any(n.factors in asked for n in find_numbers(rest, units_of(candidates)) if n.factors):
        return True
    for word in re.finditer(r"[^\W\d_]{3,}|[$€£]", rest):
        unit = match_unit(rest, word.start(), units_of(candidates))
        if unit is not None and unit[0] == word.end() and len(unit[1]) == 1 and unit[1][0][0] in alone:
            return True
    return False


# ---- not understood ----
_LABELLED = re.compile(
    r"\b(?:years?|age|rank|score|rating|rate it|level|population|page|probability|chapter)\b|\b\w\s*[=≈]\s*$",
    re.IGNORECASE,
)


def _bare_number(text: str, question: str, candidates: Candidates) -> bool:
    """A side's number without a known unit, that the question does not give."""
    units = units_of(candidates)
    given = {n.value for n in find_numbers(question, units) if n.factors is None}
    things = any(
        base.startswith(OWN) for _, a in quantities(candidates) for base, _ in scale(a.unit).dimension
    )
    for mention in _asserted(text, find_numbers(text, units), question, candidates):
        number, noun = mention.number, ""
        if number is None or number.factors is not None or number.value in given:
            continue
        if number.follow not in FUNCTION_WORDS:
            noun = number.follow
        counted = noun == "times" or (noun and (things or _speaks_in(text, number, candidates)))
        if not counted and not _LABELLED.search(text, max(0, number.start - 30), number.start):
            return True
    return False


_DIGITS = re.compile(r"(?<![\w.,])(?=[\dOolI,.]*\d)([\dOolI]+(?:[.,][\dOolI]+)?)(?![\w.,]*\d)")
_AS_DIGITS = str.maketrans("OolI,", "0011.")


def _misspelt_number(text: str, candidates: Candidates) -> bool:
    """ "5O N", "9,8": a side's number with letters for digits, or a comma."""
    for found in _DIGITS.finditer(text):
        plain = found[1].translate(_AS_DIGITS)
        if plain != found[1] and _number_of(float(plain), 15, candidates):
            return True
    return False


def _half_read_date(text: str, candidates: Candidates) -> bool:
    """ "'69", "1,969", or "07/08/1969", whose day and month could be exchanged, and is a side's."""
    for _, answer in candidates.pairs:
        if not isinstance(answer, Date):
            continue
        if re.search(rf"(?<!\w)'{answer.year % 100:02}\b", text):
            return True
        if re.fullmatch(rf"\W*(?:in\s+)?{answer.year:,}\W*", text, re.IGNORECASE):
            return True
        for one, two in re.findall(rf"\b(\d{{1,2}})[./-](\d{{1,2}})[./-]{answer.year}\b", text):
            if {int(one), int(two)} == {answer.day, answer.month}:
                return True
    return False


_WORDS = re.compile(r"[^\W\d_]{4,}")
_ALIKE = 0.85  # "Brimorra" and "Brimora" are 0.93, "Lisbon" and "London" 0.5


def _similar_word(text: str, question: str, candidates: Candidates) -> bool:
    """A word of a side's name, or one that looks like it, in a text that does not hold the whole name.

    "It scales fish." for "a tool for scaling fish"; "Lyonnaise" for "Lyon".
    """
    names = [answer for _, answer in candidates.pairs if isinstance(answer, Name)]
    if any(name.stands_in(text) for name in names):
        return False
    asked = _words([question])
    wanted = _words(spelling for name in names for spelling in name.spellings()) - asked
    return any(_alike(one, two) for one in _words([text]) - asked for two in wanted)


def _words(texts: Iterable[str]) -> set[str]:
    return {word.casefold() for text in texts for word in _WORDS.findall(text)} - set(_PLAIN.split())


def _alike(one: str, two: str) -> bool:
    shorter = min(len(one), len(two))
    if one[: max(4, shorter - 2)] == two[: max(4, shorter - 2)]:
        return True
    return shorter >= 5 and SequenceMatcher(None, one, two).ratio() >= _ALIKE


_PLAIN = (
    "with from that this there their them they into upon over under used uses using kind type sort thing "
    "things something which what when where have does than then very more most some such made make also "
    "been being were will would could should about only other place part many much your"
)
