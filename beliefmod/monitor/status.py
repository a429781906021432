"""How a run stands, put together from what its folder holds, local or any fsspec URL, also after the end.

Rows say what has ended, heartbeats what is under way, the space what is to come.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from beliefmod.config import TrialConfig
from beliefmod.errors import UserError
from beliefmod.monitor.heartbeat import asked_of, read_heartbeats
from beliefmod.monitor.tally import Tally, moment
from beliefmod.run.folder import MANIFEST, SPACE, RunFolder, without_files
from beliefmod.run.row_index import RowIndex
from beliefmod.run.suggestions import known_trials, unchosen
from beliefmod.space import Space, SpaceFile

QUIET_SECONDS = 60.0
"""A host writes a heartbeat every 5 seconds. One that has not for so long is taken for dead."""
START_SECONDS = 300.0
"""So long a run without any heartbeat may be loading its model."""
SHOWN = ("trial_id", "state", "step", "total_steps", "loss", "seconds")
State = Literal["starting", "running", "finished", "interrupted", "no sign of life"]
OVER: tuple[State, ...] = ("finished", "interrupted", "no sign of life")
"""States of a run in which nobody writes logs."""


@dataclass(frozen=True)
class Running:
    """A trial under way. state: training, trained (waits to be questioned), questioning."""

    trial_id: str
    label: str
    state: str
    step: int
    total_steps: int
    loss: float | None
    seconds: float
    host: str


@dataclass(frozen=True)
class Failure:
    """A trial that failed, and why."""

    trial_id: str
    label: str
    error: str


@dataclass(frozen=True)
class HostState:
    """A host as its heartbeat shows it. quiet_seconds: since it was written."""

    host: str
    machine: str
    device: str
    slots: int
    occupied: int
    waiting: int
    tokens_per_second: Mapping[str, float]
    fraction: float
    quiet_seconds: float


@dataclass(frozen=True)
class Status:
    """A run at one moment.

    Attributes:
        counts: trials by state: waiting, running, finished, failed, stopped; their sum is `total`.
        seconds: worked so far, all sessions together. seconds_left: None if not running or not known yet.
        rows: of the trials that have ended.
    """

    run: str
    state: State
    total: int
    counts: Mapping[str, int]
    seconds: float
    seconds_left: float | None
    running: Sequence[Running]
    failures: Sequence[Failure]
    hosts: Sequence[HostState]
    rows: Sequence[Mapping[str, Any]] = field(repr=False, default=())

    def as_dict(self) -> dict[str, Any]:
        """Plain values, without the rows."""
        return {name: value for name, value in asdict(replace(self, rows=())).items() if name != "rows"}


class Watcher:
    """Reads the status of one run again and again; a row is fetched once as long as it does not change.

    Raises:
        UserError: the run's space cannot be read.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._space = stored_space(folder)
        self._rows = RowIndex(folder, lambda row, _: _measured(row))

    def look(self, now: float | None = None) -> Status:
        """The status now.

        Raises:
            UserError: the run is gone.
        """
        self.folder.fs.invalidate_cache()  # file systems of buckets remember listings
        return status(
            self.folder.name,
            known_trials(self._space, self.folder),  # a search, or somebody by hand, may have added some
            unchosen(self._space, self.folder),
            self.folder.read_json(MANIFEST),
            [row for row in self._rows.look().values() if "status" in row],
            read_heartbeats(self.folder),
            time.time() if now is None else now,
            self._space.shares_steps,
        )


def status(
    run: str,
    trials: Sequence[TrialConfig],
    to_choose: int,
    manifest: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    heartbeats: Sequence[Mapping[str, Any]],
    now: float,
    share: bool = True,
) -> Status:
    """Put together what was read.

    Args:
        trials: those that are known. to_choose: how many a search has yet to choose.
        heartbeats: of the newest session. now: in seconds since 1970.
        share: whether trials that differ only in epochs are one run.
    """
    # a clock that was set back, or is behind the hosts', would make times negative
    now = max(now, *(heartbeat["written_at"] for heartbeat in heartbeats), 0.0)
    alive = _alive(heartbeats, now)
    labels = {config.trial_id: config.label for config in trials}
    running = [
        Running(
            **{name: each[name] for name in SHOWN},
            label=str(labels.get(each["trial_id"], each["trial_id"])),
            host=heartbeat["host"],
        )
        for heartbeat in alive
        for each in heartbeat["trials"]
    ]
    busy = {each.trial_id for each in running}
    ended = [row for row in rows if row["trial_id"] not in busy and row["trial_id"] in labels]
    counts = {
        state: sum(row["status"] == state for row in ended) for state in ("finished", "failed", "stopped")
    }
    total = len(trials) + to_choose
    waiting = total - len(busy & labels.keys()) - sum(counts.values())
    left = _seconds_left(trials, to_choose, ended, running, alive, now, share)
    return Status(
        run=run,
        state=run_state(manifest, heartbeats, now),
        total=total,
        counts={"waiting": waiting, "running": len(running), **counts},
        seconds=_worked(manifest, heartbeats, now if alive else None),
        seconds_left=left,
        running=sorted(running, key=lambda each: (each.host, -each.seconds)),
        failures=[
            Failure(row["trial_id"], labels[row["trial_id"]], str(row.get("error")))
            for row in ended
            if row["status"] == "failed"
        ],
        hosts=[_host(heartbeat, now) for heartbeat in heartbeats],
        rows=ended,
    )


def run_state(manifest: Mapping[str, Any], heartbeats: Sequence[Mapping[str, Any]], now: float) -> State:
    """The state of a run.

    Args:
        heartbeats: of the newest session. now: in seconds since 1970.
    """
    ended = manifest.get("status")
    if ended in ("finished", "interrupted"):
        return ended
    if _alive(heartbeats, now):
        return "running"
    began = moment(manifest.get("session_started_at") or manifest.get("started_at"))
    latest = max((heartbeat["started_at"] for heartbeat in heartbeats), default=0.0)
    if latest < began - 2:  # of an earlier session, so this one loads; the manifest has whole seconds
        return "starting" if now - began < START_SECONDS else "no sign of life"
    # hosts are closed before the last files are written
    closed = max(heartbeat["written_at"] for heartbeat in heartbeats)
    return "running" if now - closed < QUIET_SECONDS else "no sign of life"


def _alive(heartbeats: Sequence[Mapping[str, Any]], now: float) -> list[Mapping[str, Any]]:
    """Those of hosts that are at work."""
    return [b for b in heartbeats if not b["closed"] and now - b["written_at"] < QUIET_SECONDS]


def _seconds_left(
    trials: Sequence[TrialConfig],
    to_choose: int,
    rows: Sequence[Mapping[str, Any]],
    running: Sequence[Running],
    alive: Sequence[Mapping[str, Any]],
    now: float,
    share: bool,
) -> float | None:
    """At the pace of this session; what ended in earlier ones is neither work done nor work to do."""
    if not alive:
        return None
    began = alive[0]["started_at"]
    earlier = {row["trial_id"] for row in rows if moment(row.get("finished_at")) < began}
    ready = min(heartbeat["ready_at"] for heartbeat in alive)
    todo = {config.trial_id: config for config in trials if config.trial_id not in earlier}
    tally = Tally(todo, started=began, since=ready, share=share, unchosen=to_choose, hosts=len(alive))
    found = {heartbeat["host"]: asked_of(heartbeat) for heartbeat in alive}
    tally.asked({host: asked for host, asked in found.items() if asked is not None})
    for each in running:
        if each.trial_id in todo:
            tally.report(each.trial_id, {"optimizer_step": each.step})
    for row in rows:
        if row["trial_id"] in todo:
            tally.report(row["trial_id"], {**row, "optimizer_step": row.get("steps")})
            if row["status"] == "stopped":
                tally.stop(row["trial_id"])
    return tally.seconds_left(now)


def _worked(manifest: Mapping[str, Any], heartbeats: Sequence[Mapping[str, Any]], now: float | None) -> float:
    """Seconds of all sessions. The manifest counts one when it has ended in order; one that was cut off
    lasted until its hosts were last heard of.

    Args:
        now: if hosts are at work.
    """
    counted = float(manifest.get("wall_seconds") or 0.0)
    if not heartbeats or (counted and manifest.get("status") in ("finished", "interrupted")):
        return counted
    until = now or max(heartbeat["written_at"] for heartbeat in heartbeats)
    return counted + max(0.0, until - heartbeats[0]["started_at"])


def _host(heartbeat: Mapping[str, Any], now: float) -> HostState:
    names = ("host", "machine", "device", "slots", "occupied", "waiting", "tokens_per_second", "fraction")
    return HostState(*(heartbeat[name] for name in names), quiet_seconds=now - heartbeat["written_at"])


def state_of(folder: RunFolder) -> State:
    """How the run stands, from its manifest and what its hosts wrote last.

    Raises:
        UserError: the run is gone.
    """
    folder.fs.invalidate_cache()  # file systems of buckets remember listings
    return run_state(folder.read_json(MANIFEST), read_heartbeats(folder), time.time())


def stored_space(folder: RunFolder) -> Space:
    """The space of a run as stored, unchecked: belief files need not be on this machine."""
    source = f"{folder.url}/{SPACE}"
    try:
        return Space(SpaceFile.model_validate(yaml.safe_load(folder.read_bytes(SPACE))), source)
    except (ValidationError, yaml.YAMLError) as error:
        raise UserError(
            f"{source}: cannot be read ({str(error).splitlines()[0]}); was the run made by another version "
            "of beliefmod?"
        ) from None


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a row has values for; its empty columns would double what 100,000 rows take."""
    return {name: value for name, value in without_files(row).items() if value is not None}
