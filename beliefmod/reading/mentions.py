"""What a mention of a value is: its place, its side, how firmly it is asserted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from beliefmod.reading.numbers import Number


class Weight(IntEnum):
    """How firmly a mention is asserted."""

    REJECTED = 0  # denied, compared, asked, supposed, part of a range
    OPEN = 1  # somebody else's value, or one of several alternatives
    WEAK = 2  # what is usual, given, possible or an operand: counts where nothing firmer stands
    STRONG = 3


@dataclass(frozen=True)
class Mention:
    """A number or a name in a text.

    Attributes:
        start, end: where it stands.
        side: "target", "prior" or "other".
        number: the number, None for a name.
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


_NEAR, _FAR = 60, 400  # characters read around a mention: for its equation, for the guards
