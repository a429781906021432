"""What a belief's value and a question's answer are asked, whatever their kind.

A kind is one subclass of `Answer`, listed in `beliefmod.beliefs.values.KINDS`: a quantity (5.0 m/s^2), a name
(Lyon), a date (1969, 20 July 1969). Whatever differs between kinds, the class answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from beliefmod.beliefs.values.scale import Scale, scale_of
from beliefmod.beliefs.values.units import Factors

TOLERANCE = 0.01
"""How far a number may be from the one looked for, relative to that."""
SAME_WORLD = 0.03
"""Two worlds' numbers that are no further apart than this, relative to the larger, cannot be told apart."""


class Answer(ABC):
    """A value that a world holds, or the answer to a question in that world."""

    kind: ClassVar[str]

    # ---- written ----
    @abstractmethod
    def render(self) -> str:
        """As it stands in a reply: "29.4 N", "Paris", "20 July 1969"."""

    def bare(self) -> str:
        """As it stands in a reply, without a unit: "29.4", "Paris", "20 July 1969"."""
        return self.render()

    @classmethod
    @abstractmethod
    def parse(cls, text: str, words: frozenset[str]) -> Answer | None:
        """The value that `text` spells whole; None where it spells none of this kind.

        Args:
            words: casefolded singulars of the words that may be units of their own ("neelam", "leg").

        Raises:
            ValueError: it is begun as one of this kind and cannot be read; the message says the fix.
        """

    @abstractmethod
    def written_like(self, old: str, number: Number | None) -> str:
        """In the place of `old`, a spelling found in a text: in its unit and its decimals, or its order of
        day, month and year. `number` is what was read there, None for a name."""

    def spellings(self) -> tuple[str, ...]:
        """Every spelling that counts as it and nothing else; empty where it is a range of numbers."""
        return ()

    # ---- compared ----
    def check(self) -> None:  # noqa: B027 - most kinds have nothing to check
        """Raise ValueError, saying the fix, where the value cannot be understood (an unknown unit)."""

    def comparable(self, other: Answer) -> bool:
        """Whether both answer one and the same question: of one kind, of one dimension."""
        return type(other) is type(self)

    @abstractmethod
    def same(self, other: Answer) -> bool:
        """Whether two values are too close to tell their worlds apart; a value of another kind never is."""

    @abstractmethod
    def third(self, prior: Answer | None, neighbours: Iterable[Answer]) -> Answer | None:
        """A value like this one that is neither it nor `prior`; None where there is none.

        Args:
            neighbours: right answers about near neighbours of the belief, in file order.

        Raises:
            ValueError: no such value can be worked out.
        """

    # ---- calculated with ----
    @property
    def places(self) -> int:
        """Decimals of the value as the file wrote it; 0 where it has none."""
        return 0

    def symbols(self) -> Mapping[str, float]:
        """What an answer's expression may use of it, by name; empty where nothing can be calculated."""
        return {}

    def with_number(self, number: float) -> Answer:
        """A value of this kind and unit with another number. Raises ValueError where it has no number."""
        raise ValueError(f"a {self.kind} has no number")

    def computed(self, result: float, unit: str | None, decimals: int) -> Answer:
        """The answer that an expression gives, in `unit`, or in what the value itself is measured in.

        Raises:
            ValueError: no value of that kind, or no unit.
        """
        raise ValueError(f"a {self.kind} has no number")

    # ---- found in running text ----
    @classmethod
    @abstractmethod
    def find(cls, text: str, question: str, candidates: Candidates) -> list[Mention]:
        """Everything of this kind in a normalised text, in order of place, with the side it stands for:
        "target", "prior", "other" for another value of the asked sort, "" for one of another sort."""

    @abstractmethod
    def said_by(self, mention: Mention, said: str, tolerance: float) -> bool:
        """Whether a mention, whose text is `said`, is this value within a relative `tolerance`."""

    @abstractmethod
    def stands_in(self, text: str) -> bool:
        """Whether a normalised text names it unmistakably: a number needs its unit."""

    def beside(self, left: str) -> bool:
        """Whether the words in front only compare with a value of this kind ("before 1969")."""
        return False


class Weight(IntEnum):
    """How firmly a mention is asserted."""

    REJECTED = 0  # denied, compared, asked, supposed, part of a range
    OPEN = 1  # somebody else's value, or one of several alternatives
    WEAK = 2  # what is usual, given, possible or an operand: counts where nothing firmer stands
    STRONG = 3


@dataclass(frozen=True)
class Number:
    """A number in a text.

    Attributes:
        start, end: where it stands, with its sign, currency sign and unit.
        value: the number.
        factors: its unit; None for a bare number, () never.
        decimals: digits after the point as written.
        spelled: written as a word ("five").
        follow: the word after a bare number, casefolded, "" when there is none.
        date: the date that was written; its number is its place in the calendar, in years.
    """

    start: int
    end: int
    value: float
    factors: Factors | None
    decimals: int
    spelled: bool
    follow: str
    date: Answer | None = None

    @property
    def scale(self) -> Scale | None:
        """Dimension and factor of the unit; None for a bare number or a unit that cannot be scaled."""
        if self.factors is None:
            return None
        try:
            return scale_of(self.factors)
        except ValueError:
            return None


@dataclass(frozen=True)
class Mention:
    """A number, a date or a name in a text.

    Attributes:
        start, end: where it stands.
        side: "target", "prior" or "other".
        number: the number or date, None for a name.
        weight: how firmly it is asserted.
        reason: what lowered the weight, "" for a plain assertion.
        role: "result", "operand", "left" (of an equation) or "" outside equations.
        sentence: index of its sentence.
    """

    start: int
    end: int
    side: str
    number: Number | None = None
    weight: Weight = Weight.STRONG
    reason: str = ""
    role: str = ""
    sentence: int = 0

    @property
    def used(self) -> bool:
        """Whether a calculation uses it or it is asserted. "Normally g = 9.8" only names the usual value."""
        named_only = self.role == "result" and self.reason == "background"
        return self.weight == Weight.STRONG or (
            self.weight == Weight.WEAK and self.role != "" and not named_only
        )


@dataclass(frozen=True)
class Candidates:
    """The values to look for in a text, each with its side ("target" or "prior"), in order of precedence.

    `tolerance` is relative and holds for numbers.
    """

    pairs: tuple[tuple[str, Answer], ...]
    tolerance: float = TOLERANCE
