"""How many numbers of two trials are the same to the last stored digit, and whether chance gives that. Pure.

Seeds give other initial weights, examples and orders, so what two trials measure differs by far more than the
last digit, wherever training has moved it. What chance gives is counted in the run itself, between trials
that differ in seed and settings and that nobody would give out as each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MOVED = 1e-3
"""So far from what base gives, in nats or as a share of it where that is larger than one, a measured number
must be to count: an adapter that does next to nothing leaves every trial at base's numbers or a few of the
smallest steps beside them."""
SMALLEST = 1e-4
"""Below that, in nats, single precision has a few hundred different numbers: trials that have learned their
answers by heart meet there."""
LEAST_CHANCE = 0.01
"""Trials of one configuration are nearer to each other than those that chance is counted between; so likely
two equal numbers are taken to be at the least."""
UNKNOWN_CHANCE = 0.5
"""How likely two equal numbers are taken to be where the run has nothing to count chance between."""
CONFIDENCE = 0.999
IMPROBABLE = 1e-6
"""So improbable agreement must be, over all pairs that were looked at together, to be no chance."""
Key = tuple[Any, ...]
Numbers = Mapping[Key, float]


@dataclass(frozen=True)
class Alike:
    """`same` of `n` numbers are equal to the last digit."""

    same: int = 0
    n: int = 0

    def __add__(self, other: Alike) -> Alike:
        return Alike(self.same + other.same, self.n + other.n)


def alike(one: Numbers, two: Numbers) -> Alike:
    """How many numbers under the same key are equal."""
    both = one.keys() & two.keys()
    return Alike(sum(one[key] == two[key] for key in both), len(both))


def measured(rows: Iterable[Mapping[str, Any]], base: Mapping[Key, Mapping[str, Any]], key: tuple[str, ...],
             names: tuple[str, ...]) -> dict[Key, float]:  # fmt: skip
    """A trial's log-probabilities that training has moved, by `key` and name of the column."""
    found: dict[Key, float] = {}
    for row in rows:
        place = tuple(row[name] for name in key)
        was = base.get(place, {})
        for name in names:
            value, before = row[name], was.get(name)
            if value is not None and abs(value) >= SMALLEST and _moved(value, before):
                found[*place, name] = value
    return found


def losses(steps: Iterable[Mapping[str, Any]]) -> dict[Key, float]:
    """A trial's losses and gradient norms from the second step on, where the loss has moved.

    At the first step adapters do nothing yet, so seeds that begin with the same examples have one loss.
    """
    ordered = sorted(steps, key=lambda row: row["step"])
    first = ordered[0]["loss"] if ordered else None
    found: dict[Key, float] = {}
    for row in ordered[1:]:
        loss, norm = row["loss"], row["grad_norm"]
        if loss is None or first is None or abs(loss - first) < MOVED * abs(first):
            continue
        for name, value in (("loss", loss), ("grad_norm", norm)):
            if value is not None and abs(value) >= SMALLEST:
                found[row["step"], name] = value
    return found


def chance(between_others: Alike) -> float:
    """How likely two numbers are to be equal, at most (one-sided, at `CONFIDENCE`: Clopper and Pearson).

    >>> chance(Alike(0, 0)), chance(Alike(0, 10_000))
    (0.5, 0.01)
    """
    from scipy.stats import beta

    same, n = between_others.same, between_others.n
    if n == 0:
        return UNKNOWN_CHANCE
    most = 1.0 if same == n else float(beta.ppf(CONFIDENCE, same + 1, n - same))
    return max(LEAST_CHANCE, most)


def beyond_chance(found: Alike, between_others: Alike, comparisons: int) -> bool:
    """Whether so many equal numbers are too many for chance, `comparisons` having been made.

    >>> beyond_chance(Alike(40, 40), Alike(0, 500), 3), beyond_chance(Alike(1, 40), Alike(0, 500), 3)
    (True, False)
    """
    from scipy.stats import binom

    if not found.same:
        return False
    tail = float(binom.sf(found.same - 1, found.n, chance(between_others)))
    return tail * max(1, comparisons) < IMPROBABLE


def _moved(value: float, before: float | None) -> bool:
    return before is None or abs(value - before) >= MOVED * max(1.0, abs(before))
