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
# what hosts usually choose for themselves, for a plan that is made before any of them has started
CPU_SLOTS = 4
GPU_SLOTS = 16


@dataclass(frozen=True)
class Capacity:
    """What a sweep may use; 0 means "choose".

    Attributes:
        hosts: engines, one per GPU; without a GPU one per core, for small matrix products gain nothing from a
            second thread.
        slots: trials that train side by side on one host; while it is 0 every host chooses its own.
        parking: adapters that wait to be questioned on one host, once hosts have chosen.
        threads: CPU threads of one host.
        gpus: whether hosts hold a GPU each.
        cores: cores of the driver's machine, which the thin trials share.
        own_ray: whether no other sweep shares this Ray.
    """

    hosts: int = 0
    slots: int = 0
    parking: int = 0
    threads: int = 0
    gpus: bool = False
    cores: int = 0
    own_ray: bool = False

    def on(self, cluster: Mapping[str, Any]) -> Capacity:
        """The choice for a cluster's resources, what the user set kept; slots are left to the hosts."""
        gpus = int(cluster.get("GPU", 0))
        cpus = max(1, int(cluster.get("CPU", 1)))
        hosts = self.hosts or (gpus if gpus else cpus)
        return replace(
            self,
            hosts=hosts,
            threads=self.threads or max(1, cpus // hosts),
            gpus=gpus > 0,
            cores=os.cpu_count() or 1,
        )

    def chosen(self, facts: Mapping[str, Any]) -> Capacity:
        """With the slots and parking places that a host has chosen, as it says in its facts."""
        engine = facts.get("engine", {})
        return replace(
            self,
            slots=engine.get("slots", self.expected_slots),
            parking=engine.get("parking", self.parking),
        )

    @property
    def expected_slots(self) -> int:
        """Slots as asked for or chosen, or as a host is likely to choose."""
        return self.slots or (GPU_SLOTS if self.gpus else CPU_SLOTS)

    @property
    def concurrent(self) -> int:
        """Tune trials at a time: enough to fill the slots while some of those that are trained wait to be
        questioned. Each costs about 2 CPU-seconds to start, so no more than that."""
        places = self.expected_slots + (self.parking or self.expected_slots) // 2
        return max(1, min(self.hosts * places, TRIALS_PER_CORE * self.cores))

    @property
    def head_share(self) -> float:
        """What a trial takes of its machine's one unit, in Ray's ten-thousandths.

        Tune starts a process for the trial after the last that runs if there is room for it, and throws it
        away when an old process becomes free: 1 to 2 CPU-seconds for every trial. So the room is made to
        end at `concurrent`; but not where others need the rest of it.
        """
        return int(10_000 / self.concurrent) / 10_000 if self.own_ray else 0.0001
