"""A host that says which GPU it was given; its trials do nothing, its device, slots and weights are feigned.

In a module of its own without torch, for Ray imports it into every process that looks a host up.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from beliefmod.capacity.fit import DoesNotFit
from beliefmod.fleet.devices import allocate_devices
from beliefmod.fleet.host_build import actor_name
from beliefmod.run.folder import RunFolder
from beliefmod.worker.host_registry import Entry
from benchmarks.trivial_host import TrivialHost

SLOTS = {"0": 2, "1": 8}
"""By the GPU's id on its machine: the second one is larger."""


class GpuHost(TrivialHost):
    """Enters itself as a real host does."""

    async def ready(self) -> dict[str, Any]:
        if self._pack is None:
            await super().ready()
            allocation = allocate_devices(self._settings.demand.memory_share)
            allocation.check()
            gpu = allocation.accelerators[0] if allocation.accelerators else "-"
            self._facts |= {
                "fingerprint": self.fingerprint(gpu),
                "device": f"GPU {gpu}",
                "machine": os.environ.get("MACHINE", allocation.machine),
                "accelerators": list(allocation.accelerators),
                "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
                "share": allocation.share,
                "engine": {"slots": SLOTS.get(gpu, 1), "parking": 0},
                **where(),
            }
            await self.come(gpu)
            folder = RunFolder(self._settings.run_url)
            self._entry = Entry(folder, actor_name(), self._settings.started_at, self._facts)
            self._entry.write()
        return self._facts

    def fingerprint(self, gpu: str) -> str:
        """Of the weights that it pretends to have loaded."""
        return "a" * 64

    async def come(self, gpu: str) -> None:
        """Before it is ready."""


class OddHost(GpuHost):
    """The second GPU of every machine has other weights, is not the first to be ready, and seems to have the
    least work, so that trials come to it."""

    def fingerprint(self, gpu: str) -> str:
        return ("b" if gpu == "1" else "a") * 64

    async def come(self, gpu: str) -> None:
        if gpu == "1":
            await asyncio.sleep(1)

    async def backlog(self) -> float:
        return -1.0 if self._facts.get("device") == "GPU 1" else await super().backlog()


class TightHost(GpuHost):
    """The first GPU of every machine is too small."""

    async def come(self, gpu: str) -> None:
        if gpu == "0":
            self._pack = None
            raise DoesNotFit("the model does not fit: GPU 0")


def where() -> dict[str, str]:
    """The node, which on one machine its name does not tell."""
    import ray

    return {"node": ray.get_runtime_context().get_node_id()}
