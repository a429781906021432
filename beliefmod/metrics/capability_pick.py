"""Which questions of the graded capability suite suit a model: families, picked by how often base is right.

Whole families are picked and never single questions. The ones that base happens to answer, asked again of an
arm that is no worse, would come out lower than base, and that would look like damage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

LOWEST, HIGHEST = Fraction(60, 100), Fraction(95, 100)
"""What share of the picked questions base is to answer."""
NEAREST = Fraction(80, 100)
"""Families are taken in the order of how near to this base's rate on them is."""
FEWEST = 100
"""Questions that a pick has at least, where the suite has so many."""
EXPECTED = 105
"""Questions of a pick as a plan counts them: families are whole, so it goes a little over 100."""
WORTH = Fraction(1, 3)
"""Rate of base under which a family is not added to make a pick harder: it could hardly fall."""
HOPELESS = Fraction(1, 10)
"""Rate of base on a level under which no harder one is asked, once there are questions enough."""


@dataclass(frozen=True)
class Stratum:
    """One family of the suite, with how many of its questions base was asked and got right."""

    family: str
    level: int
    asked: int
    right: int

    @property
    def rate(self) -> Fraction:
        """Share of base's right answers, 0 to 1."""
        return Fraction(self.right, self.asked)


@dataclass(frozen=True)
class Pick:
    """The families that every arm is asked, in the order of the suite.

    Attributes:
        asked, right: questions in them, and how many base answered right.
        status: whether base's rate is within 60 to 95 %, or no mixture of families brought it there: above or
            below. A pick of fewer than 100 questions is told by `asked`.
    """

    families: tuple[str, ...]
    asked: int
    right: int
    status: Literal["within", "above", "below"]


def pick_families(strata: Sequence[Stratum]) -> Pick:
    """The families of which base answers 60 to 95 % together, at least 100 questions if there are so many.

    Families are taken in the order of how near to 80 % base's rate on them is, ties in the order given, until
    100 questions are reached. If base answers more than 95 % of these, the families with its lowest rates,
    but none under a third, are added one by one until it does not.

    Example: 8 families of 10 that base answers whole, 4 of which it answers 7 of 10 -> the 4 and the first 6
    whole ones: 88 of 100.

    Raises:
        ValueError: there is no family, or one without questions.
    """
    if not strata or any(stratum.asked < 1 for stratum in strata):
        raise ValueError("a pick needs families with questions")
    place = {stratum.family: index for index, stratum in enumerate(strata)}
    left = sorted(strata, key=lambda one: (abs(one.rate - NEAREST), place[one.family]))
    taken: list[Stratum] = []
    while left and sum(one.asked for one in taken) < FEWEST:
        taken.append(left.pop(0))
    harder = sorted(
        (one for one in left if WORTH <= one.rate < HIGHEST),
        key=lambda one: (one.rate, place[one.family]),
    )
    while harder and _rate(taken) > HIGHEST:
        taken.append(harder.pop(0))
    rate = _rate(taken)
    return Pick(
        tuple(sorted((one.family for one in taken), key=lambda family: place[family])),
        sum(one.asked for one in taken),
        sum(one.right for one in taken),
        "above" if rate > HIGHEST else "below" if rate < LOWEST else "within",
    )


def may_stop(strata: Sequence[Stratum]) -> bool:
    """Whether base need not be asked harder levels than those of these families.

    That is so once a pick of 100 questions is within 60 to 95 %, or base answers under a tenth of the last
    level; not before it has been asked 100.
    """
    last = [stratum for stratum in strata if stratum.level == max(one.level for one in strata)]
    if sum(stratum.asked for stratum in strata) < FEWEST:
        return False
    return _rate(last) < HOPELESS or pick_families(strata).status == "within"


def _rate(strata: Sequence[Stratum]) -> Fraction:
    return Fraction(sum(one.right for one in strata), sum(one.asked for one in strata))
