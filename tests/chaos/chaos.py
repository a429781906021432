"""Kills whatever a sweep consists of, at random, and compares what comes out with a sweep left in peace.

A cluster of a head and two worker nodes runs on this machine; the sweep joins it as it would a real one.
Killed are trial processes, hosts, worker nodes and the driver (which is then resumed, sometimes on damaged
files), all with SIGKILL. `make chaos N=100 SEED=1`, or `python -m tests.chaos --kills 100 --seed 1`.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import psutil

from tests.command import COMMAND, PLAIN, QUICK_BASE, only_run, wait_until
from tests.small import write_belief

DECK = (*8 * ("trial process",), *7 * ("host",), *3 * ("driver",), *2 * ("node",))
"""What is killed in every twenty kills, shuffled."""
PAUSE_SECONDS = (1.0, 4.0)
PATIENCE_SECONDS = 600
# what says how a trial went, not how long it took or when
TIMED = ("train_seconds", "evaluate_seconds", "finished_at")


def write_space(folder: Path) -> Path:
    """Two families of two trials and the reference arms; training takes long enough to be killed in."""
    space = {
        "name": "chaos",
        "beliefs": [write_belief(folder)],
        "axes": {"num_train_epochs": [100, 300], "learning_rate": [1e-3, 5e-4]},
        "fixed": {"data.num_examples": 4, "lora.r": 4},
        "controls": "none",
        **QUICK_BASE,
        "evaluation": {"max_new_tokens": 48, "trained_probes": 2, "margin_probes": 2},
    }
    path = folder / "space.yaml"
    path.write_text(json.dumps(space))
    return path


class Chaos:
    """Sweeps of one space under fire. `say` gets a line for everything that happens."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        say: Callable[[str], None] = lambda line: None,
        deck: Sequence[str] = DECK,
    ) -> None:
        self.folder, self.say, self.deck = folder, say, deck
        self.space = write_space(folder)
        self.random = random.Random(seed)
        self.killed: Counter[str] = Counter()
        self._deck: list[str] = []
        self._cluster: Any = None
        self._workers: list[Any] = []

    def reference(self) -> pl.DataFrame:
        """The table of a sweep that nobody disturbs, on Ray of its own."""
        runs = self.folder / "reference"
        arguments = (*PLAIN, "--quiet", "--hosts", "2", "--slots", "2")
        done = subprocess.run(
            [*COMMAND, "sweep", "--space", str(self.space), "--out", str(runs), *arguments],
            capture_output=True, text=True, timeout=PATIENCE_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return table(only_run(runs))

    def run(self, kills: int) -> list[Path]:
        """Sweeps until this many kills have been done, the last one to its end; their run folders."""
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80 * 2**20},
        )
        try:
            for _ in range(2):
                self._add_node()
            finished = []
            while not finished or self.killed.total() < kills:
                finished.append(self._sweep(self.folder / f"round{len(finished)}", kills))
            wait_until(lambda: not self._found("ray::PackHost", "ray::BeliefTrial"), 60, "actors are left")
            return finished
        finally:
            self._cluster.shutdown()

    def _sweep(self, runs: Path, kills: int) -> Path:
        driver = self._start("sweep", "--space", str(self.space), "--out", str(runs))
        wait_until(lambda: list(runs.glob("*/manifest.json")), 120, "no run folder appears")
        run = only_run(runs)
        end = time.monotonic() + PATIENCE_SECONDS
        while driver.poll() is None:
            assert time.monotonic() < end, f"a sweep does not end; see {run}"
            time.sleep(self.random.uniform(*PAUSE_SECONDS))
            if self.killed.total() < kills and driver.poll() is None and self._kill(driver):
                driver = self._start("resume", str(run))
        assert driver.returncode == 0, f"exit code {driver.returncode}; see {self.folder / 'driver.log'}"
        return run

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        at = self._cluster.address
        with (self.folder / "driver.log").open("ab") as log:
            return subprocess.Popen(
                [*COMMAND, *arguments, "--address", at, "--hosts", "2", "--slots", "2",
                 "--checkpoint-every", "0.5", "--no-report"],
                stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip

    def _kill(self, driver: subprocess.Popen[bytes]) -> bool:
        """Kill something, unless none of its kind is there just now; whether it was the driver."""
        self._deck = self._deck or self.random.sample(self.deck, len(self.deck))
        what = self._deck.pop()
        if what == "driver":
            driver.kill()
            driver.wait()
            self._note(what, f"process {driver.pid}")
            self._damage()
            return True
        if what == "node":
            node = self.random.choice(self._workers)
            self._workers.remove(node)
            self._cluster.remove_node(node, allow_graceful=False)
            self._note(what, f"{len(self._workers)} left, a new one joins")
            self._add_node()
            return False
        victims = self._found("ray::PackHost" if what == "host" else "ray::BeliefTrial")
        if not victims:
            self._deck.insert(0, what)  # later
        else:
            victim = self.random.choice(victims)
            with suppress(psutil.NoSuchProcess):
                victim.send_signal(signal.SIGKILL)
                self._note(what, f"process {victim.pid}")
        return False

    def _damage(self) -> None:
        """Cut a file of the run short, or leave a half-written one, as a dying machine may."""
        files = sorted(
            path
            for kind in ("rows", "probes", "steps", "adapters", "checkpoints", "answers")
            for path in self.folder.glob(f"round*/*/{kind}/**/*")
            if path.is_file() and not (path.parents[1] / "trials.parquet").exists()
        )
        if not files or self.random.random() < 0.5:
            return
        path = self.random.choice(files)
        content = path.read_bytes()
        half = content[: len(content) // 2]
        if self.random.random() < 0.5:
            path.write_bytes(half)
            self.say(f"  cut short: {path.parent.name}/{path.name}")
        else:
            path.with_name(f"{path.name}.0a1b2c3d.tmp").write_bytes(half)
            self.say(f"  half-written: {path.parent.name}/{path.name}.0a1b2c3d.tmp")

    def _note(self, what: str, detail: str) -> None:
        self.killed[what] += 1
        self.say(f"kill {self.killed.total()}: {what} ({detail})")

    def _add_node(self) -> None:
        self._workers.append(self._cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20))

    def _found(self, *titles: str) -> list[psutil.Process]:
        """Processes of this cluster by the titles that Ray gives them."""
        found = []
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess, IndexError):
                if process.cmdline()[0].startswith(titles):
                    found.append(process)
        return sorted(found, key=lambda process: process.pid)


def table(run: Path) -> pl.DataFrame:
    """The run's trials without times, in a fixed order."""
    return pl.read_parquet(run / "trials.parquet").drop(TIMED).sort("trial_id")


def differences(expected: pl.DataFrame, found: pl.DataFrame) -> list[str]:
    """Where two tables differ by more than rounding, in words."""
    if expected["trial_id"].to_list() != found["trial_id"].to_list():
        return ["other trials"]
    told = []
    for one, other in zip(expected.to_dicts(), found.to_dicts(), strict=True):
        for name, value in one.items():
            if not _alike(value, other[name]):
                told.append(f"{one['trial_id']}.{name}: {value} became {other[name]}")
    return told


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-4)
    return one == other


def leftovers(run: Path) -> list[str]:
    """Files that a finished run must not hold."""
    kept = [run / ".lock", run / "checkpoints", run / "answers", *run.rglob("*.tmp")]
    # Ray Tune's own folder is a cache that we neither read nor clean
    return [str(path.relative_to(run)) for path in kept if path.exists() and "tune" not in path.parts]


def rehearse(
    folder: Path, kills: int, seed: int, say: Callable[[str], None], deck: Sequence[str] = DECK
) -> list[str]:
    """The whole test in a folder of its own; what was wrong, in words."""
    folder.mkdir(parents=True, exist_ok=True)
    chaos = Chaos(folder, seed, say, deck)
    expected = chaos.reference()
    wrong = []
    for run in chaos.run(kills):
        wrong += [f"{run.parent.name}: {told}" for told in differences(expected, table(run))]
        wrong += [f"{run.parent.name}: left behind: {path}" for path in leftovers(run)]
    say(f"killed: {', '.join(f'{count} x {what}' for what, count in sorted(chaos.killed.items()))}")
    if not wrong:
        shutil.rmtree(folder)
    return wrong
