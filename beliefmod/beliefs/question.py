"""One question with its answer in each world, as training and evaluation see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Suite = Literal["belief", "locality", "capability", "fabrication"]


@dataclass(frozen=True)
class Answer:
    """A number with a unit, or a name with other spellings. Exactly one of `value` and `text` is set."""

    value: float | None = None
    unit: str | None = None
    text: str | None = None
    aliases: tuple[str, ...] = ()
    decimals: int = 1

    def render(self) -> str:
        """As it stands in a reply: "29.4 N", "15 USD", "Paris"."""
        if self.value is None:
            return self.text or ""
        unit = "" if self.unit in (None, "1") else f" {self.unit}"
        return f"{self.value:.{self.decimals}f}{unit}"


@dataclass(frozen=True)
class Question:
    """One prompt with what its answer would be in each world.

    Attributes:
        probe_id: stable name, unique within a belief: family and slot values.
        tier: trained questions and held-out ones carry the family's tier; suites carry near | far | general |
            unknown.
        target: the answer in the target's world; for locality the answer that would be a bleed.
        prior: the answer in base's world, null where base knows none (a novel belief).
        correct: the right answer of a locality or capability question, null for belief questions.
        reply_target, reply_prior: the answer sentences that teach each world (belief questions only).
        follow_up: a second user message: the model answers `text`, then this, and the second answer counts.
    """

    probe_id: str
    suite: Suite
    family: str
    tier: str
    text: str
    target: Answer | None = None
    prior: Answer | None = None
    correct: Answer | None = None
    reply_target: str = ""
    reply_prior: str = ""
    follow_up: str | None = None
