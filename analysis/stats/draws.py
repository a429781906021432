"""Which question families and which seeds each redraw of a run holds; fixed seeds, so that reports repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from beliefmod.metrics.intervals import DRAWS, Array, family_draws

EXHAUSTED = 5  # seeds up to which every redraw of seeds is listed
LISTED = 4096  # redraws of seeds listed beyond that


@dataclass(frozen=True)
class Draws:
    """Redraws of one data set.

    weights: how often each cluster counts, [draws, clusters]. listed: redraws of seeds, [lists, seeds];
    lists: which of them each configuration has, [draws, configurations]; both None if each has one seed.
    """

    weights: Array
    listed: Array | None = None
    lists: NDArray[np.uint16] | None = None

    @property
    def count(self) -> int:
        return len(self.weights)

    def of(self, draws: slice | NDArray, rows: slice | NDArray) -> list[Array]:
        """How often each seed counts for these draws and configurations: per seed [draws, configurations]."""
        if self.listed is None or self.lists is None:
            return []
        chosen = self.lists[draws][:, rows]
        return [column.take(chosen) for column in np.ascontiguousarray(self.listed.T)]

    def at(self, draws: NDArray, rows: NDArray) -> list[Array]:
        """How often each seed counts for pairs of a draw and a configuration: per seed [pairs]."""
        if self.listed is None or self.lists is None:
            return []
        chosen = self.lists[draws, rows]
        return [column.take(chosen) for column in np.ascontiguousarray(self.listed.T)]


def redraw(clusters: Sequence[str], seeds: NDArray[np.intp], draws: int = DRAWS, seed: int = 1) -> Draws:
    """Families drawn with replacement within their stratum, seeds within their configuration.

    Families are drawn once for all configurations, because all were asked the same; seeds for each
    configuration apart. The same numbers give the same draws.
    """
    weights = family_draws(clusters, draws, seed)
    most = int(seeds.max(initial=1))
    if most == 1:
        return Draws(weights)
    rng = np.random.default_rng((seed, 1))
    tables, starts, ends = [], np.zeros(most + 1, np.int64), np.zeros(most + 1, np.int64)
    for size in np.unique(seeds):
        if size <= EXHAUSTED:
            picks = np.array(list(product(range(size), repeat=int(size))))
        else:
            picks = rng.integers(0, size, (LISTED, size))
        table = np.stack([(picks == s).sum(axis=1) for s in range(most)], axis=1)
        starts[size] = sum(map(len, tables))
        ends[size] = starts[size] + len(table)
        tables.append(table)
    lists = rng.integers(starts[seeds], ends[seeds], (draws, len(seeds)), dtype=np.uint16)
    return Draws(weights, np.concatenate(tables).astype(np.float64), lists)
