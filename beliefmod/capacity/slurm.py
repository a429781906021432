"""What Slurm says of a job in its environment. Pure: the environment comes in as a mapping."""

from __future__ import annotations

import re
from collections.abc import Mapping

MIB = 2**20


def slurm_cores(environ: Mapping[str, str]) -> int | None:
    """Cores that Slurm granted this process on its node; None outside Slurm.

    A batch script has all of the job's cores there, a task of `srun` those of one task.
    """
    if "SLURM_JOB_ID" not in environ:
        return None
    said = [_number(environ, "SLURM_CPUS_ON_NODE")]
    if "SLURM_STEP_ID" in environ:
        said.append(_number(environ, "SLURM_CPUS_PER_TASK"))
    return min((each for each in said if each), default=None)


def slurm_memory(environ: Mapping[str, str]) -> int | None:
    """Bytes that Slurm granted this job on its node; None outside Slurm, or where it grants all."""
    if "SLURM_JOB_ID" not in environ:
        return None
    if per_node := _number(environ, "SLURM_MEM_PER_NODE"):
        return per_node * MIB
    per_core, cores = _number(environ, "SLURM_MEM_PER_CPU"), _number(environ, "SLURM_CPUS_ON_NODE")
    return per_core * cores * MIB if per_core and cores else None


def array_problem(environ: Mapping[str, str], folder: str) -> str | None:
    """Why this task of a job array must not work in a folder; None if it may.

    It may where the array has one task, or where its number is in the folder's path, so that every task has a
    folder of its own.
    """
    task, count = environ.get("SLURM_ARRAY_TASK_ID"), _number(environ, "SLURM_ARRAY_TASK_COUNT")
    if task is None or (count or 1) < 2 or re.search(rf"(?<!\d){re.escape(task)}(?!\d)", folder):
        return None
    return (
        f"{folder}: this is task {task} of a Slurm array of {count} jobs, and each would run the whole sweep "
        "there; give one job more nodes (sbatch --nodes=4), have jobs follow each other with "
        "--dependency=singleton, or give sweeps of their own folders of their own: --out "
        "RUNS/$SLURM_ARRAY_TASK_ID"
    )


def _number(environ: Mapping[str, str], name: str) -> int | None:
    """A whole number, None where there is none: Slurm also writes `8(x2)` and the like into other names."""
    text = environ.get(name, "")
    return int(text) if text.isdigit() else None
