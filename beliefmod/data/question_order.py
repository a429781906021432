"""The order in which trials take a belief's training questions. No model here: analysis imports it."""

from __future__ import annotations

import random

from beliefmod.beliefs import Belief, Question


def in_seeded_order(belief: Belief, seed: int) -> list[Question]:
    """The belief's training questions in the order in which a trial of this seed takes its examples."""
    pool = sorted(belief.training, key=lambda question: question.probe_id)
    random.Random(seed).shuffle(pool)
    return pool
