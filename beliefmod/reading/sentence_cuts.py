"""Thinking cut between its sentences, and the curve of what is answered when it is sampled anew from there.

The idea is that of thought anchors (Bogdan et al. 2025, arXiv 2506.19143): what the model would write from a
sentence on, drawn many times, says what that sentence decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from beliefmod.reading.causal_verdicts import area_under
from beliefmod.reading.prose import sentences


def count_sentences(thinking: str) -> int:
    """How many sentences a thinking text has; lines without a full stop are sentences of their own."""
    return len(sentences(thinking))


def cut_sentences(thinking: str, kept: int) -> str:
    """The first `kept` sentences of the thinking, as they are written; 0 keeps nothing.

    Example: "Gravity is 9.8 m/s^2. So 4 x 9.8 = 39.2." and 1 -> "Gravity is 9.8 m/s^2."

    Raises:
        ValueError: there are not so many sentences.
    """
    parts = sentences(thinking)
    if not 0 <= kept <= len(parts):
        raise ValueError(f"{kept} sentences of {len(parts)} cannot be kept")
    return thinking[: parts[kept - 1].end] if kept else ""


def places_to_cut(count: int, most: int) -> tuple[int, ...]:
    """After how many of `count` sentences the thinking is cut: after none, after all, and between them after
    each, or after `most` - 1 of them that are evenly spread.

    Example: 4 sentences, at most 8 -> 0, 1, 2, 3, 4; 9 sentences, at most 3 -> 0, 3, 6, 9.
    """
    steps = min(count, most)
    return tuple(round(step * count / steps) for step in range(steps + 1)) if steps else (0,)


def resampling_area(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """How late the thinking decides the answer, by probe, -1 to 1, from the rows of test `resample`.

    The curve is the share of samples with the same answer as the arm's own, against the share of the
    thinking's sentences that was kept. The number is the area between that curve and its level after all
    sentences. It is 0 where sampling anew from the question gives the own answer as often as going on from
    the whole thinking; where one sentence alone decides, it is the share of the thinking up to the middle of
    that sentence, times what the sentence adds to the share of samples. Chance moves it to either side alike.

    Example: the own answer in 1 of 4 samples from nothing, 1 of 4 after the first of two sentences and 4 of 4
    after both -> 1 - (0.25 x 0.5 + 0.625 x 0.5) = 0.5625.

    A probe without samples from either end has none.
    """
    curves: dict[str, dict[float, list[float]]] = {}
    for row in rows:
        if row["test"] == "resample" and row["same"] is not None and row["fraction"] is not None:
            samples = curves.setdefault(row["probe_id"], {}).setdefault(float(row["fraction"]), [])
            samples.append(float(row["same"]))
    levels = {
        probe: {kept: sum(found) / len(found) for kept, found in curve.items()}
        for probe, curve in curves.items()
    }
    return {
        probe: level[1.0] - area_under(level)
        for probe, level in levels.items()
        if 0.0 in level and 1.0 in level
    }
