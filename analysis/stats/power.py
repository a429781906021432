"""How many prompts a comparison of two adoption rates needs, and what a given number can show. Two-sided.

Two arms with prompts of their own: the z test with the pooled variance (Fleiss, Levin & Paik 2003, eq. 4.14,
without continuity correction). The same prompts in both arms: McNemar's test (Connor 1987). Prompts of one
family repeat each other, which costs 1 + (m - 1) * icc (Kish 1965).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

COUNTABLE = 1000  # prompts per arm up to which every outcome is counted


@dataclass(frozen=True)
class Design:
    """What is compared and how sure one wants to be.

    first, second: adoption rates, 0 to 1. power, alpha: strictly between 0 and 1. discordant: share of the
    prompts, 0 to 1, on which the arms disagree, when both are asked the same ones; None for prompts of their
    own. per_family, icc: prompts in a family (>= 1) and their intra-class correlation, 0 to 1.
    """

    first: float
    second: float
    power: float = 0.8
    alpha: float = 0.05
    discordant: float | None = None
    per_family: int = 1
    icc: float = 0.0

    @property
    def effect(self) -> float:
        """How much a family's prompts repeat each other: variance over that of independent prompts, >= 1."""
        return 1 + (self.per_family - 1) * self.icc


def _z(probability: float) -> float:
    return NormalDist().inv_cdf(probability)


def _spreads(design: Design) -> tuple[float, float]:
    """Standard deviation of the difference times root n: if there is none, and if there is this one."""
    one, two = design.first, design.second
    if design.discordant is not None:
        return math.sqrt(design.discordant), math.sqrt(max(0.0, design.discordant - (two - one) ** 2))
    middle = (one + two) / 2
    return math.sqrt(2 * middle * (1 - middle)), math.sqrt(one * (1 - one) + two * (1 - two))


def prompts(design: Design) -> int:
    """Prompts per arm that reach the power, the design effect of families included.

    Example: 5 against 17 % with power 80 % -> 106; 0 against 17 % -> 42; 17 against 30 % -> 166.

    Raises:
        ValueError: the rates are equal, so no number of prompts tells them apart.
    """
    gap = abs(design.second - design.first)
    if gap == 0:
        raise ValueError("equal rates cannot be told apart")
    null, other = _spreads(design)
    root = (_z(1 - design.alpha / 2) * null + _z(design.power) * other) / gap
    # a hair below a whole number is that number
    return max(2, math.ceil(root * root * design.effect - 1e-9))


def power(design: Design, n: float) -> float:
    """Chance, 0 to 1, that `n` prompts per arm (in families as designed) show the difference."""
    gap = abs(design.second - design.first)
    null, other = _spreads(design)
    reach = gap * math.sqrt(n / design.effect) - _z(1 - design.alpha / 2) * null
    if other == 0:
        return float(reach >= 0)
    return NormalDist().cdf(reach / other)


def detectable(design: Design, n: int) -> tuple[float | None, float | None]:
    """The nearest second rates below and above `first` that `n` prompts per arm tell apart from it.

    None where even 0 or 1 is too near. `second` and `discordant` of the design are not used: the prompts are
    taken as independent between arms.
    """

    def enough(second: float) -> bool:
        return power(_against(design, second), n) >= design.power

    found: list[float | None] = []
    for end in (0.0, 1.0):
        if not enough(end):
            found.append(None)
            continue
        near, far = design.first, end
        for _ in range(60):
            middle = (near + far) / 2
            near, far = (near, middle) if enough(middle) else (middle, far)
        found.append(far)
    return found[0], found[1]


def _against(design: Design, second: float) -> Design:
    return Design(design.first, second, design.power, design.alpha, None, design.per_family, design.icc)


def independent_discordance(first: float, second: float) -> float:
    """Share of prompts on which two arms disagree if each answers without regard to the other."""
    return first * (1 - second) + second * (1 - first)


def problems(design: Design) -> list[str]:
    """What is wrong with a design, in sentences that name the option; empty if nothing is."""
    found = [
        f"{option} is {value:g}; give a rate from 0 to 1, such as 0.17"
        for option, value in (("--from", design.first), ("--to", design.second), ("--icc", design.icc))
        if not 0 <= value <= 1
    ]
    found += [
        f"{option} is {value:g}; give a share above 0 and below 1, such as {example}"
        for option, value, example in (("--power", design.power, 0.8), ("--alpha", design.alpha, 0.05))
        if not 0 < value < 1
    ]
    if design.per_family < 1:
        found.append(f"--per-family is {design.per_family}; a family has at least 1 prompt")
    if design.discordant is not None and not found:
        gap = abs(design.second - design.first)
        most = min(design.first + design.second, 2 - design.first - design.second)
        if not gap - 1e-12 <= design.discordant <= most + 1e-12:
            found.append(
                f"--discordant is {design.discordant:g}; rates of {design.first:g} and {design.second:g} "
                f"leave room for {gap:g} to {most:g} of the prompts to be answered differently"
            )
    return found


def exact_power(design: Design, n: int) -> float:
    """Chance, 0 to 1, that the exact test of the report shows the difference: every outcome counted.

    Fisher's exact test for prompts of their own, exact McNemar for the same prompts; families count with
    their effective number of prompts, rounded down. Time grows with n squared.
    """
    import numpy as np
    from scipy.stats import binom, hypergeom

    size = max(1, int(n / design.effect + 1e-9))
    counts = np.arange(size + 1)
    total = 0.0
    if design.discordant is not None:
        # of the discordant prompts, this share goes to the second arm
        share = (design.discordant + design.second - design.first) / (2 * design.discordant)
        for pairs, chance in enumerate(binom.pmf(counts, size, design.discordant)):
            wins = np.arange(pairs + 1)
            p = np.minimum(1.0, 2 * binom.cdf(np.minimum(wins, pairs - wins), pairs, 0.5))
            total += chance * binom.pmf(wins, pairs, share)[p <= design.alpha].sum()
        return float(total)
    ones, twos = binom.pmf(counts, size, design.first), binom.pmf(counts, size, design.second)
    for hits in range(2 * size + 1):
        first = np.arange(max(0, hits - size), min(hits, size) + 1)
        chance = hypergeom.pmf(first, 2 * size, size, hits)
        order = np.argsort(chance)
        # the p-value of an outcome: all outcomes that are no likelier; ties within rounding belong together
        p = np.cumsum(chance[order])[np.searchsorted(chance[order], chance * (1 + 1e-7), side="right") - 1]
        total += (ones[first] * twos[hits - first])[p <= design.alpha].sum()
    return float(total)


def sufficient_text(design: Design, n: int | None = None) -> str:
    """What `beliefmod power` prints for two rates: the number of prompts, or the power that `n` reach."""
    needed = prompts(design)
    paired = design.discordant is not None
    each = "asked of both arms" if paired else "per arm"
    test = "McNemar's test" if paired else "z test of two proportions with the pooled variance"
    what = f"{_percent(design.first)} from {_percent(design.second)}"
    lines = []
    if n is None:
        lines.append(f"{needed:,} prompts {each}")
        lines.append(
            f"To tell {what} with power {_percent(design.power)} at a two-sided level of "
            f"{_percent(design.alpha)}, {_plural(needed, 'prompt')} {each} {_are(needed)} needed ({test})."
        )
    else:
        reached = power(design, n)
        lines.append(f"power {_percent(reached)}")
        lines.append(
            f"{_plural(n, 'prompt')} {each} tell {what} in {_percent(reached)} of the cases in which that is "
            f"the truth, at a two-sided level of {_percent(design.alpha)} ({test}); "
            + (
                "that is enough."
                if n >= needed
                else f"power {_percent(design.power)} needs {needed:,} prompts {each}, there are {n:,}."
            )
        )
    if paired:
        lines.append(
            f"This takes the arms to disagree on {_percent(design.discordant or 0)} of the prompts; fewer "
            "disagreements need fewer prompts."
        )
    lines += _families_text(design, needed if n is None else n)
    at = needed if n is None else n
    if at <= COUNTABLE:
        name = "exact McNemar" if paired else "Fisher's exact test"
        lines.append(
            f"Every outcome counted, the report's own test ({name}), which never errs more often than the "
            f"level, has power {_percent(exact_power(design, at))} with {_plural(at, 'prompt')}."
        )
    return "\n".join(lines)


def smallest_text(design: Design, n: int) -> str:
    """What `beliefmod power` prints for one rate and `n`: the nearest rates that it can be told from."""
    low, high = detectable(design, n)
    first = _percent(design.first)
    ends = [f"{_percent(end)} or {word}" for end, word in ((low, "less"), (high, "more")) if end is not None]
    head = f"With {_plural(n, 'prompt')} per arm, power {_percent(design.power)} and a two-sided level of "
    head += _percent(design.alpha)
    if not ends:
        lines = ["nothing", f"{head}, no rate at all can be told from {first}."]
    else:
        gaps = [abs(end - design.first) for end in (low, high) if end is not None]
        lines = [
            f"smallest difference {_points(min(gaps))}",
            f"{head}, {first} can be told from {' and from '.join(ends)}; a smaller difference "
            "cannot be claimed.",
        ]
    return "\n".join(lines + _families_text(design, n))


def _families_text(design: Design, n: int) -> list[str]:
    if design.per_family == 1:
        return []
    families = math.ceil(n / design.per_family)
    return [
        f"Families of {design.per_family} prompts that repeat each other by {design.icc:g} have a design "
        f"effect of {design.effect:.3g}: {_plural(n, 'prompt')} ({families:,} families) are worth "
        f"{math.floor(n / design.effect + 1e-9):,} independent ones."
    ]


def _percent(share: float) -> str:
    text = f"{100 * share:.1f}".removesuffix(".0") if 0.001 <= share <= 0.999 else f"{100 * share:.3g}"
    return f"{text} %"


def _points(share: float) -> str:
    return f"{_percent(share).removesuffix(' %')} points"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
