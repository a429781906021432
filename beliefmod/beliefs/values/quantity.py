"""Quantities: numbers with units, read, compared, converted and found in running text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

from beliefmod.beliefs.values.kind import SAME_WORLD, TOLERANCE, Answer, Candidates, Mention, Number
from beliefmod.beliefs.values.numbers import find_numbers, own_units
from beliefmod.beliefs.values.scale import Scale, parse_unit, plain_notation, rescale, same_dimension, scale
from beliefmod.beliefs.values.units import OWN

APART = 0.05
"""A third number differs from target and prior by more than this share of the larger one."""
_PRECISE = 0.0025
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
        numbers = find_numbers(text, units_of(candidates))
        return [Mention(n.start, n.end, side_of(n, candidates) or "", n) for n in numbers]

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
        near."""
        if not float(self.value).is_integer():
            return False
        return all(base.startswith(OWN) for base, _ in scale(self.unit).dimension)


def quantities(candidates: Candidates) -> list[tuple[str, Quantity]]:
    """The quantities among the values looked for, with their sides."""
    return [(side, answer) for side, answer in candidates.pairs if isinstance(answer, Quantity)]


def units_of(candidates: Candidates) -> frozenset[str]:
    """The units of their own among the values looked for, as `find_numbers` takes them."""
    return own_units(*(answer.unit for _, answer in quantities(candidates)))


def side_of(number: Number, candidates: Candidates, bare_as: Scale | None = None) -> str | None:
    """The side whose value a number is; "other" for another value of an asked dimension, None otherwise.

    A bare number is read in the unit `bare_as`, or in each value's own unit where that is a plain number.
    """
    asked, best = False, ("", float("inf"))
    for side, answer in quantities(candidates):
        wanted = scale(answer.unit)
        given = number.scale
        if number.factors is None:
            given = wanted if bare_as == wanted or not wanted.dimension else None
        if given is None or given.dimension != wanted.dimension:
            continue
        asked = True
        value = rescale(number.value, given, wanted)
        off = abs(value - answer.value) / abs(answer.value) if answer.value else abs(value)
        decimals = number.decimals if given == wanted else 15
        near = matches(value, answer.value, decimals, candidates.tolerance, counted=answer.counted)
        if near and off < best[1]:
            best = side, off
    return best[0] or ("other" if asked else None)


def matches(value: float, expected: float, decimals: int, tolerance: float, *, counted: bool = False) -> bool:
    """Whether a number written with `decimals` decimals is the expected value.

    It must lie within `tolerance`. At the plain 1 % it must also be within 0.25 % or be the expected value
    correctly rounded: 9.81 is 9.8 and 1.43 is 10/7, but 5.02 is another number than 5.0, written on purpose.
    At the 3 % band of derived questions no such demand is made. Things counted and plain whole numbers
    (`counted`) must agree exactly.
    """
    if counted:
        return abs(value - expected) <= 1e-6 * max(1.0, abs(expected))
    if abs(value - expected) > tolerance * abs(expected) * (1 + 1e-9):
        return False
    if tolerance > TOLERANCE or abs(value - expected) <= _PRECISE * abs(expected):
        return True
    return decimals < 15 and abs(round(expected, decimals) - value) < 1e-9


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
