"""How sure a frontier is: its band, who stays on it, its hypervolume, and whom to take under a budget.

Everything comes from redrawing question families, neutral passages and, where there are several, seeds
(`stats.draws`), with the whole choice made anew in every redraw. Each redraw picks its own winners among
noisy numbers, so the band lies a little above what the same configurations would show on new questions; the
chosen one's price for that is measured apart, by choosing on half of the families (`cross_picked`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.frontier.bootstrap import bootstrap_frontier
from analysis.frontier.bootstrap_data import BootstrapData
from analysis.frontier.non_dominated import DECIMALS, non_dominated
from analysis.frontier.tallies import Built
from analysis.stats.draws import redraw
from beliefmod.metrics.intervals import DRAWS, Array

GRID = np.round(np.arange(0, 101) / 100, 2)
KEEPS = 0.8  # chance to keep the budget below which a recommendation is refused
AT_ONCE = 4_000_000  # pairs of a split and a configuration in memory
FEWEST = 6  # families of held-out questions below which nothing is recommended
RIVAL = 0.05  # chance to be the best from which a configuration counts as a rival


@dataclass(frozen=True)
class Span:
    """A number and the 2.5 % and 97.5 % points of its redraws."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Band:
    """Best adoption with D <= grid: observed, and the 2.5, 50 and 97.5 % points of the redraws.

    All of shape [grid], NaN where nothing stands under that D (for a percentile: in so many redraws).
    """

    grid: Array
    observed: Array
    low: Array
    middle: Array
    high: Array


@dataclass(frozen=True)
class Recommended:
    """The highest adoption with D <= limit, ties to the lower D, and how sure that is.

    row: its place among the groups. best: share of redraws in which nobody under the budget is better.
    keeps: share of redraws in which its own D keeps the budget. rivals: how many others are the best in at
    least 5 % of redraws. refusal: why it should not be relied on, or None.
    """

    row: int
    limit: float
    adoption: Span
    damage: Span
    best: float
    keeps: float
    rivals: int
    refusal: str | None


@dataclass(frozen=True)
class Certainty:
    """One belief's frontier with its uncertainty; see the module.

    stays: chance of being non-dominated, tops: chance of being the best under the budget, both per group, NaN
    for those that lack a component. pick: a sentence where no configuration stays under the budget.
    absent: components of D that were not measured; incomplete: configurations left out for that.
    """

    draws: int
    families: int
    seeds: tuple[int, int]
    band: Band
    stays: Array
    tops: Array
    volume: Span
    pick: Recommended | str
    absent: tuple[str, ...]
    incomplete: int


def certainty(
    built: Built, groups: int, limit: float, draws: int = DRAWS, seed: int = 1, threads: int | None = None
) -> Certainty:
    """Redraw the frontier.

    Args:
        built: the bootstrap data of the configurations (`tallies.build`).
        groups: how many configurations it was built from.
        limit: the budget, the highest D allowed.
    """
    data = built.data
    drawn = redraw(data.clusters, data.seeds, draws, seed)
    raced = bootstrap_frontier(data, drawn, GRID, limit, threads)
    once = np.ones((1, len(data.clusters)))
    adoption, damage = (np.round(values[0], DECIMALS) for values in data.measure(once, data.once))
    observed = np.array([_best(adoption, damage, d) for d in GRID])
    stays, tops = np.full(groups, np.nan), np.full(groups, np.nan)
    stays[built.rows], tops[built.rows] = raced.wins / draws, raced.tops / draws
    low, middle, high = (_point(raced.best, q) for q in (0.025, 0.5, 0.975))
    volume = Span(_volume(adoption, damage), *_ends(raced.volume))
    families = sum(name.startswith("belief/") for name in data.clusters)
    under = np.flatnonzero(damage <= limit + 1e-9)
    pick: Recommended | str
    if not len(under):
        pick = f"Which configuration to take cannot be said: none stays at D ≤ {limit:g}."
    else:
        row = under[np.lexsort((damage[under], -adoption[under]))[0]]
        up, down = _redrawn(data, int(row), drawn.of(slice(None), slice(row, row + 1)), drawn.weights)
        kept = down <= limit + 1e-9
        keeps = float(kept.mean())
        others = np.delete(raced.tops / draws, row)
        span = Span(float(damage[row]), *_ends(down))
        pick = Recommended(
            row=int(built.rows[row]),
            limit=limit,
            adoption=Span(float(adoption[row]), *_ends(up)),
            damage=span,
            best=float((kept & (up >= raced.under - 1e-9)).mean()),
            keeps=keeps,
            rivals=int((others >= RIVAL).sum()),
            refusal=_thin(families, keeps, span, limit),
        )
    return Certainty(
        draws=draws,
        families=families,
        seeds=(int(data.seeds.min()), int(data.seeds.max())),
        band=Band(GRID, observed, low, middle, high),
        stays=stays,
        tops=tops,
        volume=volume,
        pick=pick,
        absent=built.absent,
        incomplete=built.incomplete,
    )


def _thin(families: int, keeps: float, damage: Span, limit: float) -> str | None:
    """Why the evidence for a recommendation is thin, as a sentence; None if it is not."""
    if families < FEWEST:
        return (
            "That it is the one to take cannot be said: redrawing says little about so few (needs "
            f"{FEWEST} question families, has {families})."
        )
    if keeps >= KEEPS:
        return None
    refused = f"That it stays at D ≤ {limit:g} cannot be said: its D breaks that limit in "
    refused += f"{100 * (1 - keeps):.0f} % of redraws"
    spread, room = (damage.high - damage.low) / 2, limit - damage.value
    if room > 0 and spread > 0:
        # the interval shrinks with the root of the number of families
        needs = int(np.ceil(families * max(1.0, spread / room) ** 2))
        if needs > families:
            refused += (
                f" (for D to be told to stay below the limit, about {needs:,} question families like "
                f"these would be needed; there are {families:,})"
            )
    return f"{refused}."


def _redrawn(data: BootstrapData, row: int, seeds: list[Array], weights: Array) -> tuple[Array, Array]:
    up, down = data.take(np.array([row])).measure(weights, seeds)
    found = np.stack([up[:, 0], down[:, 0]]).astype(np.float64).round(DECIMALS)
    return found[0], found[1]


def _best(adoption: Array, damage: Array, limit: float) -> float:
    allowed = adoption[damage <= limit + 1e-9]
    return float(allowed.max()) if len(allowed) else float("nan")


def _volume(adoption: Array, damage: Array) -> float:
    """Area under the staircase of best adoption over D from 0 to 1."""
    on = non_dominated(adoption, damage)
    steps = np.unique(np.stack([damage[on], adoption[on]], axis=1), axis=0)
    widths = np.diff(np.append(steps[:, 0], 1.0))
    return float(steps[:, 1] @ widths)


def _point(drawn: Array, share: float) -> Array:
    """The quantile over draws [draws, grid], as one of the drawn values; NaN where that draw has none."""
    found = np.sort(drawn, axis=0)[int(np.ceil(share * len(drawn))) - 1]
    found[np.isneginf(found)] = np.nan
    return found


def _ends(drawn: NDArray) -> tuple[float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True)
class Picked:
    """What choosing the best on one half of the families promised, and what the other half showed.

    Means over random halves. `splits` counts the halves in which some configuration stood under the limit.
    """

    promised: float
    shown: float
    shown_damage: float
    broke_limit: float
    splits: int


def cross_picked(found: BootstrapData, limit: float, splits: int = 400) -> Picked | None:
    """Choose the best adoption under `limit` on half of the families, measure it on the other half.

    Neutral passages are halved too, seeds are not. None when the families do not split (fewer than four in
    the belief suite), or nothing stands under the limit.
    """
    if sum(name.startswith("belief/") for name in found.clusters) < 4:
        return None
    selection_split, others = _halves(found.clusters, splits)
    size = max(1, AT_ONCE // found.size)
    parts = [
        _pick(found, selection_split[i : i + size], others[i : i + size], limit)
        for i in range(0, splits, size)
    ]
    promised, shown, damage = (np.concatenate([part[k] for part in parts]) for k in range(3))
    if not len(promised):
        return None
    return Picked(
        promised=float(np.mean(promised)),
        shown=float(np.mean(shown)),
        shown_damage=float(np.mean(damage)),
        broke_limit=float(np.mean(damage > limit + 1e-9)),
        splits=len(promised),
    )


def _halves(clusters: Sequence[str], splits: int) -> tuple[Array, Array]:
    """Random halves of every stratum and the other halves, [splits, clusters] of 0 and 1."""
    rng = np.random.default_rng(2)
    strata = np.array([name.split("/", 1)[0] for name in clusters])
    chosen = np.zeros((splits, len(clusters)))
    lonely = np.zeros(len(clusters), bool)
    for stratum in np.unique(strata):
        at = np.flatnonzero(strata == stratum)
        # a stratum of one family cannot be split: both halves see it
        lonely[at] = len(at) == 1
        order = rng.permuted(np.tile(at, (splits, 1)), axis=1)
        np.put_along_axis(chosen, order[:, : max(1, len(at) // 2)], 1.0, axis=1)
    return chosen, np.where(lonely, 1.0, 1.0 - chosen)


def _pick(found: BootstrapData, half: Array, other: Array, limit: float) -> tuple[Array, Array, Array]:
    """Adoption promised, adoption shown and damage shown, per split that has a configuration to pick."""
    up, down = found.measure(half, found.once)
    up_other, down_other = found.measure(other, found.once)
    allowed = np.where(down <= limit + 1e-9, up, -np.inf)
    usable = np.flatnonzero(np.isfinite(allowed.max(axis=1)))
    best = allowed[usable].argmax(axis=1)
    return up[usable, best], up_other[usable, best], down_other[usable, best]
