"""What this process may use of its machine: cores, memory and GPUs that affinity, cgroups and Slurm grant it.

Ray 2.60 reads the root cgroup only, which is a container's own but not a Slurm job's, and psutil reads none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from beliefmod.capacity.slurm import slurm_cores, slurm_memory

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
NO_GPU = ("", "NoDevFiles", "-1")
"""What CUDA_VISIBLE_DEVICES says where there is none: nothing, Slurm's word, the usual way to hide all."""
VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
"""Where a process is told which GPUs it may use, NVIDIA's and AMD's."""


def granted_cores(
    environ: Mapping[str, str] = os.environ, cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP
) -> int:
    """Cores that this process may use, at least 1: the least of affinity (with cpusets), quotas and Slurm."""
    has_affinity = hasattr(os, "sched_getaffinity")
    found = [len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1]
    found += [int(quota) for quota in _quotas(cgroups, membership)]
    if granted := slurm_cores(environ):
        found.append(granted)
    return max(1, min(found))


def granted_memory(
    environ: Mapping[str, str] = os.environ, cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP
) -> tuple[int, int]:
    """Bytes of memory that this process and what it starts may use, and those of them that are free now."""
    import psutil

    machine = psutil.virtual_memory()
    total, free = getattr(machine, "total", machine.available), machine.available
    for limit, used in _memory_limits(cgroups, membership):
        total, free = min(total, limit), min(free, max(0, limit - used))
    if granted := slurm_memory(environ):
        total, free = min(total, granted), min(free, granted)
    return total, free


def visible_gpus(environ: Mapping[str, str] = os.environ) -> tuple[str, ...] | None:
    """Names of the GPUs that this process may use, as indices, UUIDs or MIG instances; None if nobody said.

    >>> visible_gpus({"CUDA_VISIBLE_DEVICES": "0,MIG-41b0"})
    ('0', 'MIG-41b0')
    """
    said = next((environ[name] for name in VISIBLE if name in environ), None)
    if said is None:
        return None
    return () if said.strip() in NO_GPU else tuple(name.strip() for name in said.split(","))


def local_ray_resources(environ: Mapping[str, str] = os.environ) -> dict[str, int]:
    """What `ray.init` must be told of this machine, for Ray itself counts others' cores, and whole GPUs where
    only MIG instances of one are granted."""
    resources = {"num_cpus": granted_cores(environ)}
    names = visible_gpus(environ)
    if names is not None and (not names or any(name.startswith("MIG") for name in names)):
        resources["num_gpus"] = len(names)
    return resources


def _levels(controller: str, cgroups: Path, membership: Path) -> Iterator[tuple[bool, Path]]:
    """Folders of this process's cgroup and all above it, with whether they are of version 2. A limit anywhere
    holds for all below; a path that a container does not show is passed over."""
    lines: list[str] = []
    with suppress(OSError):
        lines = membership.read_text().splitlines()
    for line in lines:
        number, names, path = [*line.split(":", 2), "", ""][:3]
        second = number == "0" and not names
        if not second and controller not in names.split(","):
            continue
        root = cgroups if second else cgroups / controller
        folder = root / path.strip("/")
        while folder != root.parent:
            if folder.is_dir():
                yield second, folder
            folder = folder.parent


def _quotas(cgroups: Path, membership: Path) -> Iterator[float]:
    """Cores' worth of time, at every level that limits it."""
    for second, folder in _levels("cpu", cgroups, membership):
        if second:
            words = [*_read(folder / "cpu.max").split(), "", ""]
            quota, period = words[0], words[1]
        else:
            quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(quota) and int(period):
            yield int(quota) / int(period)


def _memory_limits(cgroups: Path, membership: Path) -> Iterator[tuple[int, int]]:
    """Limit and use in bytes, at every level that has a limit. Files that are merely cached do not count as
    used: the kernel drops them before a limit is reached."""
    for second, folder in _levels("memory", cgroups, membership):
        names = ("memory.max", "memory.current", "inactive_file")
        if not second:
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        limit, used = _read(folder / names[0]), _read(folder / names[1])
        if limit.isdigit() and used.isdigit():
            stat = dict(
                line.split(" ", 1) for line in _read(folder / "memory.stat").splitlines() if " " in line
            )
            yield int(limit), max(0, int(used) - int(stat.get(names[2], 0)))


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text().strip()
    return ""
