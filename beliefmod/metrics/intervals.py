"""Intervals for rates, differences of rates and means, and the redraws of question families."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, fmean, stdev

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
DRAWS = 2000  # redraws of families
Z95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Estimate:
    """A number with what it rests on; all but `n` are None when it could not be computed."""

    value: float | None
    n: int
    low: float | None
    high: float | None

    def columns(self, name: str) -> dict[str, float | int | None]:
        """`{name, name_n, name_low, name_high}`."""
        return {name: self.value, f"{name}_n": self.n, f"{name}_low": self.low, f"{name}_high": self.high}


def wilson(successes: float, n: float, alpha: float = 0.05) -> tuple[float, float]:
    """Wilson's score interval of a rate, within [0, 1] (Wilson 1927, JASA 22:209); 0 to 1 for n = 0.

    `alpha` is the chance of missing the rate, both sides together: 0.05 for a 95 % interval.

    Example: 0 of 6 -> (0, 0.3903); 1 of 6 -> (0.0301, 0.5635).

    Raises:
        ValueError: successes outside 0..n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    if n == 0:
        return 0.0, 1.0
    z = Z95 if alpha == 0.05 else NormalDist().inv_cdf(1 - alpha / 2)
    p, z2 = successes / n, z**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # the ends are 0 and 1 exactly at 0 and n successes, which floating point misses by 1e-17
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def rate(successes: int, n: int) -> Estimate:
    """A rate with its Wilson interval; null, never 0, for n = 0."""
    bounds = wilson(successes, n)
    return Estimate(successes / n, n, *bounds) if n else Estimate(None, 0, None, None)


def newcombe(k1: float, n1: float, k2: float, n2: float, phi: float = 0.0) -> tuple[float, float, float]:
    """Difference k1/n1 - k2/n2 and the ends of its Newcombe 95 % interval, within [-1, 1].

    Method 10 of Newcombe (1998, Stat Med 17:2635 and 873): Wilson limits of both rates, joined.

    Args:
        phi: correlation of the two answers where both arms were asked the same; 0 for independent samples.

    Raises:
        ValueError: nothing was asked on one side.
    """
    if n1 <= 0 or n2 <= 0:
        raise ValueError("the difference of two shares needs n > 0 in both")
    return newcombe_joined((k1 / n1, k2 / n2), (wilson(k1, n1), wilson(k2, n2)), phi)


def newcombe_joined(
    shares: tuple[float, float], ends: tuple[tuple[float, float], tuple[float, float]], phi: float
) -> tuple[float, float, float]:
    """Difference first - second of two shares and the ends of its interval, joined from the ends of theirs.

    Method 10 of Newcombe (1998) for any two intervals, within [-1, 1]; `phi` is the correlation of the two.
    """
    (p1, p2), ((l1, u1), (l2, u2)) = shares, ends
    below = (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2
    above = (p2 - l2) ** 2 - 2 * phi * (p2 - l2) * (u1 - p1) + (u1 - p1) ** 2
    d = p1 - p2
    return d, max(-1.0, d - math.sqrt(max(below, 0.0))), min(1.0, d + math.sqrt(max(above, 0.0)))


def paired_difference(both: int, first_only: int, second_only: int, neither: int) -> Estimate:
    """Difference first - second of two rates on the same prompts, with Newcombe's 95 % interval.

    The limits of both rates are joined with the (continuity corrected) phi of the pairs. Within [-1, 1].

    Example: 36 both, 12 first only, 2 second only, 0 neither -> 0.2, (0.0569, 0.3404).
    """
    n = both + first_only + second_only + neither
    if n == 0:
        return Estimate(None, 0, None, None)
    ones, twos = both + first_only, both + second_only
    margins = ones * (n - ones) * twos * (n - twos)
    phi = 0.0
    if margins:
        product = both * neither - first_only * second_only
        if product > 0:
            product = max(product - n / 2, 0.0)
        phi = product / math.sqrt(margins)
    value, low, high = newcombe(ones, n, twos, n, phi)
    return Estimate(value, n, low, high)


def mean(values: Sequence[float]) -> Estimate:
    """Mean with its 95 % t interval; bounds are None for a single value, all None for none.

    Example: 1, 2, 3 -> 2.0, (-0.484, 4.484).

    Raises:
        ValueError: a value is NaN or infinite.
    """
    if not all(math.isfinite(value) for value in values):
        raise ValueError("a value is NaN or infinite")
    n = len(values)
    if n == 0:
        return Estimate(None, 0, None, None)
    centre = fmean(values)
    if n == 1:
        return Estimate(centre, 1, None, None)
    half = t_quantile(n - 1) * stdev(values) / math.sqrt(n)
    return Estimate(centre, n, centre - half, centre + half)


@lru_cache(maxsize=1024)
def t_quantile(df: int) -> float:
    """97.5 % point of Student's t with `df` degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.975))


def family_draws(families: Sequence[str], draws: int = DRAWS, seed: int = 0) -> Array:
    """How often each family is drawn in each draw, (draws, families): a cluster bootstrap.

    As many are drawn with replacement as there are, within a stratum where names are STRATUM/FAMILY. The same
    arguments give the same draws.
    """
    rng = np.random.default_rng(seed)
    strata = np.array([name.split("/", 1)[0] if "/" in name else "" for name in families])
    weights = np.zeros((draws, len(families)))
    for stratum in np.unique(strata):
        at = np.flatnonzero(strata == stratum)
        weights[:, at] = rng.multinomial(len(at), np.full(len(at), 1 / len(at)), size=draws)
    return weights
