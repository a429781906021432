"""The bootstrap of the frontier: 10^5 configurations, 2,000 redraws, against pymoo doing the same.

Ours: draws, then for every redraw the non-dominated set, the hypervolume, the best adoption on a grid of D
and under the budget. pymoo: the values of every configuration in a redraw (a numpy product in double
precision, timed apart), then non-dominated sorting and hypervolume, both of which it hands to the C library
moocore. pymoo runs on a few of the same redraws, and its time is scaled up. Rounds alternate; medians are
printed. The results are compared, not only timed.

    OMP_NUM_THREADS=1 python -m benchmarks.frontier_bootstrap --repeats 5

Set OMP_NUM_THREADS=1: the redraws have threads of their own, which those of the BLAS would only hinder.
"""

from __future__ import annotations

import resource
import time
from typing import Any

import numpy as np
from moocore import hypervolume, is_nondominated
from numpy.typing import NDArray
from pymoo.indicators.hv import HV
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from analysis.frontier.bootstrap import bootstrap_frontier
from analysis.frontier.bootstrap_data import BootstrapData, Part
from analysis.frontier.certainty import GRID
from analysis.stats.draws import Draws, redraw
from beliefmod.metrics.registry import DAMAGE_BUDGET
from benchmarks.harness import command_line, medians, print_table

FAMILIES = {"belief": 12, "locality": 6, "capability": 6, "fabrication": 4}
QUESTIONS = {"belief": 10, "locality": 5, "capability": 5, "fabrication": 5}
PASSAGES = 40
# component: how much of the damage shows in it
PARTS = {"integrity": 1.0, "truncation": 0.4, "loop": 0.5, "capability": 0.6, "fabrication": 0.4}


def make(size: int, seeds: int) -> BootstrapData:
    """A sweep: adoption and damage rise with the dose, half of the configurations are damaged anyway."""
    rng = np.random.default_rng(0)
    names = [f"{suite}/{i}" for suite, count in FAMILIES.items() for i in range(count)]
    strata = np.array([name.split("/")[0] for name in names])
    asked = np.array([QUESTIONS[stratum] for stratum in strata])
    dose, harsh = rng.uniform(-1, 4, size), rng.random(size) < 0.5
    damage = 1 / (1 + np.exp(-(dose - 2) * 2))
    damage = np.where(harsh, 0.25 + 0.7 * damage, damage)
    adoption = 0.9 / (1 + np.exp(-(dose - 0.7) * 2.2))
    tilt = rng.normal(0, 0.8, len(names))

    def hits(chance: NDArray, columns: NDArray) -> NDArray:
        odds = np.log(chance / (1 - chance))[:, None] + tilt[columns]
        odds = odds + rng.normal(0, 0.3, (seeds, size, len(columns)))
        return rng.binomial(asked[columns], 1 / (1 + np.exp(-odds))).astype(np.float32)

    belief = np.flatnonzero(strata == "belief")
    parts = {}
    for name, share in PARTS.items():
        columns = np.flatnonzero(strata == name) if name in FAMILIES else np.arange(len(names))
        base = rng.binomial(asked[columns], 0.03)
        worse = hits(np.clip(share * damage, 1e-3, 0.999), columns) - base
        parts[name] = Part(columns, worse.astype(np.float32), asked[columns].astype(float), kind="gap")
    neutral = np.arange(len(names), len(names) + PASSAGES)
    nats = np.abs(rng.normal(damage[:, None] / 2, 0.05, (seeds, size, PASSAGES)))
    parts["nll"] = Part(neutral, 0.8 * nats - 0.01, np.ones(PASSAGES), kind="nll")
    parts["kl"] = Part(neutral, nats, np.ones(PASSAGES), kind="kl")
    clusters = (*names, *(f"neutral/{i}" for i in range(PASSAGES)))
    whole = Part(belief, hits(adoption, belief), asked[belief].astype(float))
    return BootstrapData(clusters, whole, parts, np.full(size, seeds))


def few(draws: Draws, count: int) -> Draws:
    """The first draws."""
    return Draws(draws.weights[:count], draws.listed, None if draws.lists is None else draws.lists[:count])


def timed(job, *arguments):
    """Wall seconds, CPU seconds, result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = job(*arguments)
    return time.perf_counter() - wall, time.process_time() - cpu, result


def with_pymoo(points: list[NDArray]) -> tuple[list[NDArray], list[float]]:
    sort, volume = NonDominatedSorting(), HV(ref_point=np.array([1.0, 0.0]))
    fronts: Any = [sort.do(p, only_non_dominated_front=True) for p in points]
    volumes: Any = [volume(p) for p in points]
    return fronts, [float(value) for value in volumes]


def with_moocore(points: list[NDArray]) -> tuple[list[NDArray], list[float]]:
    """The C library itself: the first front only, not all ranks."""
    fronts = [np.flatnonzero(is_nondominated(p, keep_weakly=True)) for p in points]
    return fronts, [
        float(hypervolume(p[f], ref=np.array([1.0, 0.0]))) for p, f in zip(points, fronts, strict=True)
    ]


def main() -> None:
    parser = command_line(__doc__, repeats=5)
    parser.add_argument("--configurations", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=1, help="seeds per configuration")
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--few", type=int, default=10, help="redraws that pymoo does")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    found = make(options.configurations, options.seeds)

    def ours(count: int):
        draws = redraw(found.clusters, found.seeds, options.draws)
        return bootstrap_frontier(found, few(draws, count), GRID, DAMAGE_BUDGET, options.threads)

    def values() -> list[NDArray]:
        draws = few(redraw(found.clusters, found.seeds, options.draws), options.few)
        up, down = found.measure(draws.weights, draws.of(slice(None), slice(None)))
        return [np.round(np.stack([d, -a], axis=1), 9) for a, d in zip(up, down, strict=True)]

    walls: dict[str, list[float]] = {name: [] for name in ("ours", "ours, CPU", "values", "pymoo", "moocore")}
    for _ in range(options.repeats):
        wall, cpu, _ = timed(ours, options.draws)
        walls["ours"].append(wall)
        walls["ours, CPU"].append(cpu)
        wall, _, points = timed(values)
        walls["values"].append(wall * options.draws / options.few)
        for name, job in (("pymoo", with_pymoo), ("moocore", with_moocore)):
            wall, _, (fronts, volumes) = timed(job, points)
            walls[name].append(wall * options.draws / options.few)
            part = ours(options.few)
            wins = np.bincount(np.concatenate(fronts), minlength=found.size)
            assert (wins == part.wins).all(), f"{name} finds other frontiers"
            gap = float(np.abs(np.array(volumes) - part.volume).max())
            # the points it was given are rounded to 1e-9, as comparing does here
            assert gap < 1e-8, f"{name} finds another hypervolume, by {gap}"
    middle = medians(walls)
    rows = [["ours", f"{middle['ours']:.2f} s", "1", f"{middle['ours, CPU']:.2f} s of CPU over all threads"]]
    for name in ("pymoo", "moocore"):
        total = middle["values"] + middle[name]
        split = f"{middle['values']:.1f} s values, {middle[name]:.1f} s fronts and hypervolumes"
        scaled = f"{name}, scaled from {options.few} redraws"
        rows.append([scaled, f"{total:.1f} s", f"{total / middle['ours']:.0f}", split])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print_table(
        f"Bootstrap of the frontier: {options.configurations:,} configurations x {options.seeds} seeds x "
        f"{options.draws:,} redraws",
        [
            f"Medians of {options.repeats} alternating rounds, {options.threads} threads, results identical, "
            f"peak memory {peak:.2f} GiB."
        ],
        ["candidate", "wall", "times ours", "of which"],
        rows,
        ("numpy", "pymoo", "moocore"),
    )


if __name__ == "__main__":
    main()
