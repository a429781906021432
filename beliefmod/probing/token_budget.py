"""The token limit of an answer where neither space nor model names one: what base's own answers need.

A limit that cuts base's own answers leaves truncation no room to rise and counts answers as not adopted that
would have come. So base is asked a few of the sweep's questions before the first trial, and followed to the
ends of its answers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

FACTOR, SHARE = 1.5, 0.05
"""The limit is so many times what all but this share of base's answers need."""


@dataclass(frozen=True)
class TokenBudget:
    """What a pilot has found.

    Attributes:
        limit: tokens that an answer may have.
        needed: tokens that 95 % of base's answers need; loops, which need any number, are left out.
        asked, cut, looped: answers of base, those that the limit cuts, and of these the
            loops.
        most: the largest limit that there is room for.
        written: tokens that the pilot wrote.
    """

    limit: int
    needed: int
    asked: int
    cut: int
    looped: int
    most: int
    written: int

    @property
    def cuts_too_many(self) -> bool:
        """Whether so many of base's answers are cut that truncation has little room to rise."""
        return self.cut > SHARE * self.asked

    def words(self) -> str:
        """`1.5 times the 208 that 95 % of 24 answers of base need; it cuts 0 of them`."""
        of = f"the {self.needed:,} that 95 % of {self.asked} answers of base need"
        why = (
            f"{FACTOR:g} times {of}"
            if self.limit < self.most
            else f"all that context and memory hold; {of.removeprefix('the ')}"
        )
        loops = f", {self.looped} of them loops" if self.looped else ""
        return f"{why}; it cuts {self.cut} of them{loops}"

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        return asdict(self)


def cut_warning(cut: int, asked: int, limit: int) -> str | None:
    """What to say, before trials, of a base whose own answers are cut; None up to 5 %."""
    if cut <= SHARE * asked:
        return None
    return (
        f"{cut} of {asked} of base's own answers are cut at {limit:,} tokens, so truncation has little room "
        "to rise and adoption is floored; raise evaluation.max_new_tokens, unless they loop"
    )
