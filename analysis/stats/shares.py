"""Differences of two shares and their tests, two-sided.

Newcombe's interval and Fisher's exact test for independent shares; exact McNemar for two arms asked the same
questions; sign flips of families; Holm and Benjamini-Hochberg for many tests at once; refusals that say how
many prompts a claim would need.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.stats.power import Design, prompts
from beliefmod.metrics.intervals import newcombe


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
    """Two-sided p of the sum of `gaps` [families] when each sign is a coin toss; exact up to 14 families."""
    size = len(gaps)
    if size <= 14:
        signs = 1 - 2 * ((np.arange(2**size)[:, None] >> np.arange(size)) & 1)
        return float(np.mean(np.abs(signs @ gaps) >= abs(gaps.sum()) - 1e-9))
    signs = np.random.default_rng(3).choice([-1, 1], size=(draws, size))
    return float((1 + np.sum(np.abs(signs @ gaps) >= abs(gaps.sum()) - 1e-9)) / (draws + 1))


@dataclass(frozen=True)
class Refusal:
    """A claim that the data cannot carry. `needs` and `has` count `unit`; None where no number would do."""

    claim: str
    reason: str
    needs: int | None = None
    has: int | None = None
    unit: str = "prompts per arm"

    @property
    def text(self) -> str:
        """`Which adopts more cannot be said: ... (needs 42 prompts per arm, has 6).`"""
        amount = ""
        if self.needs is not None and self.has is not None:
            amount = f" (needs {self.needs:,} {self.unit}, has {self.has:,})"
        return f"{self.claim} cannot be said: {self.reason}{amount}."


def refuse_difference(
    claim: str, found: Difference, first: float, second: float, power: float = 0.8
) -> Refusal | None:
    """A refusal with the number of prompts per arm that the observed rates would need; None if told apart.

    Args:
        first, second: the two rates, 0 to 1. Equal ones get no number: none would be enough.
    """
    if found.told_apart:
        return None
    has = min(found.n)
    if first == second:
        return Refusal(claim, "the two rates are equal", None, has)
    needs = prompts(Design(first, second, power))
    # chance and clustering can hide a difference that so many independent prompts would have shown
    reason = "the difference is within what chance does"
    if needs <= has:
        return Refusal(claim, f"{reason}, families of questions counted", None, has)
    return Refusal(claim, reason, needs, has)


def adjusted(p: ArrayLike, method: str) -> NDArray[np.float64]:
    """p-values for many tests at once: `holm` (family-wise error) or `bh` (false discovery rate).

    Holm (1979), Benjamini & Hochberg (1995); NaN stays NaN and does not count as a test.

    Raises:
        ValueError: another method, or a p outside 0 to 1.
    """
    from statsmodels.stats.multitest import multipletests

    if method not in (names := {"holm": "holm", "bh": "fdr_bh"}):
        raise ValueError(f"no adjustment {method}; known: {', '.join(names)}")
    values = np.asarray(p, float)
    tested = ~np.isnan(values)
    if np.any((values[tested] < 0) | (values[tested] > 1)):
        raise ValueError("a p-value must lie between 0 and 1")
    result = np.full(values.shape, np.nan)
    if tested.any():
        result[tested] = multipletests(values[tested], method=names[method])[1]
    return result
