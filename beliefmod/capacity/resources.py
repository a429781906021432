"""How many hosts, slots and threads a sweep uses on the machines it has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from beliefmod.capacity.granted import granted_cores

# the process of a Tune trial, which only waits for its host, takes about 0.12 GB; sixteen per two cores is
# where start-up begins to dominate
TRIALS_PER_CORE = 8
# of machines that are yet to start it is only known how many GPUs they have; the smallest have so many cores
CORES_PER_GPU = 4
# what a trial away from the head takes of a core: small, so that a host that died finds room to come back
CORE_SHARE = 1 / 16
# questioning a trial costs about as much as this many of its steps; for balance and the time left only
QUESTIONING_STEPS = 30
# what hosts usually choose for themselves, for a plan that is made before any of them has started
CPU_SLOTS = 4
GPU_SLOTS = 16
GPU_FLOPS_ELSEWHERE = 1e14
"""Assumed where the GPUs are not in the machine that plans: of the order of an A10G, L4 or A100 in bf16."""


@dataclass(frozen=True)
class Capacity:
    """What a sweep may use; 0 means "choose".

    Attributes:
        hosts: engines, one per GPU; without a GPU one per core, for small matrix products gain nothing from a
            second thread.
        hosts_per_gpu: engines that share a GPU and its memory.
        slots: trials that train side by side on one host; while it is 0 every host chooses its own.
        parking: adapters that wait to be questioned on one host, once hosts have chosen.
        chosen_slots: of the hosts that have said so, in their order.
        places: trials at a time that keep these hosts busy.
        threads: CPU threads of one host.
        gpus: whether hosts hold a GPU each.
        cores: cores of the driver's machine, which the processes of Tune's trials share.
        cluster_cores: cores of all machines, those that may start included.
        own_ray: whether no other sweep shares this Ray.
    """

    hosts: int = 0
    hosts_per_gpu: int = 1
    slots: int = 0
    parking: int = 0
    chosen_slots: tuple[int, ...] = ()
    places: int = 0
    threads: int = 0
    gpus: bool = False
    cores: int = 0
    cluster_cores: int = 0
    own_ray: bool = False

    def on(self, cluster: Mapping[str, Any]) -> Capacity:
        """The choice for a cluster's resources, what the user set kept; slots are left to the hosts.

        Fewer hosts than the GPUs could share get a GPU each as far as there are any: Ray would fill one GPU
        before it takes the next.
        """
        gpus = int(cluster.get("GPU", 0))
        cpus = max(1, int(cluster.get("CPU", 1)))
        hosts = self.hosts or (gpus * self.hosts_per_gpu if gpus else cpus)
        return replace(
            self,
            hosts=hosts,
            hosts_per_gpu=min(self.hosts_per_gpu, math.ceil(hosts / gpus)) if gpus else self.hosts_per_gpu,
            threads=self.threads or max(1, cpus // hosts),
            gpus=gpus > 0,
            cores=granted_cores(),
            cluster_cores=max(cpus, CORES_PER_GPU * gpus),
        )

    def excess(self, cluster: Mapping[str, Any]) -> str | None:
        """Why a cluster cannot give what was asked for, and what to ask for instead; None if it can."""
        gpus, cpus = int(cluster.get("GPU", 0)), max(1, int(cluster.get("CPU", 1)))
        if not gpus and self.hosts_per_gpu > 1:
            return f"--hosts-per-gpu {self.hosts_per_gpu}: there is no GPU here; leave it out"
        most = gpus * self.hosts_per_gpu if gpus else cpus
        if self.hosts <= most:
            return None
        count, kind = (gpus, "GPU") if gpus else (cpus, "core")
        there = f"is 1 {kind}" if count == 1 else f"are {count} {kind}s"
        way = f"--hosts {most} at most"
        if gpus:
            way += f", or --hosts-per-gpu {math.ceil(self.hosts / gpus)} if the model is small"
        each = f" for {self.hosts_per_gpu} engines each" if gpus and self.hosts_per_gpu > 1 else ""
        return f"--hosts {self.hosts}: there {there}{each}; give {way}"

    @property
    def gpu_share(self) -> float:
        """What a host takes of a GPU, in Ray's ten-thousandths; 0 without GPUs."""
        return int(10_000 / self.hosts_per_gpu) / 10_000 if self.gpus else 0.0

    def chosen(self, facts: Sequence[Mapping[str, Any]]) -> Capacity:
        """With the slots and parking places that hosts have chosen, as they say in their facts.

        Of hosts that are not ready yet it is assumed that they choose as the largest of those that are.
        """
        engines = [each.get("engine", {}) for each in facts]
        slots = [engine.get("slots", self.expected_slots) for engine in engines]
        parking = [engine.get("parking", self.parking) for engine in engines]
        places = [_places(*sizes) for sizes in zip(slots, parking, strict=True)]
        to_come = max(0, self.hosts - len(places)) * max(places)
        return replace(
            self,
            slots=slots[0],
            parking=parking[0],
            chosen_slots=tuple(slots),
            places=sum(places) + to_come,
        )

    @property
    def expected_slots(self) -> int:
        """Slots as asked for or chosen, or as a host is likely to choose."""
        return self.slots or (GPU_SLOTS if self.gpus else CPU_SLOTS)

    @property
    def concurrent(self) -> int:
        """Tune trials at a time: enough to fill the slots while those that are trained wait to be questioned.
        Each costs about 2 CPU-seconds to start, so no more than that."""
        cores = self.cores if self.on_head else self.cluster_cores
        return max(1, min(self._wanted, TRIALS_PER_CORE * cores))

    @property
    def on_head(self) -> bool:
        """Whether processes of Tune's trials stay on the driver's machine; a lost GPU machine then ends none.

        That of a cluster may be too small to keep all its GPUs busy; then they go where there is room.
        """
        fit = self._wanted <= TRIALS_PER_CORE * self.cores
        return fit or self.own_ray or not self.gpus or self.cluster_cores <= self.cores

    @property
    def _wanted(self) -> int:
        return self.places or self.hosts * _places(self.expected_slots, self.parking)

    @property
    def slots_in_words(self) -> str:
        """Slots of a host for a person: `4`, or `8 to 16` where hosts differ."""
        known = self.chosen_slots or (self.expected_slots,)
        return str(known[0]) if min(known) == max(known) else f"{min(known)} to {max(known)}"

    @property
    def trial_resources(self) -> dict[str, float]:
        """What Ray is asked for to run the process of a Tune trial."""
        return {"node:__internal_head__": self.head_share} if self.on_head else {"CPU": CORE_SHARE}

    @property
    def head_share(self) -> float:
        """What a trial takes of its machine's one unit, in Ray's ten-thousandths.

        Tune starts a process for the trial after the last that runs if there is room for it, and throws it
        away when an old process becomes free: 1 to 2 CPU-seconds for every trial. So the room is made to
        end at `concurrent`; but not where others need the rest of it.
        """
        return int(10_000 / self.concurrent) / 10_000 if self.own_ray else 0.0001


def _places(slots: int, parking: int) -> int:
    """Trials that one host can have at a time: in its slots, and waiting to be questioned."""
    return slots + (parking or slots)
