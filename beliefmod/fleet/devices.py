"""GPUs: those that Ray gave a host, and those that a sweep would find, here or on a cluster."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Any

from beliefmod.capacity.fit import Gpu
from beliefmod.capacity.granted import VISIBLE, granted_cores
from beliefmod.capacity.resources import GPU_FLOPS_ELSEWHERE
from beliefmod.errors import UserError

ASK_SECONDS = 60.0


@dataclass(frozen=True)
class DeviceAllocation:
    """A host's part of a cluster.

    Attributes:
        managed: whether Ray manages this process; else it may use what it finds.
        accelerators: ids of the GPUs that Ray gave it, as in CUDA_VISIBLE_DEVICES of its process.
        share: of the device's memory.
    """

    managed: bool
    accelerators: tuple[str, ...]
    share: float
    machine: str

    def check(self) -> None:
        """Whether this process sees the GPUs that are its own and no others.

        Raises:
            UserError: it would compute on GPUs that belong to other hosts.
        """
        seen = [os.environ.get(name) for name in VISIBLE]
        if self.accelerators and ",".join(self.accelerators) not in seen:
            raise UserError(
                f"{self.machine}: Ray gave an engine GPU {', '.join(self.accelerators)}, but its process has "
                f"{VISIBLE[0]}={seen[0]}; start Ray there without RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"
            )

    @property
    def on_gpu(self) -> bool:
        """Whether to compute on a GPU: not where Ray gave none, though torch may see some.

        Ray leaves CUDA_VISIBLE_DEVICES alone in processes that hold no GPU (2.60, unless
        RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=1), and several engines would meet on the first one.
        """
        import torch

        return torch.cuda.is_available() and (bool(self.accelerators) or not self.managed)

    @property
    def device(self) -> str:
        """Where the model goes. A host sees no GPU of its machine but its own, so that is the first."""
        return "cuda:0" if self.on_gpu else "cpu"

    @property
    def remark(self) -> str | None:
        """What the user should know of this allocation; None if all is as it should be."""
        if self.accelerators and not self.on_gpu:
            import torch

            return (
                f"it holds GPU {', '.join(self.accelerators)}, which torch {torch.__version__} cannot use, "
                "and computes on the CPU; see beliefmod doctor there"
            )
        return None

    def free_bytes(self) -> int:
        """Memory that is this host's and free, before anything is loaded."""
        import torch

        from beliefmod.capacity.calibrate import free_bytes

        return free_bytes(torch.device(self.device), self.share)

    def device_name(self) -> str:
        """For people: the GPU's product name, or cpu."""
        import torch

        return torch.cuda.get_device_name(0) if self.on_gpu else "cpu"

    @property
    def place(self) -> str:
        """For sentences: `NVIDIA L4 of machine-3`, or without a GPU `machine machine-3`."""
        return f"{self.device_name()} of {self.machine}" if self.on_gpu else f"machine {self.machine}"

    def keep_to_share(self) -> None:
        """Have torch refuse this process more than its share of a GPU: it runs short, not its neighbour."""
        import torch

        if self.on_gpu and self.share < 1.0:
            torch.cuda.set_per_process_memory_fraction(self.share)


def allocate_devices(share: float) -> DeviceAllocation:
    """What Ray gave this process.

    Args:
        share: of a device's memory, as the driver planned it.
    """
    import ray

    if not ray.is_initialized():
        return DeviceAllocation(False, (), share, socket.gethostname())
    ids = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
    return DeviceAllocation(True, tuple(str(each) for each in ids), share, socket.gethostname())


def gpus_here() -> list[Gpu]:
    """Those of this machine that torch can use."""
    import torch

    machine, found = socket.gethostname(), []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        found.append(Gpu(machine, index, torch.cuda.get_device_name(index), total, free))
    return found


def gpus_of_cluster() -> tuple[list[Gpu], list[str]]:
    """Those of the machines that are in the cluster now, each asked by a task of its own, which takes no GPU.

    Returns:
        the GPUs, and sentences about machines whose GPUs nobody can use or that did not answer.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task: Any = ray.remote(num_cpus=0, max_calls=1)(gpus_here)
    asked = {}
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("GPU"):
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked[task.options(scheduling_strategy=there).remote()] = node
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=ASK_SECONDS) if asked else ([], [])
    found: list[Gpu] = []
    remarks = []
    for reference, node in asked.items():
        machine, counted = node["NodeManagerHostname"], node["Resources"]["GPU"]
        seen = ray.get(reference) if reference in answered else []
        found += seen
        if len(seen) != counted:
            remarks.append(f"{machine}: Ray counts {counted:g} GPUs, torch can use {len(seen)} there")
    return found, remarks


def machines_at(address: str | None) -> tuple[dict[str, Any], list[Gpu], list[str]]:
    """What a sweep would find: resources as Ray counts them, GPUs, and remarks about GPUs.

    Args:
        address: of a cluster; None for this machine, which is asked without Ray.

    Raises:
        UserError: no cluster answers at the address.
    """
    if address is None:
        gpus = gpus_here()
        return {"CPU": granted_cores(), "GPU": len(gpus)}, gpus, []
    from beliefmod.fleet.cluster import session

    with session(address, "beliefmod-plan", dashboard=False) as cluster:
        gpus, remarks = gpus_of_cluster()
    if cluster.get("GPU") and not gpus_here():
        rate = f"{GPU_FLOPS_ELSEWHERE / 1e12:.0f} TFLOP/s"
        remarks.append(f"time is for GPUs of {rate}, for this machine has none to measure")
    return cluster, gpus, remarks
