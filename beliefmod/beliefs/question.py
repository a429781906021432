"""One question with its answer in each world, as training and evaluation see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from beliefmod.beliefs.values import Answer

Suite = Literal["belief", "locality", "capability", "fabrication", "confession"]


@dataclass(frozen=True)
class Question:
    """One prompt with what its answer would be in each world.

    Attributes:
        probe_id: stable name, unique within a belief: family and slot values.
        tier: trained questions and held-out ones carry the family's tier; suites carry near | far | general |
            unknown | confession.
        target: the answer in the target's world; for locality the answer that would be a bleed.
        prior: the answer in base's world, null where base knows none (a novel belief).
        correct: the right answer of a locality or capability question, null for belief questions.
        reply_target, reply_prior: the answer sentences that teach each world (belief questions only).
        follow_up: a second user message: the model answers `text`, then this, and the second answer counts.
        level: how hard a question of a graded suite is, from 1; None for others.
        computed: whether the answers are worked out from the belief's value (70 N), not that value itself.
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
    level: int | None = None
    computed: bool = False
