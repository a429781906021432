"""Intervals and tests for shares. All 95 %, all two-sided.

Wilson (1927) for one share; Newcombe (1998), method 10, for the difference of two independent shares;
Fisher's exact test for the same; exact McNemar for two arms asked the same questions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z = 1.959963984540054  # standard normal quantile of 0.975


def wilson(successes: ArrayLike, n: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper end of the Wilson interval, elementwise; NaN where n is 0.

    0 of 6 is [0, 0.39], 1 of 6 is [0.03, 0.56].
    """
    k, size = np.broadcast_arrays(np.asarray(successes, float), np.asarray(n, float))
    if np.any((k < 0) | (k > size)):
        raise ValueError("successes must lie between 0 and n")
    with np.errstate(invalid="ignore", divide="ignore"):
        share = k / size
        centre = (share + Z * Z / (2 * size)) / (1 + Z * Z / size)
        half = Z * np.sqrt(share * (1 - share) / size + Z * Z / (4 * size * size)) / (1 + Z * Z / size)
    # the ends are 0 and 1 exactly at k = 0 and k = n, which floating point misses by 1e-17
    low = np.where(k == 0, np.where(size > 0, 0.0, np.nan), centre - half)
    high = np.where(k == size, np.where(size > 0, 1.0, np.nan), centre + half)
    return low, high


@dataclass(frozen=True)
class Difference:
    """Share 1 minus share 2, its interval and the p-value of the exact test that fits the design.

    `n` holds the questions behind either share; in a paired design they are the same questions.
    """

    value: float
    low: float
    high: float
    p: float
    test: str
    n: tuple[int, int]

    def picked_from(self, candidates: int) -> Difference:
        """The same difference when one side is the best of `candidates`: p after Bonferroni's correction."""
        if candidates <= 1:
            return self
        test = f"{self.test}, Bonferroni for picking from {candidates}"
        return replace(self, p=min(1.0, self.p * candidates), test=test)

    @property
    def told_apart(self) -> bool:
        """Whether the interval leaves out 0 and the test agrees."""
        return (self.low > 0 or self.high < 0) and self.p < 0.05


def newcombe(k1: float, n1: float, k2: float, n2: float) -> tuple[float, float, float]:
    """Difference k1/n1 - k2/n2 and the ends of its Newcombe interval (independent samples, n > 0)."""
    if n1 <= 0 or n2 <= 0:
        raise ValueError("the difference of two shares needs n > 0 in both")
    low, high = wilson([k1, k2], [n1, n2])
    p1, p2 = k1 / n1, k2 / n2
    down = float(np.hypot(p1 - low[0], high[1] - p2))
    up = float(np.hypot(high[0] - p1, p2 - low[1]))
    return p1 - p2, max(-1.0, p1 - p2 - down), min(1.0, p1 - p2 + up)


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
