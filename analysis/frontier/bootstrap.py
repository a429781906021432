"""The non-dominated set of every redraw, exactly, without sorting what cannot be in it.

Of 10^5 configurations few can win a redraw. A staircase of the best adoption up to each D, taken from the
likeliest winners of each draw, shows of almost all others that they are dominated; single precision with a
margin is enough for that. What is left is computed in double precision and sorted. The result is that of
sorting everything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from analysis.frontier.bootstrap_data import BootstrapData, Part
from analysis.frontier.non_dominated import DECIMALS
from analysis.stats.draws import Draws
from beliefmod.metrics.intervals import Array

BINS = 1024  # steps of the staircase that screens; a power of two, so that D * BINS is exact
MARGIN = 1e-5  # far above the error of single precision, in units of adoption and of D
FIRST = 2048  # likeliest winners, which make the staircase
PILOT = 64  # draws that tell who is likely to win
TALL, WIDE = 64, 2048  # draws and configurations in hand at once; half of either is slower, measured
TICK = 10**DECIMALS  # values are compared as whole numbers of 1e-9: last bits are ties
SPAN = 4 * TICK  # distance of two draws laid out on one axis
NEVER = -1e9

Rows = NDArray[np.intp]
NONE = np.empty(0, np.intp)


@dataclass(frozen=True)
class BootstrapFrontier:
    """What the redraws gave.

    wins: in how many draws each configuration is non-dominated, [configurations].
    tops: in how many it has the highest adoption of those with D <= limit, ties to the lower D.
    best: best adoption with D <= grid, [draws, grid]; -inf where no configuration is.
    under: best adoption with D <= limit, [draws].
    volume: hypervolume against adoption 0 and D 1, [draws].
    """

    wins: NDArray[np.int64]
    tops: NDArray[np.int64]
    best: Array
    under: Array
    volume: Array


def bootstrap_frontier(
    found: BootstrapData, draws: Draws, grid: Array, limit: float, threads: int | None = None
) -> BootstrapFrontier:
    """Run all redraws; `grid` holds rising values of D, `limit` the budget.

    Every configuration needs all parts, without NaN. The result does not depend on `threads` (default: the
    cores, at most 8).
    """
    blocks = [slice(i, min(i + TALL, draws.count)) for i in range(0, draws.count, TALL)]
    lean = draws.weights.astype(np.float32)
    with ThreadPoolExecutor(threads or min(8, os.cpu_count() or 1)) as pool:

        def each(job: Callable, items: Iterable) -> list:
            return list(pool.map(job, items))

        first, rest = _favourites(found, draws, lean, blocks, each)
        near, light = found.take(first), found.lean()

        def run(at: slice) -> Swept:
            stair, known = _open(near, draws, first, at)
            alive = [piece.alive(draws, lean, stair, at) for piece in rest]
            more = _screen(light, np.concatenate([*alive, NONE]), draws, lean, stair, at)
            return _sweep(_joined(found, draws, known, more), at, grid, limit)

        last = each(run, blocks)
    wins = np.bincount(np.concatenate([block.wins for block in last]), minlength=found.size)
    tops = np.bincount(np.concatenate([block.tops for block in last]), minlength=found.size)
    best, under = np.concatenate([b.best for b in last]), np.concatenate([b.under for b in last])
    return BootstrapFrontier(wins, tops, best, under, np.concatenate([block.volume for block in last]))


@dataclass(frozen=True)
class Piece:
    """Some configurations with the component of D that is worst where every family counts once."""

    rows: Rows
    adoption: Part
    worst: Part
    share: NDArray[np.float32]

    def without(self, chosen: NDArray[np.bool_]) -> Piece:
        """The piece less the chosen configurations."""
        keep = np.flatnonzero(~chosen[self.rows])
        return Piece(self.rows[keep], self.adoption.take(keep), self.worst.take(keep), self.share[keep])

    def alive(self, draws: Draws, lean: NDArray, stair: NDArray, at: slice) -> Rows:
        """Those that this component alone does not show to be dominated in each of these draws."""
        return self.rows[self.left(draws, lean, stair, at).any(axis=0)]

    def left(self, draws: Draws, lean: NDArray, stair: NDArray, at: slice) -> NDArray[np.bool_]:
        """In which draws each is not shown to be dominated, [draws, configurations]."""
        seeds = [often.astype(np.float32) for often in draws.of(at, self.rows)]
        adoption = self.adoption.of(lean[at], seeds, self.share)
        # D is at least this
        return adoption >= _height(stair, self.worst.of(lean[at], seeds, self.share))


def _favourites(
    found: BootstrapData, draws: Draws, lean: NDArray, blocks: Sequence[slice], each: Callable
) -> tuple[Rows, list[Piece]]:
    """The likeliest winners, and all others in pieces: whoever survives most draws of a pilot comes first."""
    once = np.ones((1, len(found.clusters)))
    seeds = found.once
    adoption = found.adoption.of(once, seeds, found.share)[0]
    damages = np.stack([part.of(once, seeds, found.share)[0] for part in found.components.values()])
    if found.size <= FIRST:
        return np.arange(found.size), []
    worst, damage = damages.argmax(axis=0), np.maximum(0, damages.max(axis=0))
    # how far below the staircase of the plain shares; the frontier itself lies above it
    depth = _height(_stair(adoption[None], damage[None]), damage[None])[0] - adoption
    first = np.argsort(depth, kind="stable")[:FIRST]
    near, parts = found.take(first), list(found.components.values())
    pieces = []
    for index, part in enumerate(parts):
        rows = np.flatnonzero(worst == index)
        for i in range(0, len(rows), WIDE):
            some = rows[i : i + WIDE]
            share = found.share[some].astype(np.float32)
            pieces.append(Piece(some, found.adoption.take(some).lean(), part.take(some).lean(), share))
    survived = np.zeros(found.size)
    for at in blocks[: PILOT // TALL]:
        stair = _open(near, draws, first, at)[0]
        left = each(partial(Piece.left, draws=draws, lean=lean, stair=stair, at=at), pieces)
        for piece, drawn in zip(pieces, left, strict=True):
            survived[piece.rows] += drawn.sum(axis=0)
    first = np.argsort(-survived, kind="stable")[:FIRST]
    chosen = np.zeros(found.size, bool)
    chosen[first] = True
    return first, [piece.without(chosen) for piece in pieces]


@dataclass(frozen=True)
class Pairs:
    """Configurations `rows` in draws `draws`, with adoption and D there; all [pairs]."""

    rows: Rows
    draws: Rows
    adoption: Array
    damage: Array


def _stair(adoption: NDArray, damage: NDArray) -> NDArray[np.float32]:
    """A little less than the best adoption with D <= step / BINS, [draws, BINS + 1]; NEVER without any."""
    stair = np.full((len(adoption), BINS + 1), NEVER, np.float32)
    steps = np.ceil(damage * BINS).astype(np.intp)
    steps += np.arange(len(adoption))[:, None] * (BINS + 1)
    np.maximum.at(stair.ravel(), steps.ravel(), (adoption - 2 * MARGIN).astype(np.float32).ravel())
    return np.maximum.accumulate(stair, axis=1, out=stair)


def _height(stair: NDArray[np.float32], damage: NDArray) -> NDArray[np.float32]:
    """The staircase [draws, BINS + 1] at a little less than `damage` [draws, configurations], not below 0."""
    steps = damage * BINS
    steps -= MARGIN * BINS
    np.maximum(steps, 0, out=steps)
    place = steps.astype(np.intp)
    place += np.arange(len(stair))[:, None] * (BINS + 1)
    return stair.ravel().take(place)


def _open(near: BootstrapData, draws: Draws, first: Rows, at: slice) -> tuple[NDArray[np.float32], Pairs]:
    """The staircase of the likeliest winners in some draws, and those of them that it does not rule out."""
    adoption, damage = near.measure(draws.weights[at], draws.of(at, first))
    stair = _stair(adoption, damage)
    draw, row = np.nonzero(adoption >= _height(stair, damage))
    return stair, Pairs(first[row], draw + at.start, adoption[draw, row], damage[draw, row])


def _screen(
    light: BootstrapData, rows: Rows, draws: Draws, lean: NDArray, stair: NDArray, at: slice
) -> tuple[Rows, Rows]:
    """Of these configurations, the pairs with a draw that the whole D does not rule out either."""
    kept: list[tuple[Rows, Rows]] = [(NONE, NONE)]
    for i in range(0, len(rows), WIDE):
        some = rows[i : i + WIDE]
        seeds = [often.astype(np.float32) for often in draws.of(at, some)]
        adoption, damage = light.take(some).measure(lean[at], seeds)
        draw, row = np.nonzero(adoption >= _height(stair, damage))
        kept.append((some[row], draw + at.start))
    return np.concatenate([pair[0] for pair in kept]), np.concatenate([pair[1] for pair in kept])


def _joined(found: BootstrapData, draws: Draws, known: Pairs, more: tuple[Rows, Rows]) -> Pairs:
    """The known pairs and the screened ones, these in double precision."""
    rows, at = more
    adoption, damage = found.pairs(draws.weights, draws.at(at, rows), rows, at)
    return Pairs(
        np.concatenate([known.rows, rows]),
        np.concatenate([known.draws, at]),
        np.concatenate([known.adoption, adoption]),
        np.concatenate([known.damage, damage]),
    )


@dataclass(frozen=True)
class Swept:
    """`BootstrapFrontier` for a block of draws; `wins` and `tops` list configurations, once per draw."""

    wins: Rows
    tops: Rows
    best: Array
    under: Array
    volume: Array


def _sweep(pairs: Pairs, at: slice, grid: Array, limit: float) -> Swept:
    """Sort every draw by D, best adoption first; a point wins if it adopts more than all before it."""
    count = at.stop - at.start
    draw = (pairs.draws - at.start).astype(np.int64)
    up = np.rint(pairs.adoption * TICK).astype(np.int64)
    order = np.lexsort((-up, across := draw * SPAN + np.rint(pairs.damage * TICK).astype(np.int64)))
    draw, across = draw[order], across[order]
    # draws lie one above the other too, so that one running maximum serves all
    lifted = up[order] + draw * SPAN
    top = np.maximum.accumulate(lifted)
    fresh = np.ones(len(order), bool)
    fresh[1:] = (np.diff(lifted) != 0) | (np.diff(across) != 0)
    leads = fresh.copy()
    leads[1:] &= lifted[1:] > top[:-1]
    # the duplicates of a winner follow it directly
    wins = leads[np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0))]

    def reach(budget: Array) -> tuple[NDArray[np.int64], Array]:
        """Of every draw, the height of the staircase at each budget; lifted, and as adoption."""
        floor = np.arange(count)[:, None] * SPAN
        place = np.searchsorted(across, floor + np.rint(budget * TICK).astype(np.int64) + 1, side="right")
        height = np.concatenate([[-1], top])[place]
        return height, np.where(height >= floor, (height - floor) / TICK, -np.inf)

    height, under = reach(np.array([limit]))
    ends = np.arange(count) * SPAN + int(np.rint(limit * TICK)) + 1
    tops = wins & (across <= ends[draw]) & (lifted == height[draw, 0])
    # widths and heights unrounded: ticks are for comparing only
    steps = np.flatnonzero(leads)
    across_of, height_of = pairs.damage[order][steps], pairs.adoption[order][steps]
    ahead = np.ones(len(steps))
    same = draw[steps][1:] == draw[steps][:-1]
    ahead[:-1][same] = across_of[1:][same]
    volume = np.bincount(draw[steps], weights=height_of * (ahead - across_of), minlength=count)
    rows = pairs.rows[order]
    return Swept(rows[wins], rows[tops], reach(grid)[1], under[:, 0], volume.astype(np.float64))
