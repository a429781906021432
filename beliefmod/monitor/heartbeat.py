"""What every host says of itself now, in the run folder as `live/HOST.json`, rewritten every few seconds.

`beliefmod status` and `watch` read it, from any machine that sees the folder. A host that Ray starts again
writes over its predecessor's.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from beliefmod.capacity.limit import Machine, Model, limit
from beliefmod.engine.usage import Work
from beliefmod.errors import StorageTrouble
from beliefmod.probing.asking_progress import Asked
from beliefmod.run.folder import RunFolder

if TYPE_CHECKING:
    from beliefmod.worker.queue import TrialSnapshot

FOLDER = "live"
SECONDS = 5.0
COUNTED = {"train": "tokens", "write": "generated_tokens", "read": "read_tokens"}
"""What is shown per second -> the counter of `Work`."""
NEEDED = {"host", "machine", "started_at", "ready_at", "written_at", "closed", "trials", "waiting"}


@dataclass
class Heartbeat:
    """Writes one host's state.

    Attributes:
        started_at: when the driver began, in seconds since 1970: tells sessions of one run apart.
        work: the engine's counters; `look`: the trials that run, and how many wait.
        show: is given every state that is written.
        asked: how far it has come with its questions.
        clock: in seconds, for what took how long: the time of day may jump.
    """

    folder: RunFolder
    host: str
    device: str
    started_at: float
    machine: Machine
    model: Model
    work: Work
    slots: int
    look: Callable[[], tuple[list[TrialSnapshot], int]]
    show: Callable[[Mapping[str, Any]], None] | None = None
    ready_at: float = field(default_factory=time.time)
    asked: Callable[[], Asked] = Asked
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._ready = self.clock()
        self._before = (self._ready, self._counts())
        self._writing, self._closed = threading.Lock(), False

    def write(self, closed: bool = False) -> None:
        """Write what is so now; storage that fails is the business of those who write results.

        Args:
            closed: the host ends in order; a write that comes late changes nothing any more.
        """
        with self._writing:
            if self._closed:
                return
            self._closed = closed
            state = self.state(closed)
            if self.show is not None:
                self.show(state)
            with suppress(OSError, StorageTrouble):
                self.folder.write_json(state, FOLDER, f"{self.host}.json")

    def state(self, closed: bool = False) -> dict[str, Any]:
        """What is written."""
        trials, waiting = ([], 0) if closed else self.look()
        now, (then, before) = self.clock(), self._before
        counts, seconds = self._counts(), max(now - then, 1e-3)
        self._before = (now, counts)
        rates = {name: round((counts[name] - before[name]) / seconds, 1) for name in COUNTED}
        return {
            "host": self.host,
            "machine": socket.gethostname(),
            "device": self.device,
            "started_at": self.started_at,
            "ready_at": self.ready_at,
            "written_at": time.time(),
            "closed": closed,
            "slots": self.slots,
            "occupied": sum(trial.state == "training" for trial in trials),
            "waiting": waiting,
            "tokens_per_second": rates,
            "fraction": self._fraction(now - self._ready),
            "asked": asdict(Asked() if closed else self.asked()),
            "trials": [asdict(trial) for trial in trials],
        }

    def _counts(self) -> dict[str, int]:
        return {name: getattr(self.work, counter) for name, counter in COUNTED.items()}

    def _fraction(self, at_work: float) -> float:
        loading = max(self.ready_at - self.started_at, 0.0)
        wall = max(loading + at_work, 1.0)
        return limit(self.work, self.model, self.machine, wall)["fraction"]


def asked_of(heartbeat: Mapping[str, Any]) -> Asked | None:
    """How far a host has come with its questions; None where an older version wrote the heartbeat."""
    found = heartbeat.get("asked")
    try:
        return Asked(**found) if isinstance(found, dict) else None
    except TypeError:
        return None


def asked_so_far(folder: RunFolder, started_at: float) -> dict[str, Asked]:
    """How far hosts have come with their questions, by host; none where the folder cannot be read now.

    Args:
        started_at: of their session, in seconds since 1970.
    """
    with suppress(Exception):  # whatever a bucket's library raises: what is shown must not end a sweep
        ours = [each for each in read_heartbeats(folder) if each["started_at"] == started_at]
        found = {heartbeat["host"]: asked_of(heartbeat) for heartbeat in ours}
        return {host: asked for host, asked in found.items() if asked is not None}
    return {}


def read_heartbeats(folder: RunFolder) -> list[dict[str, Any]]:
    """What the hosts of the newest session have written last; one that cannot be read counts as absent."""
    found = []
    names = [f"{FOLDER}/{name}" for name in folder.entries(FOLDER) if name.endswith(".json")]
    for content in folder.read_many(names).values():
        with suppress(ValueError):
            heartbeat = json.loads(content)
            if isinstance(heartbeat, dict) and set(heartbeat) >= NEEDED:
                found.append(heartbeat)
    newest = max((heartbeat["started_at"] for heartbeat in found), default=0.0)
    return [heartbeat for heartbeat in found if heartbeat["started_at"] == newest]
