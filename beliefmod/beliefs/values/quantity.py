"""Quantities: numbers with units, read, compared, converted and found in running text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import ClassVar

from beliefmod.beliefs.values.kind import SAME_WORLD, TOLERANCE, Answer, Candidates, Mention, Number
from beliefmod.beliefs.values.numbers import find_numbers, own_units
from beliefmod.beliefs.values.scale import Scale, parse_unit, plain_notation, rescale, same_dimension, scale
from beliefmod.beliefs.values.units import OWN

APART = 0.05
"""A third number differs from target and prior by more than this share of the larger one."""
NARROW = 0.1
"""Width of the widest range that still gives a value, as a share of that value."""
_PRECISE = 0.0025
_PERCENT = Scale((), 0.01)
_TEMPERATURE = (("[temperature]", 1.0),)
_DIFFERENCE = re.compile(
    r"\b(?:by how (?:much|many)|differen\w+|ris(?:e|es|en)|rose|grows?|grew|increas\w+|decreas\w+|drops?"
    r"|dropped|falls?|fell|warm(?:er|s)|cool(?:er|s)|colder|hotter|changes?)\b",
    re.IGNORECASE,
)
_DIRECTED = frozenset(
    {
        (("[length]", 1.0), ("[time]", -1.0)),
        (("[length]", 1.0), ("[time]", -2.0)),
        (("[length]", 1.0), ("[mass]", 1.0), ("[time]", -2.0)),
    }
)
"""Velocity, acceleration and force: a minus in front of one only says that it points down."""
_NUMBER = re.compile(
    r"\s*([+-]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*(.*?)\s*", re.DOTALL
)
_NUMERIC = re.compile(r"\s*[-+$€£]?\s*\.?\d")


@dataclass(frozen=True)
class Quantity(Answer):
    """A number with a unit as written; unit None or "1" means a plain number. It is written with `decimals`,
    which make no other quantity of it."""

    value: float
    unit: str | None = None
    decimals: int = field(default=1, compare=False)
    kind: ClassVar[str] = "quantity"

    def render(self) -> str:
        """ "29.4 N", "15 USD"."""
        return self.bare() if self.unit in (None, "1") else f"{self.bare()} {self.unit}"

    def bare(self) -> str:
        """ "29.4"."""
        return f"{self.value:.{self.decimals}f}"

    @classmethod
    def parse(cls, text: str, words: frozenset[str]) -> Quantity | None:
        """ "50 N"; None for a text that does not begin with a number.

        Raises:
            ValueError: a number whose unit nobody knows.
        """
        try:
            quantity = parse_quantity(text)
        except ValueError:
            if not _NUMERIC.match(text):
                return None
            raise
        quantity.check()
        own = (n.removeprefix(OWN) for n, _ in parse_unit(quantity.unit) if n.startswith(OWN))
        if any(word not in words for word in own):
            raise ValueError(
                f'"{text}" has the unit "{quantity.unit}", which is no known unit and no word of the '
                "question or the belief; correct it"
            )
        decimals = len(text.partition(".")[2].split(" ")[0]) if "." in text else 0
        return Quantity(quantity.value, quantity.unit or "1", decimals)

    def written_like(self, old: str, number: Number | None) -> str:
        """In the unit of what was read, with the decimals of `old` where they are enough.

        Example: 9.8 m/s^2 in the place of "500" of "500 cm/s^2" -> "980"; in the place of "5" of "5 m/s^2" ->
        "9.8".
        """
        value = float(self.value)
        if number is not None and number.scale is not None:
            value = rescale(value, scale(self.unit), number.scale)
        decimals = len(old.partition(".")[2])
        exact = abs(round(value, decimals) - value) < 1e-9
        return f"{value:.{decimals}f}" if exact else f"{value:.4g}"

    def check(self) -> None:
        scale(self.unit)

    def comparable(self, other: Answer) -> bool:
        return isinstance(other, Quantity) and same_dimension(self.unit, other.unit)

    def same(self, other: Answer) -> bool:
        """Whether two numbers in one unit lie within 3 % of the larger."""
        if not isinstance(other, Quantity) or self.unit != other.unit:
            return False
        return abs(self.value - other.value) <= SAME_WORLD * max(abs(self.value), abs(other.value))

    def third(self, prior: Answer | None, neighbours: Iterable[Answer]) -> Quantity:
        """Halfway between the two where that is far enough from both, else half as much again as this one,
        and so on, with as many decimals as either. 5.0 and 9.8 give 7.4."""
        known = [self, *([prior] if isinstance(prior, Quantity) else [])]
        decimals = max(side.places for side in known)
        between = [(self.value + known[1].value) / 2] if len(known) > 1 else []
        for candidate in (*between, 1.5 * self.value, 2 * self.value, self.value + 1, self.value + 10):
            value = round(candidate, decimals)
            if all(abs(value - side.value) > APART * max(abs(value), abs(side.value)) for side in known):
                return Quantity(value, self.unit, written_decimals(value) if decimals else 0)
        raise ValueError(f"no third value is far enough from {self.render()} and its prior")

    @property
    def places(self) -> int:
        return self.decimals

    def symbols(self) -> Mapping[str, float]:
        return {"belief": self.value}

    def with_number(self, number: float) -> Quantity:
        return Quantity(float(number), self.unit, written_decimals(number))

    def computed(self, result: float, unit: str | None, decimals: int) -> Quantity:
        return Quantity(result, unit or self.unit, decimals)

    @classmethod
    def find(cls, text: str, question: str, candidates: Candidates) -> list[Mention]:
        """Every number. "90 degrees" is a temperature where one is asked for, and a temperature by which
        something differs has no zero point: 9 K is then 9 °C."""
        scales = [scale(answer.unit) for _, answer in quantities(candidates)]
        warm = next((one for one in scales if one.dimension == _TEMPERATURE), None)
        difference = warm is not None and bool(_DIFFERENCE.search(question))
        numbers = find_numbers(text, units_of(candidates))
        if warm is not None:
            unit = next(a.unit for _, a in quantities(candidates) if scale(a.unit).dimension == _TEMPERATURE)
            degrees = (("degree", 1),)
            numbers = [replace(n, factors=parse_unit(unit)) if n.factors == degrees else n for n in numbers]
        return [
            Mention(n.start, n.end, side_of(n, candidates, difference=difference) or "", n) for n in numbers
        ]

    def said_by(self, mention: Mention, said: str, tolerance: float) -> bool:
        if mention.number is None:
            return False
        return side_of(mention.number, Candidates((("this", self),), tolerance), scale(self.unit)) == "this"

    def stands_in(self, text: str) -> bool:
        candidates = Candidates((("this", self),))
        return any(
            number.factors is not None and side_of(number, candidates) == "this"
            for number in find_numbers(text, units_of(candidates))
        )

    @property
    def counted(self) -> bool:
        """Whether it is a whole number of things or of nothing (7 legs, the sum 12): right or wrong, never
        near. A share in percent is measured."""
        measure = scale(self.unit)
        if not float(self.value).is_integer() or measure == _PERCENT:
            return False
        return all(base.startswith(OWN) for base, _ in measure.dimension)

    def inside(self, low: Number, high: Number) -> bool:
        """Whether it lies in a range that is narrower than a tenth of it and says no more than it: "9.7 to
        9.9 m/s^2". The first number of a range may lack its unit."""
        given, wanted = high.scale, scale(self.unit)
        if self.counted or given is None or given.dimension != wanted.dimension:
            return False
        ends = [rescale(number.value, given, wanted) for number in (low, high)]
        slack = _PRECISE * abs(self.value)
        return 0 < ends[1] - ends[0] <= NARROW * abs(self.value) and (
            ends[0] - slack <= self.value <= ends[1] + slack
        )


def quantities(candidates: Candidates) -> list[tuple[str, Quantity]]:
    """The quantities among the values looked for, with their sides."""
    return [(side, answer) for side, answer in candidates.pairs if isinstance(answer, Quantity)]


def units_of(candidates: Candidates) -> frozenset[str]:
    """The units of their own among the values looked for, as `find_numbers` takes them."""
    return own_units(*(answer.unit for _, answer in quantities(candidates)))


def side_of(
    number: Number, candidates: Candidates, bare_as: Scale | None = None, *, difference: bool = False
) -> str | None:
    """The side whose value a number is; "other" for another value of an asked dimension, None otherwise.

    A bare number is read in the unit `bare_as`, or in each value's own unit where that is a plain number; a
    bare 0.21 is also 21 %. `difference`: temperatures are compared without their zero points.
    """
    asked, best = False, ("", float("inf"))
    for side, answer in quantities(candidates):
        wanted = scale(answer.unit)
        given = number.scale
        if number.factors is None:
            given = wanted if bare_as == wanted or not wanted.dimension else None
        if given is None or given.dimension != wanted.dimension:
            continue
        if number.factors is None and wanted == _PERCENT and abs(number.value) < 1 and number.decimals > 1:
            given = Scale((), 1.0)
        if difference:
            given, wanted = replace(given, offset=0.0), replace(wanted, offset=0.0)
        asked = True
        expected = rescale(answer.value, wanted, given)  # rounded in the unit in which it is written
        value = abs(number.value) if expected > 0 and wanted.dimension in _DIRECTED else number.value
        off = abs(value - expected) / abs(expected) if expected else abs(value)
        known = side == "prior"
        near = matches(
            value,
            expected,
            number.decimals,
            # what is worked out from a made-up value is exact; what is known is known in several roundings
            candidates.tolerance if known else min(candidates.tolerance, TOLERANCE),
            counted=answer.counted,
        )
        if known and not answer.counted:
            near = (
                near
                or off <= candidates.tolerance
                or (
                    number.factors
                    and off <= SAME_WORLD
                    and abs(round(expected, number.decimals) - value) < 1e-9
                )
                or _rounds_to(rescale(value, given, wanted), answer.value)
            )
        if near and off < best[1]:
            best = side, off
    return best[0] or ("other" if asked else None)


def matches(value: float, expected: float, decimals: int, tolerance: float, *, counted: bool = False) -> bool:
    """Whether a number written with `decimals` decimals is the expected value.

    It is where it lies within 0.25 %, or is the expected value correctly rounded to two digits or more: 9.81
    is 9.8, and 1.43 and 1.4 are 10/7, but 5.02 is another number than 5.0, written on purpose. At the 3 %
    band of derived questions it need only lie within `tolerance`. Things counted and plain whole numbers
    (`counted`) must agree exactly.
    """
    if counted:
        return abs(value - expected) <= 1e-6 * max(1.0, abs(expected))
    allowed = tolerance if tolerance > TOLERANCE else _PRECISE
    if abs(value - expected) <= allowed * abs(expected) * (1 + 1e-9):
        return True
    return _digits(value) > 1 and abs(round(expected, decimals) - value) < 1e-9


def _rounds_to(value: float, known: float) -> bool:
    """Whether a known value of two digits or more is a rounding of the number: 20.9 % is 21 %, 343 is 340."""
    digits = _digits(known)
    return digits > 1 and float(f"{value:.{digits - 1}e}") == known


def _digits(value: float) -> int:
    """Digits that count: 2 of 340, 9.8 and 0.21."""
    return len(f"{abs(value):.12e}".partition("e")[0].replace(".", "").rstrip("0"))


def parse_quantity(text: str) -> Quantity:
    """ "50 N" -> Quantity(50.0, "N"), "16.4 ft/s²", "$15" -> Quantity(15.0, "USD"), "7" -> Quantity(7.0,
    None).

    Raises:
        ValueError: no number, or what follows it is no unit.
    """
    plain = plain_notation(text)
    if plain[:1] in "$€£₹¥" and plain[:1]:
        plain = f"{plain[1:]} {plain[0]}"
    found = _NUMBER.fullmatch(plain)
    if found is None or not re.search(r"\d", found[1]):
        raise ValueError(f'"{text}" is no quantity; write a number and a unit, such as "50 N"')
    unit = found[2] or None
    if unit is not None:
        factors = parse_unit(unit)
        if unit in "$€£₹¥":
            unit = factors[0][0]
    return Quantity(float(found[1].replace(",", "")), unit)


def written_decimals(value: float) -> int:
    """Decimals of a number as the file wrote it: 5 -> 0, 5.0 -> 1, 2.75 -> 2."""
    if isinstance(value, int):
        return 0
    # Decimal reads 1e-07 as 7 decimals, where the text after the point would say none
    exponent = Decimal(repr(value)).as_tuple().exponent
    return max(-exponent, 1) if isinstance(exponent, int) else 1
