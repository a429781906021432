"""What hosts did, kept in the run folder as `usage/HOST-INCARNATION.json`, and what it says of the machine.

A host rewrites its file every few seconds, so that one that is killed loses little of the account. A host
that Ray starts again writes another file.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from beliefmod.capacity.limit import Machine, Model, limit
from beliefmod.engine.usage import Work
from beliefmod.errors import StorageTrouble
from beliefmod.run.folder import RunFolder
from beliefmod.run.manifest import update_manifest

if TYPE_CHECKING:
    from beliefmod.capacity.calibrate import Calibration
    from beliefmod.capacity.choose import Choice
    from beliefmod.engine.usage import Usage

SECONDS = 10.0
FOLDER = "usage"


@dataclass
class UsageLog:
    """Writes one host's account.

    Attributes:
        started_at: when the driver began, in seconds since 1970: tells attempts of one run apart.
        peak_bytes: asks for the most memory that the host has held so far.
    """

    folder: RunFolder
    host: str
    started_at: float
    usage: Usage
    calibration: Calibration
    choice: Choice
    peak_bytes: Callable[[], int]

    def __post_init__(self) -> None:
        self._name = f"{self.host}-{uuid.uuid4().hex[:8]}.json"

    @property
    def machine(self) -> Machine:
        """This host as the formulas of the limit see it."""
        return Machine(
            hosts=1,
            flops=self.calibration.flops,
            bandwidth=self.calibration.bandwidth,
            most_slots=self.choice.most_slots,
            most_cache_tokens=self.choice.most_cache_tokens,
        )

    def write(self) -> None:
        """Write what there is so far; storage that fails is the business of those who write results."""
        account = {
            "host": self.host,
            "started_at": self.started_at,
            "written_at": time.time(),
            "machine": asdict(self.machine),
            "model": asdict(self.calibration.model),
            "peak_bytes": self.peak_bytes(),
            **self.usage.as_dict(),
        }
        with suppress(OSError, StorageTrouble):
            self.folder.write_json(account, FOLDER, self._name)


def record_limit(folder: RunFolder, started_at: float, wall_seconds: float) -> dict[str, Any] | None:
    """Put the run's fraction of the machine's limit, all attempts together, into the manifest.

    An earlier attempt lasted from its start to the last account of it.

    Args:
        started_at: of the attempt that ends now, as hosts wrote it. wall_seconds: how long it took.

    Returns:
        the manifest's entry; None when no host has left an account.
    """
    records = _records(folder)
    if not records:
        return None
    seconds = {started_at: wall_seconds}
    for account in records:
        begin = account["started_at"]
        if begin != started_at:
            seconds[begin] = max(seconds.get(begin, 0.0), account["written_at"] - begin)
    machines = [Machine(**account["machine"]) for account in records]
    hosts = max(len({a["host"] for a in records if a["started_at"] == begin}) for begin in seconds)
    machine = Machine(
        hosts=hosts,
        flops=fmean(each.flops for each in machines),
        bandwidth=fmean(each.bandwidth for each in machines),
        most_slots=min(each.most_slots for each in machines),
        most_cache_tokens=min(each.most_cache_tokens for each in machines),
    )
    found = limit(Work.total(records), Model(**records[0]["model"]), machine, sum(seconds.values()))
    found["shrinks"] = [sentence for account in records for sentence in account["shrinks"]]
    found["attempts"] = len(seconds)
    found["host_bytes"] = max(account.get("peak_bytes", 0) for account in records)
    update_manifest(folder, limit=found)
    return found


def _records(folder: RunFolder) -> list[Mapping[str, Any]]:
    """All accounts in the folder, in a stable order; one cut short by a crash counts as absent."""
    found = []
    for path in sorted(folder.fs.glob(folder.path(FOLDER, "*.json"))):
        with suppress(ValueError):
            account = json.loads(folder.fs.cat_file(path))
            if {"host", "started_at", "written_at", "machine", "model", "shrinks"} <= set(account):
                found.append(account)
    return found
