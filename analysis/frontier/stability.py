"""How far the best configuration overpromises: picked on half of the question families, shown on the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.frontier.bootstrap_data import BootstrapData
from beliefmod.metrics.intervals import Array

AT_ONCE = 4_000_000  # pairs of a split and a configuration in memory


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
