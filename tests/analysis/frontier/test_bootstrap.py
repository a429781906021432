"""The race of redraws against the definition, draw by draw, and its hypervolume against pymoo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pymoo.indicators.hv import HV
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

import analysis.frontier.bootstrap as racing
from analysis.frontier.bootstrap import bootstrap_frontier
from analysis.frontier.bootstrap_data import BootstrapData, Part, saturate
from analysis.stats.draws import Draws, redraw

GRID = np.array([0.0, 0.01, 0.05, 0.1, 0.3, 1.0])


def random_arena(
    seed: int, size: int, seeds: int = 1, alike: bool = True, per_family: int = 3, drift: bool = True
) -> BootstrapData:
    """Configurations whose few questions make ties and duplicates common."""
    rng = np.random.default_rng(seed)
    clusters = (*(f"belief/{i}" for i in range(4)), *(f"capability/{i}" for i in range(3)))
    clusters += ("robustness/x", *(f"neutral/{i}" for i in range(5)))
    belief, skill, every, text = np.arange(4), np.arange(4, 7), np.arange(8), np.arange(8, 13)
    counts = rng.integers(1, seeds + 1, size)
    real = np.arange(seeds)[:, None] < counts
    gentle = rng.random(size) ** 3

    def values(columns: NDArray, chance: NDArray) -> NDArray:
        hits = rng.binomial(per_family, np.clip(chance, 0, 1)[None, :, None], (seeds, size, len(columns)))
        return np.where(real[:, :, None], hits, 0).astype(np.float32)

    def asked(columns: NDArray) -> NDArray:
        if alike:
            return np.full(len(columns), per_family, float)
        more = rng.integers(per_family, per_family + 3, (seeds, size, len(columns)))
        return np.where(real[:, :, None], more, 0).astype(float)

    def part(columns: NDArray, chance: NDArray, sign: int) -> Part:
        base = np.full(len(columns), per_family - 1, float), np.full(len(columns), per_family, float)
        ours = values(columns, chance)
        if alike:
            gap = np.where(real[:, :, None], sign * (base[0] - ours), 0).astype(np.float32)
            return Part(columns, gap, asked(columns), kind="gap")
        return Part(columns, ours, asked(columns), sign, base)

    parts = {"integrity": part(every, 1 - gentle, 1), "loop": part(every, gentle, -1)}
    parts["capability"] = part(skill, 1 - gentle / 2, 1)
    if drift:
        nats = np.round(rng.normal(gentle[:, None], 0.2, (seeds, size, 5)), 1) * real[:, :, None]
        parts["nll"] = Part(text, nats, np.ones(5), kind="nll")
        parts["kl"] = Part(text, np.abs(nats), np.ones(5), kind="kl")
    adoption = Part(belief, values(belief, np.sqrt(gentle)), asked(belief))
    return BootstrapData(clusters, adoption, parts, counts)


def plainly(found: BootstrapData, draws: Draws) -> tuple[NDArray, NDArray]:
    """Adoption and D of every draw by loops over the definition, [draws, configurations]."""
    up, down = np.zeros((draws.count, found.size)), np.zeros((draws.count, found.size))
    for b in range(draws.count):
        for c in range(found.size):
            if draws.lists is None or draws.listed is None:
                often = np.ones(1)
            else:
                often = draws.listed[draws.lists[b, c]]
            assert often.sum() == found.seeds[c]

            def value(part: Part, b: int = b, c: int = c, often: NDArray = often) -> float:
                weights = draws.weights[b, part.clusters]
                asked = [part.asked if part.alike else part.asked[s, c] for s in range(len(often))]
                sums = [float(weights @ part.values[s, c].astype(float)) for s in range(len(often))]
                below = [float(weights @ each) for each in asked]
                if part.kind in ("nll", "kl"):
                    means = [x / n for x, n in zip(sums, below, strict=True)]
                    damage = [1 - np.exp(-m) if m >= 0 else -(1 - np.exp(m)) for m in means]
                    return float(np.dot(often, damage) / found.seeds[c])
                share = float(np.dot(often, sums) / np.dot(often, below))
                if part.base is not None:
                    share = part.sign * ((weights @ part.base[0]) / (weights @ part.base[1]) - share)
                return share

            up[b, c] = value(found.adoption)
            down[b, c] = max(0.0, *(value(part) for part in found.components.values()))
    return up, down


def brute(up: NDArray, down: NDArray) -> NDArray[np.bool_]:
    """By the definition, O(n^2): nobody is at least as good in both and better in one."""
    up, down = np.round(up, 9), np.round(down, 9)
    better = (up[:, None] >= up) & (down[:, None] <= down) & ((up[:, None] > up) | (down[:, None] < down))
    return ~better.any(axis=0)


def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so small that every stage has work."""
    for name, value in {"FIRST": 8, "PILOT": 4, "TALL": 2, "WIDE": 7, "BINS": 16}.items():
        monkeypatch.setattr(racing, name, value)


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("alike", [True, False])
@given(seed=st.integers(0, 10**6), size=st.integers(1, 40), limit=st.sampled_from([0.0, 0.05, 0.3]))
@settings(max_examples=20, deadline=None)
def test_same_as_the_definition(seeds: int, alike: bool, seed: int, size: int, limit: float) -> None:
    found = random_arena(seed, size, seeds, alike)
    draws = redraw(found.clusters, found.seeds, 7, seed)
    up, down = plainly(found, draws)
    with pytest.MonkeyPatch.context() as monkeypatch:
        small_steps(monkeypatch)
        raced = bootstrap_frontier(found, draws, GRID, limit, threads=2)
    flags = np.array([brute(a, d) for a, d in zip(up, down, strict=True)])
    assert raced.wins.tolist() == flags.sum(axis=0).tolist()
    up, down = np.round(up, 9), np.round(down, 9)
    for b in range(draws.count):
        for g, budget in enumerate(GRID):
            allowed = up[b][down[b] <= budget + 1e-9]
            assert raced.best[b, g] == pytest.approx(allowed.max() if len(allowed) else -np.inf, abs=1e-9)
    under = np.where(down <= limit + 1e-9, up, -np.inf)
    cost = np.where(under == under.max(axis=1, keepdims=True), down, np.inf)
    tops = (cost == cost.min(axis=1, keepdims=True)) & np.isfinite(under)
    assert raced.tops.tolist() == tops.sum(axis=0).tolist()


@given(seed=st.integers(0, 10**6), size=st.integers(2, 60))
@settings(max_examples=25, deadline=None)
def test_hypervolume_and_front_are_those_of_pymoo(seed: int, size: int) -> None:
    found = random_arena(seed, size)
    draws = redraw(found.clusters, found.seeds, 5, seed)
    raced = bootstrap_frontier(found, draws, GRID, 0.05)
    up, down = found.measure(draws.weights)
    wins = np.zeros(size, int)
    for b in range(5):
        points = np.stack([np.round(down[b], 9), -np.round(up[b], 9)], axis=1)
        wins[NonDominatedSorting().do(points, only_non_dominated_front=True)] += 1
        exact = HV(ref_point=np.array([1.0, 0.0]))(np.stack([down[b], -up[b]], axis=1))
        assert raced.volume[b] == pytest.approx(float(exact), abs=1e-12)
    assert raced.wins.tolist() == wins.tolist()


@pytest.mark.parametrize("seeds", [1, 2])
def test_screening_changes_nothing_at_full_size(seeds: int) -> None:
    """Thousands of configurations, so that the real block sizes are at work, against sorting everything."""
    found = random_arena(1, 6000, seeds, per_family=40)
    draws = redraw(found.clusters, found.seeds, 70)
    raced = bootstrap_frontier(found, draws, GRID, 0.05, threads=2)
    assert raced.wins.tolist() == bootstrap_frontier(found, draws, GRID, 0.05, threads=1).wins.tolist()
    up, down = found.measure(draws.weights, draws.of(slice(None), slice(None)))
    from analysis.frontier.non_dominated import non_dominated

    flags = np.array([non_dominated(a, d) for a, d in zip(up, down, strict=True)])
    assert raced.wins.tolist() == flags.sum(axis=0).tolist()
    assert 0 < raced.wins.sum() < flags.size / 50


def test_one_configuration_by_hand() -> None:
    """Adopts 6 of 8; loses 1 of 4 answers: D 0.25, hypervolume 0.75 * 0.75."""
    adoption = Part(np.array([0]), np.array([[[6.0]]]), np.array([8.0]))
    gap = Part(np.array([1]), np.array([[[1.0]]]), np.array([4.0]), kind="gap")
    found = BootstrapData(("belief/a", "capability/b"), adoption, {"capability": gap}, np.array([1]))
    raced = bootstrap_frontier(found, redraw(found.clusters, found.seeds, 3), np.array([0.2, 0.25]), 0.05)
    assert raced.volume.tolist() == [0.5625] * 3 and raced.wins.tolist() == [3]
    assert raced.best.tolist() == [[-np.inf, 0.75]] * 3
    assert raced.tops.tolist() == [0] and np.isneginf(raced.under).all()


@given(st.floats(-30, 30))
def test_saturation_is_the_schemas(nats: float) -> None:
    expected = 1 - np.exp(-nats) if nats > 0 else -(1 - np.exp(nats))
    assert saturate(np.array([nats]))[0] == pytest.approx(expected, abs=1e-15)


def test_draws_keep_strata_and_seeds() -> None:
    names = ("belief/a", "belief/b", "belief/c", "capability/x")
    draws = redraw(names, np.array([1, 2, 3]), 500)
    assert (draws.weights[:, :3].sum(axis=1) == 3).all() and (draws.weights[:, 3] == 1).all()
    often = np.stack(draws.of(slice(None), slice(None)))
    assert (often.sum(axis=0) == [1, 2, 3]).all()
    # each of 27 sequences equally likely: (3, 0, 0) in 1 of 27
    assert (often[0, :, 2] == 3).mean() == pytest.approx(1 / 27, abs=0.03)
    many = redraw(names, np.array([7]), 200)
    assert (np.stack(many.of(slice(None), slice(None))).sum(axis=0) == 7).all()
