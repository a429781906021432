"""How many trials a search needs for the frontier that the whole grid finds: finished trials replayed.

`finished_trials.csv` has adoption and D, on the half of the questions that may choose, of every configuration
of a finished grid. Each method chooses configurations one after the other, as in a sweep with so many trials
under way at a time (`--under-way`), and is told the values in the table. What is printed is the hypervolume
above adoption 0 and below D 1 of what it has tried, as a share of the whole grid's: median and least of all
seeds and beliefs, after so many trials; and how many trials it needs for 98 %.

    python -m benchmarks.search --seeds 10 --under-way 4
    python -m benchmarks.search --write-table RUN      # makes finished_trials.csv of a finished sweep
"""

from __future__ import annotations

import csv
import math
import statistics
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

import numpy as np
import optuna
from moocore import hypervolume
from pydantic import TypeAdapter

from beliefmod.config import TrialConfig
from beliefmod.fleet.search import BeliefStudy
from beliefmod.metrics.selection_scores import Objectives, Values
from beliefmod.run.folder import RunFolder
from beliefmod.run.suggestions import known_trials
from beliefmod.space import SWEPT_ARMS, Space
from beliefmod.space.load import load_space
from beliefmod.space.search import Search
from benchmarks.harness import command_line, print_table

TABLE = Path(__file__).parent / "finished_trials.csv"
ENOUGH = 0.98
METHODS = ("grid", "random", "optuna", "frontier")


def main() -> None:
    parser = command_line(__doc__, repeats=1)
    parser.add_argument("--seeds", type=int, default=10, help="seeds of each method but the grid")
    parser.add_argument("--under-way", type=int, default=4, help="trials of a belief that run at a time")
    parser.add_argument("--space", default="sweeps/aggressive.yaml", help="space file of the grid")
    parser.add_argument("--write-table", metavar="RUN", help="write the table from a finished run, no more")
    asked = parser.parse_args()
    space = load_space(asked.space)
    if asked.write_table:
        write_table(space, RunFolder.open(asked.write_table))
        return
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    finished = read_table(space)
    size = len(finished) // len(space.spec.beliefs)
    curves = {
        method: [
            curve(space, finished, belief, method, seed, asked.under_way)
            for belief in space.spec.beliefs
            for seed in range(1 if method == "grid" else asked.seeds)
        ]
        for method in METHODS
    }
    marks = [size // 6, size // 4, size // 3, size // 2]
    print_table(
        "Trials that a search needs",
        [
            f"{size} configurations of each of {len(space.spec.beliefs)} beliefs, {asked.under_way} under "
            f"way, {asked.seeds} seeds; % of the grid's hypervolume after so many, median (least)."
        ],
        ["method", *(f"{n} trials" for n in marks), f"trials for {100 * ENOUGH:g} %, median (most)"],
        [
            [
                method,
                *(spread([100 * one[n - 1] for one in found]) for n in marks),
                needed(
                    [next((n for n, share in enumerate(one, 1) if share >= ENOUGH), None) for one in found]
                ),
            ]
            for method, found in curves.items()
        ],
        ["optuna", "moocore"],
    )


def spread(values: Sequence[float]) -> str:
    """Median and least."""
    return f"{statistics.median(values):.3g} ({min(values):.3g})"


def needed(counts: Sequence[int | None]) -> str:
    """Median and most; None is more than were tried."""
    ordered = sorted(math.inf if each is None else each for each in counts)
    return f"{statistics.median_high(ordered):.3g} ({ordered[-1]:.3g})"


def axes_of(space: Space, config: TrialConfig) -> tuple[str, ...]:
    """Belief and axes of a configuration, as the table has them."""
    leaves = config.leaves()
    return (config.belief, *(str(leaves[name]) for name in space.spec.axes))


def write_table(space: Space, folder: RunFolder) -> None:
    """Adoption and D of every trained trial of a run, on the selection half."""
    objectives = Objectives(folder, space.spec.seeds[0])
    with TABLE.open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["belief", *space.spec.axes, "adoption", "degradation"])
        for config in known_trials(space, folder):
            values = objectives.of(config) if config.arm in SWEPT_ARMS else None
            if values is not None:
                out.writerow([*axes_of(space, config), *(f"{value:.6g}" for value in values)])


def read_table(space: Space) -> dict[str, Values]:
    """trial_id -> adoption and D of every trained trial of the space."""
    with TABLE.open() as file:
        rows = list(csv.reader(file))[1:]
    known = {tuple(row[:-2]): (float(row[-2]), float(row[-1])) for row in rows}
    return {
        config.trial_id: known[axes_of(space, config)]
        for config in space.trials()
        if config.arm in SWEPT_ARMS
    }


def curve(
    space: Space, finished: Mapping[str, Values], belief: str, method: str, seed: int, under_way: int
) -> list[float]:
    """Share of the grid's hypervolume after 1, 2, … trials of one belief.

    Adaptive methods stop at half of the grid.
    """
    trials = [c.trial_id for c in space.trials() if c.belief == belief and c.trial_id in finished]
    tried = list(order(space, finished, belief, method, seed, under_way, trials))
    whole = volume([finished[each] for each in trials])
    return [volume([finished[each] for each in tried[:n]]) / whole for n in range(1, len(tried) + 1)]


def order(
    space: Space,
    finished: Mapping[str, Values],
    belief: str,
    method: str,
    seed: int,
    under_way: int,
    trials: Sequence[str],
) -> Iterator[str]:
    """Trials of a belief in the order in which a method has their values."""
    if method in ("grid", "random"):
        yield from trials if method == "grid" else Random(seed).sample(trials, len(trials))
        return
    search = {"method": method, "num_samples": len(trials) // 2, "seed": seed}
    spec = space.spec.model_copy(update={"search": TypeAdapter(Search).validate_python(search)})
    searched = Space(spec, space.source)
    ended: dict[str, Values] = {}
    study = BeliefStudy(searched, belief, [], (), lambda config: ended.get(config.trial_id))
    running: deque[TrialConfig] = deque()
    while True:
        while len(running) < under_way and (suggestion := study.suggest()) is not None:
            running.extend(suggestion.trials)
        if not running:
            return
        config = running.popleft()
        ended[config.trial_id] = finished[config.trial_id]
        study.ended(config, failed=False)
        yield config.trial_id


def volume(points: Sequence[Values]) -> float:
    """Hypervolume above adoption 0 and below D 1."""
    return float(hypervolume(np.array([(-adoption, damage) for adoption, damage in points]), ref=[0.0, 1.0]))


if __name__ == "__main__":
    main()
