"""The difference of two shares whose questions come in clusters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beliefmod.metrics.intervals import newcombe

Array = NDArray[np.float64]


def ratio_gap(
    h1: Array, n1: Array, h2: Array, n2: Array, clusters: Sequence[NDArray[np.int64]]
) -> tuple[float, float, float]:
    """h1/n1 minus h2/n2 of the totals, and the ends of its 95 % interval.

    The difference linearised over clusters, with t quantiles (Taylor linearisation of a ratio, Cochran
    1977, 6.8); both sides answer the same questions, so a cluster adds one number. The widest of the ways
    to cluster, never narrower than Newcombe's interval on the totals. Where no cluster differs from
    another, Newcombe's with the clusters as n: the widest that clustering can make it.

    Args:
        h1, n1, h2, n2: successes and questions of the two sides, shape [cells]; a cell may be empty on one
        side. clusters: one or more ways to group the cells, labels 0 to G - 1 with G at least 2, each of
        shape [cells].
    """
    value, low, high = newcombe(h1.sum(), n1.sum(), h2.sum(), n2.sum())
    rate1, rate2 = h1.sum() / n1.sum(), h2.sum() / n2.sum()
    pull = (h1 - rate1 * n1) / n1.sum() - (h2 - rate2 * n2) / n2.sum()
    ends = [(low, high)]
    for label in clusters:
        half = _half_width(np.bincount(label, weights=pull).astype(np.float64))
        ends.append((value - half, value + half))
    if float(np.abs(pull).max()) < 1e-12:
        size = min(int((n1 > 0).sum()), int((n2 > 0).sum()))
        ends.append(newcombe(rate1 * size, size, rate2 * size, size)[1:])
    return (
        float(value),
        float(max(-1.0, min(end[0] for end in ends))),
        float(min(1.0, max(end[1] for end in ends))),
    )


def _half_width(pull: Array) -> float:
    """Half of the 95 % t interval from what every cluster adds to the estimate; shape [clusters]."""
    from scipy.stats import t as student

    size = len(pull)
    error = np.sqrt(size / (size - 1) * np.sum(pull**2))
    return float(student.ppf(0.975, size - 1) * error)
