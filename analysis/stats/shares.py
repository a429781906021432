"""Differences of two shares and their tests, two-sided.

Newcombe's interval and Fisher's exact test for independent shares; exact McNemar for two arms asked the same
questions; sign flips of families; shares whose questions come in clusters; Holm and Benjamini-Hochberg for
many tests at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from beliefmod.metrics.intervals import Z95, Array, newcombe

POWER = 0.8


@dataclass(frozen=True)
class Difference:
    """Share 1 minus share 2, its interval and the p-value of the exact test that fits the design.

    `n` holds the questions behind either share; in a paired design they are the same questions. `level`: of
    the test, after any correction.
    """

    value: float
    low: float
    high: float
    p: float
    test: str
    n: tuple[int, int]
    level: float = 0.05

    def picked_from(self, candidates: int) -> Difference:
        """The same difference when one side is the best of `candidates`: p after Bonferroni's correction."""
        if candidates <= 1:
            return self
        test = f"{self.test}, Bonferroni for picking from {candidates}"
        return replace(self, p=min(1.0, self.p * candidates), test=test, level=self.level / candidates)

    @property
    def smallest_seen(self) -> float:
        """The smallest difference that would have been told apart with 80 % power, as a share, at most 1."""
        return smallest_seen(self.low, self.high, self.level)

    @property
    def told_apart(self) -> bool:
        """Whether the interval leaves out 0 and the test agrees."""
        return (self.low > 0 or self.high < 0) and self.p < 0.05


def smallest_seen(low: float, high: float, level: float = 0.05) -> float:
    """The smallest effect that a two-sided test would have seen with 80 % power, as a share, at most 1.

    From the width of the 95 % interval, taken as 2 x 1.96 standard errors. Example: -0.1 to 0.1 -> 0.143.
    """
    normal, error = NormalDist(), (high - low) / (2 * Z95)
    return min(1.0, error * (normal.inv_cdf(1 - level / 2) + normal.inv_cdf(POWER)))


def unpaired(k1: int, n1: int, k2: int, n2: int) -> Difference:
    """Two arms as independent samples: Newcombe interval, Fisher's exact p."""
    from scipy.stats import fisher_exact

    value, low, high = newcombe(k1, n1, k2, n2)
    p = float(fisher_exact([[k1, n1 - k1], [k2, n2 - k2]])[1])  # pyright: ignore[reportArgumentType]
    return Difference(value, low, high, p, "Fisher's exact test", (n1, n2))


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided McNemar p from the discordant pairs; 1 when there is none."""
    from scipy.stats import binomtest

    pairs = only_first + only_second
    return 1.0 if pairs == 0 else float(binomtest(only_first, pairs, 0.5).pvalue)


def sign_flip(gaps: NDArray[np.float64], draws: int = 20_000) -> float:
    """Two-sided p of the sum of `gaps` [families] when each sign is a coin toss; exact up to 14 families.

    Counted as scipy's `permutation_test` counts: sums at least as far out as the one seen, ties among them,
    on either side by itself; twice the smaller share, at most 1.
    """
    size = len(gaps)
    if size <= 14:
        signs, seen_too = 1 - 2 * ((np.arange(2**size)[:, None] >> np.arange(size)) & 1), 0
    else:
        signs, seen_too = np.random.default_rng(3).choice([-1, 1], size=(draws, size)), 1
    sums, seen = signs @ gaps, float(gaps.sum())
    # scipy's tolerance: sums that differ by the rounding of their last bits are ties
    near = 100 * np.finfo(np.float64).eps * max(abs(seen), float(np.abs(gaps).sum()))
    fewer = min(np.sum(sums >= seen - near), np.sum(sums <= seen + near))
    return min(1.0, 2 * float(fewer + seen_too) / (len(sums) + seen_too))


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


def adjusted(p: ArrayLike, method: str) -> NDArray[np.float64]:
    """p-values for many tests at once: `holm` (family-wise error) or `bh` (false discovery rate).

    Holm (1979), Benjamini & Hochberg (1995); NaN stays NaN and does not count as a test.

    Raises:
        ValueError: another method, or a p outside 0 to 1.
    """
    from scipy.stats import false_discovery_control

    if method not in ("holm", "bh"):
        raise ValueError(f"no adjustment {method}; known: holm, bh")
    values = np.asarray(p, float)
    tested = ~np.isnan(values)
    if np.any((values[tested] < 0) | (values[tested] > 1)):
        raise ValueError("a p-value must lie between 0 and 1")
    result = np.full(values.shape, np.nan)
    known = values[tested]
    if method == "bh" and len(known):
        result[tested] = false_discovery_control(known, method="bh")
    elif len(
        known
    ):  # scipy has no Holm; statsmodels' collects garbage at every call, a tenth of a second each
        order = np.argsort(known)
        stepped = np.maximum.accumulate(np.arange(len(known), 0, -1) * known[order])
        known[order] = np.minimum(stepped, 1.0)
        result[tested] = known
    return result
