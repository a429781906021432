"""How much of a frontier is luck: which configurations stay on it, and how far the best one overpromises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.frontier import non_dominated
from analysis.resample import Array, Counts, adoption_hits, counts, family_draws


@dataclass(frozen=True)
class Arena:
    """Adoption and damage counts of the LoRA configurations of one belief, with base's counts to compare to.

    components: name -> (counts of the configurations, counts of base, +1 when more is better else -1).
    """

    adoption: Counts
    components: dict[str, tuple[Counts, Counts, int]]

    def measure(self, keep: dict[str, Array], kept_adoption: Array) -> tuple[Array, Array]:
        """Adoption and D for each draw of families, both [draws, configurations]."""
        worst = None
        for name, (ours, base, sign) in self.components.items():
            weights = keep[name]
            gap = sign * (base.share(weights) - ours.share(weights))
            worst = gap if worst is None else np.fmax(worst, gap)
        adoption = self.adoption.share(kept_adoption)
        return adoption, np.maximum(0.0, worst if worst is not None else np.full_like(adoption, np.nan))


def arena(probes: pl.DataFrame, groups: Sequence[Sequence[str]], base: str | None) -> Arena | None:
    """Everything needed to redraw the frontier of one belief; None without base's probes."""
    if base is None or probes.filter(pl.col("trial_id") == base).is_empty():
        return None
    which, hit = adoption_hits()
    everything = (pl.col("tier") != "trained") | pl.col("tier").is_null()
    rules = {
        "integrity": (everything, pl.col("think_state") == "ok", 1),
        "truncation": (everything, pl.col("truncated"), -1),
        "loop": (everything, pl.col("loop"), -1),
        "capability": (pl.col("suite") == "capability", pl.col("correct"), 1),
    }
    components = {}
    for name, (rows, good, sign) in rules.items():
        ours = counts(probes, [*groups, [base]], rows, good)
        last = len(groups)
        if ours.families and ours.asked[last].sum() > 0:
            trained = Counts(ours.families, ours.hits[:last], ours.asked[:last])
            components[name] = (trained, ours.take(last), sign)
    return Arena(counts(probes, groups, which, hit), components)


def _weights(found: Arena, draw: Callable[[Sequence[str]], Array]) -> tuple[dict[str, Array], Array]:
    """One draw of families used by all components, so that a family counts alike everywhere."""
    names = tuple(
        sorted({*found.adoption.families, *(f for c, _, _ in found.components.values() for f in c.families)})
    )
    whole = draw(names)
    at = {name: i for i, name in enumerate(names)}

    def pick(families: Sequence[str]) -> Array:
        return whole[:, [at[name] for name in families]]

    return {name: pick(c.families) for name, (c, _, _) in found.components.items()}, pick(
        found.adoption.families
    )


def frontier_share(found: Arena, draws: int = 1000) -> Array:
    """In which share of redrawn question sets each configuration is non-dominated, shape [configurations]."""
    adoption, damage = found.measure(*_weights(found, lambda names: family_draws(names, draws, seed=1)))
    return np.mean([non_dominated(up, down) for up, down in zip(adoption, damage, strict=True)], axis=0)


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


def cross_picked(found: Arena, limit: float, splits: int = 400) -> Picked | None:
    """Choose the best adoption under `limit` on half of the families, measure it on the other half.

    None when the families do not split (fewer than four in the belief suite), or nothing stands under the
    limit.
    """
    if len(found.adoption.families) < 4:
        return None

    def halves(names: Sequence[str]) -> Array:
        rng = np.random.default_rng(2)
        suites = np.array([name.split("/", 1)[0] for name in names])
        chosen = np.zeros((splits, len(names)))
        for suite in np.unique(suites):
            at = np.flatnonzero(suites == suite)
            order = rng.permuted(np.tile(at, (splits, 1)), axis=1)
            half = len(at) // 2 if len(at) > 1 else 1
            np.put_along_axis(chosen, order[:, :half], 1.0, axis=1)
        return chosen

    def others(names: Sequence[str]) -> Array:
        first = halves(names)
        suites = np.array([name.split("/", 1)[0] for name in names])
        lonely = np.array([(suites == suite).sum() == 1 for suite in suites])
        # a suite of one family cannot be split: both halves see it
        return np.where(lonely, 1.0, 1.0 - first)

    up, down = found.measure(*_weights(found, halves))
    up_other, down_other = found.measure(*_weights(found, others))
    allowed = np.where(down <= limit + 1e-9, up, np.nan)
    usable = np.flatnonzero(~np.isnan(allowed).all(axis=1))
    if not len(usable):
        return None
    best = np.nanargmax(allowed[usable], axis=1)
    shown, shown_damage = up_other[usable, best], down_other[usable, best]
    return Picked(
        promised=float(np.mean(up[usable, best])),
        shown=float(np.nanmean(shown)),
        shown_damage=float(np.nanmean(shown_damage)),
        broke_limit=float(np.mean(shown_damage > limit + 1e-9)),
        splits=len(usable),
    )
