"""Intervals for rates, differences of rates and means; closed forms, no dependency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, fmean, stdev

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


def wilson(successes: int, n: int, alpha: float = 0.05) -> tuple[float, float] | None:
    """Wilson's score interval of a rate, within [0, 1]; None for n = 0 (Wilson 1927, JASA 22:209).

    `alpha` is the chance of missing the rate, both sides together: 0.05 for a 95 % interval.

    Example: 0 of 6 -> (0, 0.3903); 1 of 6 -> (0.0301, 0.5635).

    Raises:
        ValueError: successes outside 0..n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    if n == 0:
        return None
    z = Z95 if alpha == 0.05 else NormalDist().inv_cdf(1 - alpha / 2)
    p, z2 = successes / n, z**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def rate(successes: int, n: int) -> Estimate:
    """A rate with its Wilson interval; null, never 0, for n = 0."""
    bounds = wilson(successes, n)
    if bounds is None:
        return Estimate(None, 0, None, None)
    return Estimate(successes / n, n, *bounds)


def paired_difference(both: int, first_only: int, second_only: int, neither: int) -> Estimate:
    """Difference first - second of two rates on the same prompts, with Newcombe's 95 % interval.

    Method 10 of Newcombe (1998, Stat Med 17:2635): Wilson limits of both rates, joined with the (continuity
    corrected) phi of the pairs. Within [-1, 1].

    Example: 36 both, 12 first only, 2 second only, 0 neither -> 0.2, (0.0569, 0.3404).
    """
    n = both + first_only + second_only + neither
    if n == 0:
        return Estimate(None, 0, None, None)
    ones, twos = both + first_only, both + second_only
    p1, p2 = ones / n, twos / n
    (l1, u1), (l2, u2) = wilson(ones, n) or (0.0, 1.0), wilson(twos, n) or (0.0, 1.0)
    margins = ones * (n - ones) * twos * (n - twos)
    phi = 0.0
    if margins:
        product = both * neither - first_only * second_only
        if product > 0:
            product = max(product - n / 2, 0.0)
        phi = product / math.sqrt(margins)
    d = p1 - p2
    below = (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2
    above = (p2 - l2) ** 2 - 2 * phi * (p2 - l2) * (u1 - p1) + (u1 - p1) ** 2
    return Estimate(d, n, max(-1.0, d - math.sqrt(max(below, 0.0))), min(1.0, d + math.sqrt(max(above, 0.0))))


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
    """97.5 % point of Student's t with `df` degrees of freedom, by bisection on its distribution."""
    low, high = Z95, 13.0
    for _ in range(80):
        middle = (low + high) / 2
        tail = _incomplete_beta(df / 2, 0.5, df / (df + middle * middle)) / 2
        low, high = (middle, high) if tail > 0.025 else (low, middle)
    return (low + high) / 2


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function by its continued fraction (Lentz; Numerical Recipes 6.4)."""
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(
        a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    )
    tiny = 1e-300
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    total = d
    for m in range(1, 500):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + step * d
            d = 1 / (d if abs(d) > tiny else tiny)
            c = 1 + step / c
            c = c if abs(c) > tiny else tiny
            total *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * total / a
