"""Adoption and damage of every configuration as sums over question families, so that a redraw is a product.

A redraw says how often each family (or neutral passage) counts, the same for all configurations, and, where a
configuration ran with several seeds, how often each of its seeds counts. Adoption and the components of D are
then ratios of weighted sums (cluster bootstrap; Field & Welsh 2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from beliefmod.metrics.intervals import Array


@dataclass(frozen=True)
class Part:
    """Adoption, or one component of D, of every configuration.

    clusters: which clusters of the data it sums over, shape [f].
    values: shape [seeds, configurations, f]: successes; with `gap` what base has more of them; for drift the
        mean per token of each passage, in nats.
    asked: questions behind them, shape [f] if all configurations were asked alike, else as `values`.
    sign: +1 if more successes are better, -1 if they are worse.
    base: successes and questions of base, each [f], where these were not asked alike; else None.
    kind: share | gap (base's successes minus ours, asked alike, times sign) | nll | kl.
    """

    clusters: NDArray[np.intp]
    values: NDArray
    asked: NDArray
    sign: int = 1
    base: tuple[NDArray, NDArray] | None = None
    kind: str = "share"

    @property
    def alike(self) -> bool:
        """Whether all configurations were asked the same, so that one denominator serves all."""
        return self.asked.ndim == 1

    def lean(self) -> Part:
        """The part in single precision."""
        return replace(self, values=self.values.astype(np.float32), asked=self.asked.astype(np.float32))

    def take(self, rows: NDArray[np.intp] | slice) -> Part:
        """The part of some configurations."""
        asked = self.asked if self.alike else self.asked[:, rows]
        return replace(self, values=self.values[:, rows], asked=asked)

    def of(self, weights: NDArray, seeds: Sequence[NDArray], share: NDArray) -> NDArray:
        """The part's value for redraws: adoption, or damage before clipping.

        Args:
            weights: how often each cluster of the data counts, [draws, clusters].
            seeds: how often each seed counts, each [draws, configurations]; empty for one seed each.
            share: 1 / number of seeds, [configurations].

        Returns: [draws, configurations], in the precision of `weights`.
        """
        weights = weights[:, self.clusters]
        total = None
        if self.alike:
            total = (weights @ self.asked.astype(weights.dtype))[:, None]
            if weights.dtype == np.float32:
                # saves a pass over the result; in double precision whole numbers are divided once, at the end
                weights, total = weights / total, np.ones((1, 1), np.float32)
        found = below = None
        for s, values in enumerate(self.values[: len(seeds) or 1]):
            term = weights @ values.astype(weights.dtype, copy=False).T
            if self.kind in ("nll", "kl"):
                assert total is not None
                if weights.dtype != np.float32:
                    term /= total
                saturate(term, term)
            if seeds:
                term *= seeds[s]
            found = term if found is None else np.add(found, term, out=found)
            if not self.alike:
                asked = weights @ self.asked[s].astype(weights.dtype, copy=False).T
                if seeds:
                    asked *= seeds[s]
                below = asked if below is None else np.add(below, asked, out=below)
        assert found is not None
        if self.kind in ("nll", "kl"):
            return found * share if seeds else found
        if below is not None:
            # a draw in which nothing was asked counts as no success
            found /= np.maximum(below, 1)
        elif seeds or weights.dtype != np.float32:
            assert total is not None
            found /= total if not seeds else total / share
        if self.base is not None:
            hits, asked = (weights @ each.astype(weights.dtype) for each in self.base)
            found = self.sign * ((hits / np.maximum(asked, 1))[:, None] - found)
        return found

    def at(
        self, weights: Array, seeds: Sequence[Array], share: Array, rows: NDArray, draws: NDArray
    ) -> Array:
        """Adoption, or damage before clipping, of pairs of a configuration and a draw, [pairs].

        Args:
            seeds: how often each seed counts, each [pairs].
            share: 1 / number of seeds, [pairs].
        """
        drawn = weights[:, self.clusters]
        total = drawn @ self.asked if self.alike else None
        here = drawn[draws]
        found, below = np.zeros(len(rows)), np.zeros(len(rows))
        for s, values in enumerate(self.values[: len(seeds) or 1]):
            term = np.einsum("pf,pf->p", here, values[rows].astype(np.float64, copy=False))
            often = seeds[s] if seeds else 1.0
            if self.kind in ("nll", "kl"):
                assert total is not None
                term = saturate(term / total[draws])
            found += often * term
            if total is None:
                below += often * np.einsum("pf,pf->p", here, self.asked[s][rows])
        if self.kind in ("nll", "kl"):
            return found * share if seeds else found
        if total is not None:
            below = total[draws] / share if seeds else total[draws]
        found /= np.maximum(below, 1)
        if self.base is not None:
            base = (drawn @ self.base[0]) / np.maximum(drawn @ self.base[1], 1)
            found = self.sign * (base[draws] - found)
        return found


def saturate(nats: NDArray, out: NDArray | None = None) -> NDArray:
    """Nats per token to damage: 1 - exp(-x) for a rise, the negative mirror for a fall; within (-1, 1)."""
    return np.copysign(-np.expm1(-np.abs(nats)), nats, out=out)


@dataclass(frozen=True)
class BootstrapData:
    """The configurations of one belief.

    clusters: names STRATUM/FAMILY; families are redrawn within their stratum.
    adoption, components: see `Part`; all with the same configurations.
    seeds: number of seeds of every configuration, [configurations]; `values` beyond them are 0.
    """

    clusters: tuple[str, ...]
    adoption: Part
    components: dict[str, Part]
    seeds: NDArray[np.intp]

    @property
    def size(self) -> int:
        return len(self.seeds)

    def take(self, rows: NDArray[np.intp] | slice) -> BootstrapData:
        """The data of some configurations."""
        parts = {name: part.take(rows) for name, part in self.components.items()}
        return BootstrapData(self.clusters, self.adoption.take(rows), parts, self.seeds[rows])

    def lean(self) -> BootstrapData:
        """The data in single precision."""
        parts = {name: part.lean() for name, part in self.components.items()}
        return BootstrapData(self.clusters, self.adoption.lean(), parts, self.seeds)

    @cached_property
    def share(self) -> Array:
        """1 / number of seeds."""
        return 1 / self.seeds

    @property
    def once(self) -> list[Array]:
        """Every seed counted once, as `Draws.of` gives it for one draw."""
        most = int(self.seeds.max(initial=1))
        return [(self.seeds > s).astype(float)[None] for s in range(most)] if most > 1 else []

    def measure(self, weights: NDArray, seeds: Sequence[NDArray] = ()) -> tuple[NDArray, NDArray]:
        """Adoption and D for each redraw, both [draws, configurations]; see `Part.of`."""
        share = self.share.astype(weights.dtype)
        adoption = self.adoption.of(weights, seeds, share)
        damage = np.zeros_like(adoption)
        for part in self.components.values():
            # NaN stays: a D without one of its components is no D
            np.maximum(damage, part.of(weights, seeds, share), out=damage)
        return adoption, damage

    def pairs(
        self, weights: Array, seeds: Sequence[Array], rows: NDArray, draws: NDArray
    ) -> tuple[Array, Array]:
        """Adoption and D for pairs of a configuration and a draw, both [pairs]; see `Part.at`."""
        share = self.share[rows]
        adoption = self.adoption.at(weights, seeds, share, rows, draws)
        damage = np.zeros_like(adoption)
        for part in self.components.values():
            np.maximum(damage, part.at(weights, seeds, share, rows, draws), out=damage)
        return adoption, damage
