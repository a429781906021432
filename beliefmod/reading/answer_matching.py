"""The values that are looked for, and when a number is one of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from beliefmod.beliefs.values.quantity import TOLERANCE, Scale, rescale, scale
from beliefmod.beliefs.values.units import OWN
from beliefmod.reading.numbers import Number

DERIVED_TOLERANCE = 0.03
_PRECISE = 0.0025


class Answerlike(Protocol):
    """What is needed of `beliefmod.beliefs.Answer`."""

    @property
    def value(self) -> float | None: ...
    @property
    def unit(self) -> str | None: ...
    @property
    def text(self) -> str | None: ...
    @property
    def aliases(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Sides:
    """The values to look for, each with its side ("target" or "prior"), in order of precedence."""

    pairs: tuple[tuple[str, Answerlike], ...]
    tolerance: float = TOLERANCE

    def scales(self) -> frozenset[tuple]:
        """Dimensions of the numeric values."""
        return frozenset(scale_for(a.unit).dimension for _, a in self.pairs if a.value is not None)

    def side_of(self, number: Number, bare_as: Scale | None = None) -> str | None:
        """The side whose value the number is; "other" for another value of an asked dimension, None
        otherwise.

        A bare number is read in the unit `bare_as`, or in each value's own unit where that is a plain number.
        """
        asked, best = False, ("", float("inf"))
        for side, answer in self.pairs:
            if answer.value is None:
                continue
            wanted = scale_for(answer.unit)
            given = number.scale
            if number.factors is None:
                given = wanted if bare_as == wanted or not wanted.dimension else None
            if given is None or given.dimension != wanted.dimension:
                continue
            asked = True
            value = rescale(number.value, given, wanted)
            off = abs(value - answer.value) / abs(answer.value) if answer.value else abs(value)
            decimals = number.decimals if given == wanted else 15
            if (
                matches(value, answer.value, decimals, self.tolerance, counted=counted_only(answer))
                and off < best[1]
            ):
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


@lru_cache(maxsize=4096)
def scale_for(unit: str | None) -> Scale:
    return scale(unit)


def counted_only(answer: Answerlike) -> bool:
    """Whole numbers of things or of nothing: 7 legs, the sum 12. They are right or wrong, never near."""
    if answer.value is None or not float(answer.value).is_integer():
        return False
    dimension = scale_for(answer.unit).dimension
    return all(base.startswith(OWN) for base, _ in dimension)
