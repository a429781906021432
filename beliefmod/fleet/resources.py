"""How many hosts, slots and threads a sweep uses on the machines it has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

# a thin trial process takes about 0.12 GB; sixteen per two cores is where start-up begins to dominate
TRIALS_PER_CORE = 8
# questioning a trial costs about as much as this many of its steps; for balance and the time left only
QUESTIONING_STEPS = 30
CPU_SLOTS = 4
GPU_SLOTS = 16


@dataclass(frozen=True)
class Capacity:
    """What a sweep may use; 0 means "choose".

    Attributes:
        hosts: engines, one per GPU; without a GPU one per core, for small matrix products gain nothing from a
            second thread.
        slots: trials that train side by side on one host.
        threads: CPU threads of one host.
        gpus: whether hosts hold a GPU each.
        cores: cores of the driver's machine, which the thin trials share.
    """

    hosts: int = 0
    slots: int = 0
    threads: int = 0
    gpus: bool = False
    cores: int = 0

    def on(self, cluster: Mapping[str, Any]) -> Capacity:
        """The choice for a cluster's resources, what the user set kept."""
        gpus = int(cluster.get("GPU", 0))
        cpus = max(1, int(cluster.get("CPU", 1)))
        hosts = self.hosts or (gpus if gpus else cpus)
        return replace(
            self,
            hosts=hosts,
            slots=self.slots or (GPU_SLOTS if gpus else CPU_SLOTS),
            threads=self.threads or max(1, cpus // hosts),
            gpus=gpus > 0,
            cores=os.cpu_count() or 1,
        )

    @property
    def concurrent(self) -> int:
        """Tune trials at a time: enough to fill the slots, not so many that starting them dominates."""
        return max(1, min(self.hosts * self.slots, TRIALS_PER_CORE * self.cores))
