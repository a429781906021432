"""What a trial costs when it does nothing: the real sweep with hosts that finish every trial at once.

Prints seconds per trial, the start and the end of the sweep apart, and the memory of every kind of process as
trials go by: 2,000 trials must leave it flat.

    python -m benchmarks.ray_overhead --trials 500 --repeats 1
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness import command_line, medians, print_table, sweep, work_folder
from benchmarks.measure import KINDS, TRIALS, Measured, Tree, measured

SAMPLES = 40
# memory is compared between these shares of the trials: caches and pools have filled up before the first
EARLY, LATE = 0.25, 1.0


@dataclass
class Watch:
    """A sweep as seen from outside.

    Attributes:
        first, last: seconds from the start to the first and the last row.
        memory: (finished trials, bytes by kind of process), in order.
        tune: files and bytes that Tune left in the run folder.
    """

    folder: Path
    trials: int
    done: int = 0
    first: float = 0.0
    last: float = 0.0
    memory: list[tuple[int, dict[str, int]]] = field(default_factory=list)
    tune: tuple[int, int] = (0, 0)

    def look(self, moment: float, tree: Tree) -> None:
        """Count rows; now and then weigh the processes."""
        before, self.done = self.done, sum(1 for _ in (self.folder / "rows").glob("*.json"))
        if self.done > before:
            self.first, self.last = self.first or moment, moment
        if self.done * SAMPLES // self.trials > before * SAMPLES // self.trials:
            self.memory.append((self.done, tree.memory()))


def observe(trials: int) -> tuple[Watch, Measured]:
    """Run a sweep of trivial trials in a process of its own and watch it.

    Raises:
        SystemExit: it failed, or a row is missing.
    """
    with work_folder() as place:
        work = Path(place)
        watch = Watch(work / "run", trials)
        _, took = measured(trivial_sweep, str(watch.folder), trials, log=work / "log", on_look=watch.look)
        if len(list((watch.folder / "rows").glob("*.json"))) < trials:
            raise SystemExit(
                f"{(work / 'log').read_text()[-3000:]}\n{watch.done} of {trials} trials have a row"
            )
        left = [path.stat().st_size for path in (watch.folder / "tune").rglob("*") if path.is_file()]
        watch.tune = (len(left), sum(left))
    return watch, took


def trivial_sweep(folder: str, trials: int) -> None:
    """The sweep itself."""
    from benchmarks.trivial_host import TrivialHost, trivial_space

    sweep(trivial_space(trials), Path(folder), host_class=TrivialHost)


def growth(watch: Watch) -> list[list[str]]:
    """Rows of the memory table: kind, MiB early, MiB late, growth in MiB per 1,000 trials between them."""
    early = next(sample for sample in watch.memory if sample[0] >= EARLY * watch.trials)
    late = watch.memory[-1]
    between = max(1, late[0] - early[0])
    rows = []
    for kind in (*KINDS, "all"):
        before, after = (
            (sum(sizes.values()) if kind == "all" else sizes[kind]) / 2**20 for _, sizes in (early, late)
        )
        rows.append([kind, f"{before:.0f}", f"{after:.0f}", f"{(after - before) / between * 1000:+.1f}"])
    return rows


def main() -> None:
    parser = command_line(__doc__, repeats=1, what="sweeps")
    parser.add_argument("--trials", type=int, default=500)
    options = parser.parse_args()
    count, seen = options.trials, []
    for _ in range(options.repeats):
        seen.append(observe(count))
        print(f"{count:,} trials: {seen[-1][1].wall:.0f} s, {seen[-1][1].all_cpu:.0f} s of CPU", flush=True)
    parts = {
        "whole sweep, from the first import to the end": [took.wall for _, took in seen],
        "from the start to the first row": [watch.first for watch, _ in seen],
        "from the first row to the last": [watch.last - watch.first for watch, _ in seen],
        "from the last row to the end": [took.wall - watch.last for watch, took in seen],
        "CPU time of all processes": [took.all_cpu for _, took in seen],
        **{f"CPU time, {kind}": [took.cpu[kind] for _, took in seen] for kind in KINDS},
    }
    watch, took = seen[-1]
    print_table(
        f"{count:,} trivial trials through Ray Tune",
        [f"Medians of {options.repeats} sweeps; {took.started[TRIALS]} trial processes were started."],
        ["part", "seconds", "per trial"],
        [[part, f"{value:.1f}", f"{value / count:.3f}"] for part, value in medians(parts).items()],
        ("ray",),
    )
    print_table(
        f"Memory over {count:,} trivial trials",
        [
            "Sums of proportional set sizes, MiB, of the last sweep, "
            f"at {EARLY:.0%} and {LATE:.0%} of the trials. Tune left {watch.tune[0]} files, "
            f"{watch.tune[1] / 1000:,.0f} kB in the run folder."
        ],
        ["processes", "early", "late", "growth per 1,000 trials"],
        growth(watch),
        ("ray",),
    )


if __name__ == "__main__":
    main()
