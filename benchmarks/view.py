"""What `beliefmod view` takes on a large run: until it listens, the first page, lists, one trial's answers.

The run is a trial table made here: the trained rows of docs/example again and again under other settings,
with other adoption and damage; the trial that is asked for has its probe file. Requests go through HTTP.

    python -m benchmarks.view --configurations 100000
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from urllib.parse import urlencode

import numpy as np
import polars as pl

from beliefmod.run.read_run import read_run
from benchmarks.harness import command_line, medians, print_table, work_folder
from benchmarks.measure import ROOT

EXAMPLE = ROOT / "docs" / "example"


def make_table(configurations: int) -> pl.DataFrame:
    """The trial table: docs/example's untrained arms, and so many configurations of one seed."""
    trials = read_run(str(EXAMPLE)).trials
    untrained = pl.col("arm").is_in(["base", "icl"])
    rng = np.random.default_rng(0)
    trained = trials.filter(pl.col("arm") == "lora")
    at = pl.int_range(configurations, eager=True)
    noise = {name: pl.Series(rng.normal(0, 0.1, configurations)) for name in ("adoption", "degradation")}
    wide = trained[rng.integers(0, trained.height, configurations)].with_columns(
        ("t" + at.cast(pl.String)).alias("trial_id"),
        (1e-5 * (1 + at % 1000)).alias("learning_rate"),
        (1 + at // 1000).alias("num_train_epochs"),
        pl.lit(0, trials.schema["seed"]).alias("seed"),
        *((pl.col(name) + change).clip(0, 1).alias(name) for name, change in noise.items()),
    )
    return pl.concat([trials.filter(untrained), wide.cast(trials.schema)])


def make_run(path: Path, configurations: int) -> str:
    """A run folder with that table; returns the trained trial whose answers it holds."""
    table = make_table(configurations)
    (path / "probes").mkdir(parents=True)
    for name in ("beliefs", "suites"):
        shutil.copytree(EXAMPLE / name, path / name)
    for name in ("manifest.json", "space.yaml"):
        shutil.copy(EXAMPLE / name, path / name)
    table.write_parquet(path / "trials.parquet")
    trials = read_run(str(EXAMPLE)).trials
    source = trials.filter(pl.col("arm") == "lora")["trial_id"][0]
    last = table["trial_id"][-1]
    shutil.copy(EXAMPLE / "probes" / f"{source}.parquet", path / "probes" / f"{last}.parquet")
    return str(last)


def time_view(path: Path, trial: str) -> dict[str, tuple[float, float, int]]:
    """What is waited for, by its name: seconds of waiting, CPU seconds, bytes of the reply."""
    from analysis.report.serve import RunServer
    from analysis.report.viewed_run import ViewedRun

    found: dict[str, tuple[float, float, int]] = {}

    def timed(name: str, step: Callable[[], bytes]) -> None:
        waited, worked = time.perf_counter(), time.process_time()
        size = len(step())
        found[name] = time.perf_counter() - waited, time.process_time() - worked, size

    servers = []

    def start() -> bytes:
        servers.append(RunServer(ViewedRun(read_run(str(path))), 0))
        return b""

    timed("until it listens", start)
    [server] = servers
    Thread(target=server.serve_forever, daemon=True).start()

    def get(target: str) -> bytes:
        connection = HTTPConnection("127.0.0.1", server.server_port)
        connection.request("GET", target)
        reply = connection.getresponse()
        body = reply.read()
        connection.close()
        if reply.status != 200:
            raise RuntimeError(f"{target}: {reply.status} {body[:200]!r}")
        return body

    narrow = urlencode({"filters": json.dumps({"learning_rate": {"low": 1e-3, "high": 2e-3}}), "start": 200})
    timed("the page", lambda: get("/"))
    timed("200 configurations", lambda: get("/configurations"))
    timed("200 filtered by a range", lambda: get(f"/configurations?{narrow}"))
    timed("one trial's configuration", lambda: get(f"/configuration/{trial}"))
    timed("one trial's answers, the first", lambda: get(f"/answers/{trial}"))
    server.shutdown()
    server.server_close()
    return found


def main() -> None:
    parser = command_line(__doc__, repeats=3, what="starts of the server")
    parser.add_argument("--configurations", type=int, default=100_000)
    options = parser.parse_args()
    with work_folder() as place:
        path = Path(place) / "run"
        trial = make_run(path, options.configurations)
        rounds = [time_view(path, trial) for _ in range(options.repeats)]
    waited, worked = (medians({name: [one[name][i] for one in rounds] for name in rounds[0]}) for i in (0, 1))
    print_table(
        f"beliefmod view of {options.configurations:,} configurations",
        [f"Medians of {options.repeats} starts in one process, whose modules are loaded before."],
        ["what", "seconds waited", "CPU seconds", "kB"],
        [
            [name, f"{waited[name]:.3f}", f"{worked[name]:.3f}", f"{size / 1000:,.0f}"]
            for name, (_, _, size) in rounds[0].items()
        ],
        ("polars",),
    )


if __name__ == "__main__":
    main()
