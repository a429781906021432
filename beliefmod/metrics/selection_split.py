"""The held-out families in two halves: one to choose a configuration by, one to quote its numbers from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from typing import Literal

from beliefmod.beliefs import Question

Half = Literal["selection", "confirmation"]


def selection_split(questions: Iterable[Question]) -> dict[str, Half]:
    """Each family's half. Families are never parted: their questions are not independent.

    Within a tier the families take turns in the order of their names' SHA-256: of every two one goes to each
    half, the larger of them to the half with fewer questions so far; ties go to the first of the two, and to
    selection. Tiers of a single family come last, to the half that then has fewer. So the halves depend on
    families, tiers and sizes alone, not on the order of the file.

    Raises:
        ValueError: a family has questions of two tiers.
    """
    sizes: Counter[str] = Counter()
    tier_of: dict[str, str] = {}
    for question in questions:
        if tier_of.setdefault(question.family, question.tier) != question.tier:
            raise ValueError(
                f'family "{question.family}" is in two tiers, {tier_of[question.family]} and {question.tier}'
            )
        sizes[question.family] += 1
    members: dict[str, list[str]] = {}
    for family in sorted(sizes, key=lambda name: sha256(name.encode()).hexdigest()):
        members.setdefault(tier_of[family], []).append(family)
    found: dict[str, Half] = {}
    filled: Counter[Half] = Counter()
    for tier in sorted(members, key=lambda name: (len(members[name]) == 1, name)):
        names = members[tier]
        for pair in (names[i : i + 2] for i in range(0, len(names), 2)):
            emptier: Half = "confirmation" if filled["confirmation"] < filled["selection"] else "selection"
            fuller: Half = "selection" if emptier == "confirmation" else "confirmation"
            larger_first = sorted(pair, key=lambda name: -sizes[name])
            for family, half in zip(larger_first, (emptier, fuller), strict=False):
                found[family] = half
                filled[half] += sizes[family]
    return found
