"""Numbers in running text with their units; step numbers, list markers, versions and times are none."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace

from beliefmod.beliefs.values.kind import Number
from beliefmod.beliefs.values.scale import parse_unit
from beliefmod.beliefs.values.units import CURRENCY_PREFIX, OWN, Factors, match_unit

BOX_OPEN, BOX_CLOSE = "⟦", "⟧"
"""What stands around boxed content in a normalised text."""

_SKIP = (
    r"\d+(?:\.\d+){2,}"  # 5.0.1
    r"|\d+(?:\.\d+)?(?::\d+(?:\.\d+)?)+"  # 5:30, 1:5
    r"|\d{1,4}-\d{1,2}-\d{1,4}"
    r"|\d{1,4}/\d{1,2}/\d{2,4}"
)
_NUMERAL = re.compile(
    rf"(?<![\w.^])(?<!\^[-+(])(?:(?P<skip>{_SKIP})(?![\d])"
    r"|(?P<mixed>\d+ \d+/\d+)(?![\d/.])"
    r"|(?P<fraction>\d+(?:\.\d+)?/\d+(?:\.\d+)?)(?![\d/]|\.\d)"
    r"|(?P<plain>(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,3}(?: \d{3}){2,}(?!\d)|\d{1,3}"
    r" 000(?!\d)|\d+)(?:\.\d+)?|\.\d+))"
    r"(?P<power>[eE][+-]?\d{1,3}(?![\w.])|\s?[×·]\s?10\s?\^\s?\(?\s?[+-]?\d{1,3}\s?\)?)?"
)
_DECIMAL_COMMA = re.compile(r",\d{1,2}(?![\d,]|\.\d)")
_RAISED_POINT = re.compile(r"·(\d{1,3})(?![\d.,·]|[^=\n]{0,12}=)")  # 9·8, but not 7·5 N = 35 N
_SPACE_GROUP = re.compile(r" (\d{3})(?![\d.,])")
_OPERATOR_BEFORE = re.compile(r"[\d)][ ]?[×·*/+]\s?$")
_RAISED = re.compile(r"\s?\^\s?\(?\s?([+-]?\d{1,3})(?:\.\d+)?\s?\)?")
_SPREAD = re.compile(r"\s?(?:±|\+/-|\+-)\s?\d+(?:\.\d+)?")
_MULTIPLE = re.compile(r"\s?(hundred|thousand|million|billion|trillion)\b(?!th)", re.IGNORECASE)
_MULTIPLES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_PAIRS = re.compile(r"\s?pairs?\s(?:of\s)?(?=[^\W\d_])", re.IGNORECASE)
_GAP = re.compile(rf"(?: or so(?= [^\W\d_]))?\s?[)\"'{BOX_CLOSE}]{{0,2}}[ \u00a0]?-?")
_PREFIX = re.compile(rf"(?:{CURRENCY_PREFIX})$")
_LABEL = re.compile(
    r"(?:\b(?:steps?|equations?|eqs?|eqn|questions?|q|options?|problems?|examples?"
    r"|cases?|parts?|sections?|sec|"
    r"chapters?|ch|figures?|figs?|tables?|pages?|pp?|versions?|ver|items?|notes?"
    r"|references?|refs?|lines?|rules?|"
    r"methods?|phases?|levels?|weeks?|exercises?|appendix|attempts?|points?|stages?|tests?|trials?|grades?|"
    r"class(?:es)?|no|nr|choices?|approach|scenarios?|situations?|laws?|planets?"
    r"|number)\.?\s?|#\s?|№\s?)\(?$",
    re.IGNORECASE,
)
_ORDINAL = re.compile(r"(?:st|nd|rd|th|x|D|pm|am|[A-Za-z]+)", re.IGNORECASE)
_FOLLOW = re.compile(r"\s*[)\"']?\s*-?([^\W\d_]+)")

_ONES = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13,
    "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60,
    "seventy": 70, "eighty": 80, "ninety": 90}  # fmt: skip
_WORD = "|".join(sorted([*_ONES, *_TENS, *_MULTIPLES], key=len, reverse=True))
_SPELLED = re.compile(
    rf"\b(?:{_WORD})(?:(?:[\s-]+(?:and\s+)?)(?:{_WORD}))*(?:[\s-]+point(?:[\s-]+(?:{'|'.join(_ONES)}))+)?(?:\s+and\s+a\s+half)?\b"
    r"|\bhalf(?=\s+an?\s)",
    re.IGNORECASE,
)


def find_numbers(text: str, units: frozenset[str] = frozenset()) -> list[Number]:
    """All numbers of a normalised text, in order. `units` are the belief's own, as `own_units` gives them.

    Example: "Step 2: F = 10 kg × 5.0 m/s^2 = 50 N" -> 10 kg, 5.0 m/s^2, 50 N.
    """
    found = sorted([*_numerals(text, units), *_spelled(text, units)], key=lambda n: (n.start, -n.end))
    kept: list[Number] = []
    for number in found:
        if not kept or number.start >= kept[-1].end:
            if kept and _cents(kept[-1], number, text):
                kept[-1] = replace(kept[-1], end=number.end, value=kept[-1].value + number.value / 100)
                continue
            kept.append(number)  # what lies inside another number ("million" in "$1.5 million") is part of it
    return kept


def _cents(dollars: Number, cents: Number, text: str) -> bool:
    """ "15 dollars and 50 cents" is one amount."""
    units = (dollars.factors, cents.factors) == ((("USD", 1),), (("US_cent", 1),))
    return units and cents.value < 100 and text[dollars.end : cents.start].strip() in ("and", ",", "")


def own_units(*units: str | None) -> frozenset[str]:
    """Casefolded singulars of one-word units: what `find_numbers` needs to see "5 Neelam" or "8 legs"."""
    return frozenset(
        name.removeprefix(OWN)
        for unit in units
        if unit
        for name, _ in parse_unit(unit)
        if name.startswith(OWN)
    )


def _numerals(text: str, units: frozenset[str]) -> Iterator[Number]:
    done = 0
    for match in _NUMERAL.finditer(text):
        start, end = match.span()
        if match["skip"] or start < done or text[max(0, start - 3) : start].rstrip().endswith("±"):
            continue
        value, decimals = _value(match)
        comma = _DECIMAL_COMMA.match(text, end) if "." not in match[0] and not match["power"] else None
        if comma is not None and (match[0] == "0" or unit_after(text, comma.end(), units)):
            value, decimals, end = float(f"{match[0]}.{comma[0][1:]}"), len(comma[0]) - 1, comma.end()
        else:
            raised_point, group = _RAISED_POINT.match(text, end), _SPACE_GROUP.match(text, end)
            whole = match[0].isdigit() and len(match[0]) < 4 and not _OPERATOR_BEFORE.search(text, 0, start)
            if whole and raised_point is not None and unit_after(text, raised_point.end(), units):
                value, end = float(f"{match[0]}.{raised_point[1]}"), raised_point.end()
                decimals = len(raised_point[1])
            elif whole and group is not None and unit_after(text, group.end(), units):
                value, end = float(match[0] + group[1]), group.end()
        raised = _RAISED.match(text, end)
        if raised is not None:
            if abs(int(raised[1])) > 300 or abs(value) > 1e6:
                continue
            if value == 0 and int(raised[1]) < 0:
                continue
            try:
                value, end = float(value ** int(raised[1])), raised.end()
            except OverflowError:
                continue
        spread = _SPREAD.match(text, end)
        end = done = spread.end() if spread else end
        multiple = _MULTIPLE.match(text, end)
        if multiple is not None:
            value, end = value * _MULTIPLES[multiple[1].casefold()], multiple.end()
        prefix = _PREFIX.search(text, max(0, start - 6), start)
        if prefix is not None and re.match(r"[kK](?![\w])", text[end : end + 2]):
            value, end = value * 1e3, end + 1
        start, sign = _sign(text, prefix.start() if prefix else start)
        if prefix is None:
            inner = _PREFIX.search(text, max(0, start - 6), start)
            if inner is not None:
                prefix, start = inner, inner.start()
        value *= sign
        if not math.isfinite(value):
            continue
        unit, each = _counted(text, end, units)
        value *= each
        if unit is not None:
            yield Number(start, unit[0], value, unit[1], decimals, False, "")
        elif prefix is not None:
            sign_factors = match_unit(prefix[0].strip().replace("US $", "US$").rstrip("."), 0)
            yield Number(start, end, value, sign_factors[1] if sign_factors else None, decimals, False, "")
        elif not (_ORDINAL.match(text, end) and text[end : end + 1].isalpha()) and not is_label(
            text, start, end
        ):
            yield Number(start, end, value, None, decimals, False, _follow(text, end))


def _value(match: re.Match[str]) -> tuple[float, int]:
    if match["mixed"]:
        whole, part = match["mixed"].split(" ")
        top, bottom = part.split("/")
        return float(whole) + (float(top) / float(bottom) if float(bottom) else 0.0), 2
    if match["fraction"]:
        top, bottom = match["fraction"].split("/")
        return (float(top) / float(bottom) if float(bottom) else math.inf), 2
    digits = match["plain"].replace(",", "").replace(" ", "")
    power = match["power"]
    exponent = int(re.sub(r".*\^|[^\d+-]", "", power.replace("e", "").replace("E", ""))) if power else 0
    if abs(exponent) > 300:
        return math.inf, 0
    decimals = len(digits.partition(".")[2])
    return float(f"{digits}e{exponent}"), max(0, decimals - exponent)


def _sign(text: str, start: int) -> tuple[int, float]:
    """A minus directly before the number, unless it joins two operands ("10 -5", "5-10")."""
    if start == 0 or text[start - 1] not in "-+":
        return start, 1.0
    before = text[max(0, start - 9) : start - 1].rstrip()
    glued = start >= 2 and text[start - 2].isalnum()
    if glued or (before and (before[-1].isdigit() or before[-1] in ")]°%")):
        return start, 1.0
    return start - 1, -1.0 if text[start - 1] == "-" else 1.0


def _counted(text: str, end: int, units: frozenset[str]) -> tuple[tuple[int, Factors] | None, int]:
    """The unit behind a number, and how many of it are counted at once: 2 in "4 pairs of legs", else 1."""
    pairs = _PAIRS.match(text, end)
    unit = None if pairs is None else unit_after(text, pairs.end(), units)
    if unit is not None and all(name.startswith(OWN) for name, _ in unit[1]):
        return unit, 2
    return unit_after(text, end, units), 1


def unit_after(text: str, end: int, units: frozenset[str]) -> tuple[int, Factors] | None:
    """The unit behind a number that ends at `end`, as `(end, factors)`; `units` are the belief's own."""
    gap = _GAP.match(text, end)
    place = gap.end() if gap else end
    unit = match_unit(text, place, units)
    if unit is None and place < len(text) and units:
        adjective = re.compile(r"([a-z]+)\s(?=[^\W\d_])").match(text, place)
        if adjective is not None and not adjective[1].endswith("s") and adjective[1] not in FUNCTION_WORDS:
            unit = match_unit(text, adjective.end(), units)
            if unit is not None and not any(name.startswith(OWN) for name, _ in unit[1]):
                unit = None
    if (
        unit is not None
        and text[unit[0] : unit[0] + 1] == ")"
        and unit[0] - place == 1
        and "(" not in text[max(0, end - 12) : end]
    ):
        return None  # "C)" is an option, not coulomb
    return unit


def is_label(text: str, start: int, end: int) -> bool:
    """Whether a number only names something: "Step 2", "page 12", the 3 of a numbered line."""
    if _LABEL.search(text, max(0, start - 16), start):
        return True
    line_start = text.rfind("\n", 0, start) + 1
    alone = not text[line_start:start].strip(" (")
    return (
        alone
        and bool(re.match(r"[.)]\s+\S", text[end : end + 9]))
        and "\n" in text
        and text[line_start - 1 : line_start] == "\n"
    )


def _follow(text: str, end: int) -> str:
    word = _FOLLOW.match(text, end)
    return word[1].casefold() if word else ""


def _spelled(text: str, units: frozenset[str]) -> Iterator[Number]:
    for match in _SPELLED.finditer(text):
        end = match.end()
        half = match[0].casefold() == "half"
        gap = re.compile(r"\s+an?\s+").match(text, end) if half else None
        unit, each = _counted(text, gap.end() if gap else end, units)
        value, decimals = (0.5, 1) if half else _spelled_value(match[0])
        value *= each
        if half and unit is None:
            continue
        if unit is None and re.match(r"\s?\(\s?\d", text[end : end + 9]):
            continue  # "five (5) newtons": the numeral is read
        if unit is None and is_label(text, match.start(), end):
            continue
        yield Number(
            match.start(), unit[0] if unit else end, value, unit[1] if unit else None, decimals, True,
            "" if unit else _follow(text, end),
        )  # fmt: skip


def _spelled_value(words: str) -> tuple[float, int]:
    """Value and decimals: "fifteen" -> 15, 0; "nine point eight" -> 9.8, 1; "two and a half" -> 2.5, 1."""
    words = words.casefold()
    half = bool(re.search(r"and\s+a\s+half$", words))
    words = re.sub(r"\s+and\s+a\s+half$", "", words)
    whole, _, fraction = re.sub(r"[\s-]+", " ", words).partition(" point ")
    total = current = 0.0
    for word in re.split(r"[\s-]+", whole.strip()):
        if word in _ONES:
            current += _ONES[word]
        elif word in _TENS:
            current += _TENS[word]
        elif word == "hundred":
            current = (current or 1) * 100
        elif word in _MULTIPLES:
            total += (current or 1) * _MULTIPLES[word]
            current = 0.0
    value = total + current
    digits = "".join(str(_ONES[word]) for word in fraction.split() if word in _ONES)
    if digits:
        value = float(f"{value:.0f}.{digits}")
    return value + (0.5 if half else 0.0), len(digits) or int(half)


FUNCTION_WORDS = frozenset(
    {
        "on", "in", "at", "here", "for", "and", "or", "but", "not", "is", "are", "was", "as",
        "because", "since", "when", "which", "that", "exactly", "approximately", "instead", "rather",
        "now", "today", "by", "to", "from", "due", "near", "under", "over", "according", "if", "then",
        "so", "it", "its", "this", "the", "a", "an", "of", "per", "with", "without", "correct",
        "right", "only", "also", "too", "again", "i", "we", "you", "makes", "gives", "yields",
    }
)  # fmt: skip  # may follow a bare number without being what is counted
