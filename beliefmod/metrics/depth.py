"""Depth: how well a belief holds where it is asked anew, reasoned from and argued against."""

from __future__ import annotations

from collections.abc import Sequence

from beliefmod.metrics.intervals import wilson

DEPTH_TIERS = ("paraphrase", "derived", "robustness")


def harmonic_mean(values: Sequence[float]) -> float:
    """n / sum(1 / x) of values >= 0; 0 if any of them is 0. Example: 1, 0.5, 0.25 -> 3 / 7."""
    return 0.0 if min(values) == 0.0 else len(values) / sum(1.0 / value for value in values)


def depth(counts: Sequence[tuple[int, int]]) -> tuple[float | None, float | None, float | None]:
    """Harmonic mean of the tiers' adoption, with a simultaneous 95 % interval.

    Args:
        counts: (adopted, asked) of each tier of DEPTH_TIERS.

    Returns:
        Value, low, high, all in [0, 1]; all None if a tier was not asked. The harmonic mean grows with each
        rate, so the means of the lower and of the upper ends of Wilson intervals, each with alpha 0.05 / 3
        (Bonferroni), hold the true depth with at least 95 %.

    Example: 9/10, 6/10 and 3/10 -> 3 / (1/0.9 + 1/0.6 + 1/0.3) = 0.491.
    """
    bounds = [wilson(k, n, alpha=0.05 / len(counts)) for k, n in counts]
    known = [bound for bound in bounds if bound is not None]
    if len(known) < len(counts) or not counts:
        return None, None, None
    return (
        harmonic_mean([k / n for k, n in counts]),
        harmonic_mean([low for low, _ in known]),
        harmonic_mean([high for _, high in known]),
    )
