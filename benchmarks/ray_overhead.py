"""What a trial costs when it does nothing: the real sweep with hosts that finish every trial at once.

Prints seconds per trial, the start and the end of the sweep apart, and the memory of every kind of process as
trials go by: 2,000 trials must leave it flat.

    python -m benchmarks.ray_overhead --trials 500 --repeats 1
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.measure import ROOT, Tree, proportional_set_size
from benchmarks.table import print_table

SAMPLES = 40
KINDS = {
    "driver": "benchmarks.ray_overhead",
    "hosts": "ray::TrivialHost",
    "trials": "ray::Belief",
    "raylet": "raylet",
    "gcs": "gcs_server",
}
# memory is compared between these shares of the trials: caches and pools have filled up before the first
EARLY, LATE = 0.25, 1.0


@dataclass
class Sweep:
    """One sweep as seen from outside.

    Attributes:
        first, last: seconds from the start to the first and the last row.
        memory: (finished trials, bytes per kind of process), in order.
    """

    wall: float = 0.0
    cpu: float = 0.0
    first: float = 0.0
    last: float = 0.0
    memory: list[tuple[int, Counter[str]]] = field(default_factory=list)


def observe(trials: int, work: Path) -> Sweep:
    """Run a sweep of trivial trials in a process of its own and watch it.

    Raises:
        SystemExit: it failed, or a row is missing.
    """
    seen, folder, log = Sweep(), work / "run", work / "log"
    arguments = ["--inside", str(folder), "--trials", str(trials)]
    with log.open("w") as output:
        started = time.perf_counter()
        command = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ray_overhead", *arguments],
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
        tree, done = Tree(psutil.Process(command.pid)), 0
        while command.poll() is None:
            tree.look()
            before, done = done, sum(1 for _ in (folder / "rows").glob("*.json"))
            moment = time.perf_counter() - started
            if done > before:
                seen.first, seen.last = seen.first or moment, moment
            if done * SAMPLES // trials > before * SAMPLES // trials:
                seen.memory.append((done, _by_kind(tree)))
            time.sleep(0.25)
        seen.wall, seen.cpu = time.perf_counter() - started, tree.cpu
    if command.returncode or done < trials:
        raise SystemExit(f"{log.read_text()[-3000:]}\n{done} of {trials} trials have a row")
    return seen


def _by_kind(tree: Tree) -> Counter[str]:
    """Proportional set sizes, bytes, per kind of process."""
    found: Counter[str] = Counter()
    for process in tree.processes():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        kind = next((kind for kind, mark in KINDS.items() if mark in line), "other Ray processes")
        found[kind] += proportional_set_size(process)
    return found


def run_inside(folder: Path, trials: int) -> None:
    """The sweep itself."""
    from beliefmod.fleet.resources import Capacity
    from beliefmod.fleet.sweep import run_sweep
    from beliefmod.manifest import new_manifest
    from beliefmod.run_folder import MANIFEST, RunFolder
    from beliefmod.trial import now
    from benchmarks.trivial_host import TrivialHost, trivial_space

    space, run = trivial_space(trials), RunFolder(str(folder))
    run.create()
    run.write_json(new_manifest("trivial", space, now()), MANIFEST)
    run_sweep(
        space,
        run,
        address=None,
        capacity=Capacity(),
        dashboard=False,
        quiet=True,
        host_class=TrivialHost,
    )


def growth(memory: list[tuple[int, Counter[str]]], trials: int) -> list[list[str]]:
    """Rows of the memory table: kind, MiB early, MiB late, growth in MiB per 1,000 trials between them."""
    early = next(sample for sample in memory if sample[0] >= EARLY * trials)
    late = memory[-1]
    between = max(1, late[0] - early[0])
    rows = []
    for kind in [*KINDS, "other Ray processes", "all"]:
        before, after = (
            (sum(sample.values()) if kind == "all" else sample[kind]) / 2**20 for _, sample in (early, late)
        )
        rows.append([kind, f"{before:.0f}", f"{after:.0f}", f"{(after - before) / between * 1000:+.1f}"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside is not None:
        run_inside(options.inside, options.trials)
        return
    sweeps = []
    for _ in range(options.repeats):
        work = Path(tempfile.mkdtemp(prefix="beliefmod-bench-"))
        try:
            sweeps.append(observe(options.trials, work))
        finally:
            shutil.rmtree(work)
        print(f"{options.trials} trials: {sweeps[-1].wall:.0f} s, {sweeps[-1].cpu:.0f} s of CPU", flush=True)
    wall, cpu, first, last = (
        statistics.median(getattr(sweep, name) for sweep in sweeps)
        for name in ("wall", "cpu", "first", "last")
    )
    count = options.trials
    print_table(
        f"{count:,} trivial trials through Ray Tune",
        [f"Medians of {options.repeats} sweeps."],
        ["part", "seconds", "per trial"],
        [
            ["whole sweep, from the first import to the end", f"{wall:.1f}", f"{wall / count:.3f}"],
            ["from the start to the first row", f"{first:.1f}", ""],
            ["from the first row to the last", f"{last - first:.1f}", f"{(last - first) / count:.3f}"],
            ["from the last row to the end", f"{wall - last:.1f}", ""],
            ["CPU time of all processes", f"{cpu:.1f}", f"{cpu / count:.3f}"],
        ],
        ("ray",),
    )
    print_table(
        f"Memory over {count:,} trivial trials",
        [
            "Sums of proportional set sizes, MiB, of the last sweep, at "
            f"{EARLY:.0%} and {LATE:.0%} of the trials."
        ],
        ["processes", "early", "late", "growth per 1,000 trials"],
        growth(sweeps[-1].memory, count),
        ("ray",),
    )


if __name__ == "__main__":
    main()
