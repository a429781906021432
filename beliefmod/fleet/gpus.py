"""The GPUs that a sweep would find, with their free memory: on this machine, or on a cluster's machines."""

from __future__ import annotations

import os
import socket
from typing import Any

from beliefmod.capacity.fit import Gpu
from beliefmod.capacity.plan import GPU_FLOPS_ELSEWHERE

ASK_SECONDS = 60.0


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
        return {"CPU": os.cpu_count() or 1, "GPU": len(gpus)}, gpus, []
    from beliefmod.fleet.cluster import session

    with session(address, "beliefmod-plan", dashboard=False) as cluster:
        gpus, remarks = gpus_of_cluster()
    if cluster.get("GPU") and not gpus_here():
        rate = f"{GPU_FLOPS_ELSEWHERE / 1e12:.0f} TFLOP/s"
        remarks.append(f"time is for GPUs of {rate}, for this machine has none to measure")
    return cluster, gpus, remarks
