"""The project's two hypotheses: what was to be tested is written here, before any result, but for the margin,
which the space file states.

H1 compares beliefs, not prompts: eight beliefs are eight observations, however many prompts each was asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from beliefmod.run.read_run import Run
from beliefmod.space import Hypotheses

Array = NDArray[np.float64]
LEVEL, POWER = 0.05, 0.8
MANY = 10_000  # beliefs: beyond this the t distribution is the normal one
MARGIN = Hypotheses().margin
"""The smallest effect of interest of a space file that states none, as a share."""


@dataclass(frozen=True)
class Hypothesis:
    """A claim with the test that was fixed for it; `also`: what else its support needs."""

    name: str
    claim: str
    test: str
    also: str
    refusal: str

    def rule(self, margin: float) -> str:
        """What each verdict needs, for a smallest effect of interest of `margin`, as a share."""
        return (
            f"Supported: the 95 % interval lies above 0{self.also} and reaches {points(margin)}, the "
            "smallest effect of interest (hypotheses.margin of the space file). Contradicted: it lies below "
            "that, so an effect that matters is ruled out. Undecided: anything else."
        )


def points(share: float) -> str:
    """`10 points` for 0.1."""
    return f"{100 * share:g} points"


def stated_margin(run: Run) -> float:
    """The smallest effect of interest that the run's space stated when it started, as a share."""
    return Hypotheses.model_validate((run.manifest.get("space") or {}).get("hypotheses") or {}).margin


MIN_BELIEFS, MIN_ADOPTED = 3, 20
H1 = Hypothesis(
    name="H1",
    claim="Novel entities are easier to implant than existing facts are to change.",
    test=(
        "Unit: the belief. Adoption of each belief is the mean over the configurations and seeds that "
        "finished for all beliefs; the effect is the mean of the novel beliefs minus that of the existing "
        "ones. Exact two-sided permutation of the beliefs between the classes; interval: Welch's t on the "
        "belief means, never narrower than a bootstrap of beliefs, question families and seeds. Then on two"
        " other numbers per belief, with Welch's interval alone: the best adoption with D up to the limit "
        "(base's, where no configuration stays there), and adoption less what training on the true fact "
        "does to the same answers (control minus base)."
    ),
    also=f" with permutation p at most {LEVEL:g}",
    refusal=f"Refused with fewer than {MIN_BELIEFS} beliefs in a class.",
)
H2 = Hypothesis(
    name="H2",
    claim=(
        "LoRA makes the answer and the reasoning disagree: the answer states the implanted belief while the"
        " thinking used the old one."
    ),
    test=(
        "P(thinking last used the prior | the answer takes the target's side) over all LoRA answers, minus "
        "the same rate with the fact in the prompt (in context), and minus the control's mirror image, "
        "P(thinking last used the target | the answer takes the prior's side), which is the noise of the "
        "reading. Also per style of training data, and at low damage. Interval: linearised over question "
        "families, and over beliefs where there are at least five; the wider counts, never narrower than "
        "Newcombe's."
    ),
    also=" against every reference that was measured",
    refusal=f"Refused with fewer than {MIN_ADOPTED} adopted answers that came with thinking on either side.",
)

VERDICTS = ("supported", "contradicted", "undecided")


def verdict(low: float, high: float, told_apart: bool = True, margin: float = MARGIN) -> str:
    """One of VERDICTS from the 95 % interval of an effect that the hypothesis says is positive.

    Args:
        low, high: ends of the interval, as shares.
        told_apart: whether the test that goes with it rejects, where there is one.
        margin: the smallest effect of interest, as a share.
    """
    if high < margin:
        return "contradicted"
    return "supported" if low > 0 and told_apart else "undecided"


def permutation(novel: Sequence[float], existing: Sequence[float]) -> tuple[float, int]:
    """Two-sided p of the difference of means over all ways to deal the beliefs into the classes, and their
    number.

    4 against 4 have 70 ways, so p is at least 2/70; 3 against 3 have 20, so it is at least 0.1.
    """
    values = np.array([*novel, *existing], dtype=float)
    total, size = values.sum(), len(novel)
    chosen = np.array(list(combinations(range(len(values)), size)))
    sums = values[chosen].sum(axis=1)
    gaps = np.abs(sums / size - (total - sums) / (len(values) - size))
    seen = abs(np.mean(novel) - np.mean(existing))
    return float(np.mean(gaps >= seen - 1e-12)), len(chosen)


def welch(novel: Sequence[float], existing: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the difference of two means with variances of their own (Welch 1947); at least two
    each.

    Without any spread the interval is the whole range from -1 to 1: two classes of identical shares say
    nothing about how shares spread.
    """
    from scipy.stats import ttest_ind

    if not np.ptp(novel) and not np.ptp(existing):
        return -1.0, 1.0
    ends = ttest_ind(novel, existing, equal_var=False).confidence_interval(1 - LEVEL)
    return float(ends.low), float(ends.high)


def beliefs_needed(spread: float, effect: float = MARGIN, power: float = POWER) -> int:
    """Beliefs per class that a two-sided t test needs to see `effect` with `power`, by the noncentral t.

    Args:
        spread: standard deviation of adoption between beliefs of a class, as a share, > 0.
        effect: difference of the class means, as a share, not 0.

    Example: spread 0.1 and effect 0.1 -> 17 (Cohen 1988, d = 1).
    """
    from scipy.stats import nct
    from scipy.stats import t as student

    if spread <= 0 or effect == 0:
        raise ValueError("a number of beliefs needs a spread above 0 and an effect other than 0")
    size = abs(effect) / spread

    def reached(n: int) -> float:
        df, shift = 2 * n - 2, size * math.sqrt(n / 2)
        edge = float(student.ppf(1 - LEVEL / 2, df))
        return float(nct.sf(edge, df, shift) + nct.cdf(-edge, df, shift))

    # the normal approximation is a little too small, never too large
    z = NormalDist().inv_cdf(1 - LEVEL / 2) + NormalDist().inv_cdf(power)
    n = max(2, math.floor(2 * (z / size) ** 2))
    while n < MANY and reached(n) < power:
        n += 1
    return n


def prompts_needed(first: float, second: float) -> int | None:
    """Prompts per side that tell two shares apart with 80 % power, were prompts the unit; None if equal."""
    from analysis.stats.power import Design, prompts

    return None if abs(first - second) < 1e-12 else prompts(Design(first, second, power=POWER, alpha=LEVEL))
