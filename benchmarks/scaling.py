"""What a large run folder costs its readers: resume, the trial table, status, and with --report the report.

Makes folders of finished trials of two sizes and times what a driver and a watcher do with them, in CPU
seconds: other work on the machine leaves them alone, and waiting for a disk or a bucket is not in them. The
last column is an extrapolation, by the power law through the two sizes; nothing of that size was run.

    python -m benchmarks.scaling --trials 2000
"""

from __future__ import annotations

import json
import math
import resource
import time
from collections.abc import Callable
from hashlib import sha256
from itertools import cycle
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from beliefmod.config import TrialConfig
from beliefmod.run.folder import FILES, SPACE, RunFolder
from beliefmod.run.tables.trial_tables import TABLES
from beliefmod.space import Space, SpaceFile
from benchmarks.harness import command_line, medians, new_run, print_table, work_folder
from benchmarks.measure import ROOT, measured

MANY = 100_000
SMALLER = 4
"""The smaller folder has one of so many trials of the larger."""
LOOKS = 20
EXAMPLE = ROOT / "docs" / "example"
TABLE_KINDS = ("probes", "steps", "causal", "drift")
SMALLEST = 10


def wide_space(trials: int) -> Space:
    """A space of exactly so many trials, at least `SMALLEST`: references, a control, learning rates."""
    rates = [2e-4 * (1 + index / trials) for index in range(trials - 3)]
    spec = {
        "name": "wide",
        "beliefs": ["gravity"],
        "axes": {"learning_rate": rates},
        "fixed": {"data.num_examples": 50, "num_train_epochs": 10},
    }
    return Space(SpaceFile.model_validate(spec), "wide.yaml")


def make_run(path: Path, space: Space) -> RunFolder:
    """A run folder in which every trial of the space has finished, its trial table not yet put together.

    Every trial has its own configuration, row and tables, with the answers of `docs/example`.
    """
    folder = new_run(space, path, status="finished")
    spec = space.spec.model_dump(mode="json")
    folder.write_bytes(yaml.dump(spec, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)).encode(), SPACE)
    for name in ("rows", *TABLE_KINDS):
        (path / name).mkdir()
    rows = [json.loads(file.read_text()) for file in sorted((EXAMPLE / "rows").glob("*.json"))]
    tables = {row["trial_id"]: _example_tables(row["trial_id"]) for row in rows}
    by_arm = {arm: cycle([row for row in rows if row["arm"] == arm]) for arm in {row["arm"] for row in rows}}
    for config in space.trials():
        row = next(by_arm[config.arm])
        _write(path, config, row, tables[row["trial_id"]])
    return folder


def _example_tables(trial_id: str) -> dict[str, pl.DataFrame]:
    files = {kind: EXAMPLE / kind / f"{trial_id}.parquet" for kind in TABLE_KINDS}
    return {kind: pl.read_parquet(file) for kind, file in files.items() if file.exists()}


def _write(path: Path, config: TrialConfig, example: dict[str, Any], tables: dict[str, pl.DataFrame]) -> None:
    """Plain writes: flushing each file to the disk, as hosts do, takes ten times as long."""
    files = {}
    for kind, table in tables.items():
        place = path / kind / f"{config.trial_id}.parquet"
        known = [column.name for column in TABLES[kind] if column.name in table.columns]
        table.select(known).with_columns(trial_id=pl.lit(config.trial_id)).write_parquet(place)
        data = place.read_bytes()
        files[f"{kind}/{place.name}"] = {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    leaves = config.leaves() if config.is_trained else {}
    settings = {name: value for name, value in leaves.items() if name in example}
    row = {**example, **settings, "belief": "gravity", "trial_id": config.trial_id, FILES: files}
    (path / "rows" / f"{config.trial_id}.json").write_text(json.dumps(row, indent=1))


def steps(path: Path, trials: int, report: bool) -> dict[str, Callable[[], object]]:
    """What is timed, by its name, in order."""
    from beliefmod.monitor.status import Watcher
    from beliefmod.monitor.tally import Tally
    from beliefmod.run.integrity import clean, drop_kept, sound_rows
    from beliefmod.space.shared_runs import families, run_order

    space, folder = wide_space(trials), RunFolder(str(path))
    configs = space.trials()
    tally, watchers = Tally({config.trial_id: config for config in configs}), []

    def tell() -> None:
        for config in configs:
            tally.report(config.trial_id, {"status": "training", "optimizer_step": 1})
            tally.report(config.trial_id, {"status": "finished", "adoption": 0.5, "degradation": 0.0})

    def look_at_tally() -> None:
        for _ in range(LOOKS):
            tally.headline(time.monotonic())
            tally.states()

    def write_report() -> None:
        from analysis.report.write import write_report

        write_report(str(path))

    found: dict[str, Callable[[], object]] = {
        "expand the space": wide_space(trials).trials,
        "families and order": lambda: (families(configs), run_order(configs)),
        "resume: half-written files": lambda: clean(folder),
        "resume: check every file": lambda: sound_rows(folder),
        "who has ended, first": folder.states,
        "who has ended, again": folder.states,
        "drop what was kept": lambda: drop_kept(folder, everything=False),
        "put trials.parquet together": lambda: folder.assemble(config.trial_id for config in configs),
        "tally: two reports of each trial": tell,
        f"tally: {LOOKS} looks": look_at_tally,
        "status, first look": lambda: (watchers.append(Watcher(folder)), watchers[0].look()),
        "watch, next look": lambda: watchers[0].look(),
    }
    if report:
        found["report"] = write_report
    return found


def time_steps(trials: int, report: bool) -> dict[str, Any]:
    """Make one folder and time every step: CPU seconds by step, the peak of memory and the folder's size."""
    with work_folder() as place:
        work, seconds = Path(place), {}
        make_run(work / "run", wide_space(trials))
        for name, step in steps(work / "run", trials, report).items():
            began = time.process_time()
            step()
            seconds[name] = time.process_time() - began
        size = sum(file.stat().st_size for file in (work / "run").rglob("*") if file.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "peak": peak, "size": size}


def at_many(small: float, large: float, trials: int) -> tuple[float, float]:
    """The exponent of growth between a quarter of the trials and all, and what it makes of `MANY` trials.

    An exponent below 1 is a fixed cost that still shows: growth is then taken to be linear.
    """
    exponent = math.log(max(large, 1e-9) / max(small, 1e-9), SMALLER)
    return exponent, large * (MANY / trials) ** max(1.0, exponent)


def _medians(trials: int, report: bool, repeats: int) -> dict[str, Any]:
    """What `time_steps` finds in processes of its own: seconds as medians, the rest of the last."""
    with work_folder() as place:
        log = Path(place) / "log"
        told = [measured(time_steps, trials, report, log=log)[0] for _ in range(repeats)]
    rounds = {name: [one["seconds"][name] for one in told] for name in told[-1]["seconds"]}
    return {**told[-1], "seconds": medians(rounds)}


def main() -> None:
    parser = command_line(__doc__, repeats=1, what="processes per size")
    parser.add_argument("--trials", type=int, default=2000, help="of the larger folder")
    parser.add_argument("--report", action="store_true", help="write the report, too: minutes")
    options = parser.parse_args()
    sizes = (options.trials // SMALLER, options.trials)
    found = [_medians(trials, options.report, options.repeats) for trials in sizes]
    small, large = found
    rows = []
    for name, seconds in large["seconds"].items():
        exponent, many = at_many(small["seconds"][name], seconds, options.trials)
        rows.append(
            [name, f"{small['seconds'][name]:.2f}", f"{seconds:.2f}", f"{exponent:.1f}", f"{many:,.0f}"]
        )
    print_table(
        f"A run folder of {sizes[0]:,} and of {sizes[1]:,} finished trials",
        [
            f"{large['size'] / options.trials / 1000:.0f} kB per trial without adapters; all steps in one "
            f"process, which took {small['peak'] / 2**20:,.0f} and {large['peak'] / 2**20:,.0f} MiB at most.",
        ],
        [
            "CPU seconds",
            f"{sizes[0]:,}",
            f"{sizes[1]:,}",
            "grows with trials to the power",
            f"{MANY:,} (extrapolated)",
        ],
        rows,
        ("polars", "pydantic"),
    )


if __name__ == "__main__":
    main()
