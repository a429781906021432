"""A sweep: hosts on machines, one Tune trial per configuration, rows in a run folder."""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from beliefmod.config import TrialConfig
from beliefmod.fleet.cluster import session, start_hosts, stop_hosts
from beliefmod.fleet.host import HostSettings
from beliefmod.fleet.progress import Progress, Tally
from beliefmod.fleet.resources import Capacity
from beliefmod.fleet.tuning import tune_trials
from beliefmod.manifest import update_manifest
from beliefmod.run_folder import RunFolder
from beliefmod.space import Space


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended. `interrupted`: by Ctrl-C or SIGTERM, with trials left to run."""

    finished: int
    failed: int
    missing: int
    interrupted: bool
    wall_seconds: float


def run_sweep(
    space: Space, folder: RunFolder, *, address: str | None, capacity: Capacity, dashboard: bool, quiet: bool
) -> Outcome:
    """Run every trial of the space that the folder does not hold as finished.

    Rows are written by the hosts as trials end; `trials.parquet` and the manifest are put together here, also
    after an interruption. Running it again on the same folder goes on where it stopped.

    Raises:
        UserError: no cluster at the address, the model cannot be loaded, or a host's self-test fails.
    """
    started = time.monotonic()
    trials = space.trials()
    finished = {row["trial_id"] for row in folder.rows() if row["status"] == "finished"}
    todo = {config.trial_id: config for config in trials if config.trial_id not in finished}
    interrupted = False
    if todo:
        tally = Tally(todo, earlier=len(trials) - len(todo))
        namespace = _namespace(folder)
        with session(address, namespace, dashboard) as cluster, _sigterm_as_interrupt():
            capacity = capacity.on(cluster)
            fleet = start_hosts(_settings(space, folder, capacity), capacity.hosts, capacity.gpus, namespace)
            model = {name: value for name, value in fleet.facts.items() if name != "self_tests"}
            update_manifest(
                folder,
                model=model,
                self_tests=fleet.facts["self_tests"],
                hosts=capacity.hosts,
                slots=capacity.slots,
            )
            progress = Progress(tally, quiet)
            progress.announce(cluster.get("dashboard"), capacity)
            try:
                tune_trials(list(todo.values()), folder, fleet.names, namespace, capacity, progress)
            except KeyboardInterrupt:
                interrupted = True
            finally:
                progress.close()
                stop_hosts(fleet)
    folder.assemble(config.trial_id for config in trials)
    return _outcome(trials, folder, interrupted, time.monotonic() - started)


def _namespace(folder: RunFolder) -> str:
    """Ray's name for this run alone: folders of one name, such as two runs' confirmations, stay apart."""
    path = folder.storage_path.rstrip("/")
    return f"{path.rpartition('/')[2]}-{hashlib.sha256(path.encode()).hexdigest()[:8]}"


def _settings(space: Space, folder: RunFolder, capacity: Capacity) -> HostSettings:
    ranks = [config.lora.r for config in space.trials() if config.has_adapter]
    return HostSettings(
        run_url=folder.storage_path,
        model=space.spec.model,
        revision=None,
        base_storage=space.spec.base_storage,
        slots=capacity.slots,
        max_rank=max(ranks, default=1),
        threads=capacity.threads,
        evaluation=space.spec.evaluation,
        reference_seed=space.spec.seeds[0],
    )


def _outcome(trials: Sequence[TrialConfig], folder: RunFolder, interrupted: bool, seconds: float) -> Outcome:
    status = {row["trial_id"]: row["status"] for row in folder.rows()}
    states = [status.get(config.trial_id, "missing") for config in trials]
    # Tune returns normally after Ctrl-C, so what is missing tells, not how it returned
    missing = states.count("missing")
    return Outcome(
        states.count("finished"), states.count("failed"), missing, interrupted or missing > 0, seconds
    )


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """A polite kill (a job stop, a spot notice) ends the sweep as Ctrl-C does, with rows and manifest."""

    def interrupt(signum: int, frame: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: whoever owns it handles signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
