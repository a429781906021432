"""What a process may use: cores, memory and GPUs, from made-up cgroups and Slurm environments."""

import os
from pathlib import Path

import psutil
import pytest

from beliefmod.capacity.granted import (
    granted_cores,
    granted_memory,
    local_ray_resources,
    visible_gpus,
)
from beliefmod.capacity.slurm import array_problem, slurm_cores, slurm_memory

GIB = 2**30
HERE = len(os.sched_getaffinity(0))
NOBODY = Path("/nonexistent")
JOB = {"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "16", "SLURM_CPUS_PER_TASK": "8"}


def cgroup(root: Path, membership: str, **files: str) -> dict[str, Path]:
    """A made-up file system of cgroups; in names of files `__` stands for /."""
    for name, content in files.items():
        path = root / "cgroup" / name.replace("__", "/").replace("-", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    (root / "membership").write_text(membership + "\n")
    return {"cgroups": root / "cgroup", "membership": root / "membership"}


def test_a_batch_script_has_the_jobs_cores_and_a_task_its_own():
    assert slurm_cores({}) is None
    assert slurm_cores(JOB) == 16
    assert slurm_cores({**JOB, "SLURM_STEP_ID": "0"}) == 8
    assert slurm_cores({**JOB, "SLURM_CPUS_ON_NODE": "8(x2)"}) is None
    assert granted_cores({"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "1"}, NOBODY, NOBODY) == 1
    assert granted_cores(JOB, NOBODY, NOBODY) == min(HERE, 16)


def test_memory_is_granted_by_node_or_by_core_and_0_is_all():
    assert slurm_memory({"SLURM_MEM_PER_NODE": "4096"}) is None
    assert slurm_memory({**JOB, "SLURM_MEM_PER_NODE": "4096"}) == 4 * GIB
    assert slurm_memory({**JOB, "SLURM_MEM_PER_CPU": "1024"}) == 16 * GIB
    assert slurm_memory({**JOB, "SLURM_MEM_PER_NODE": "0"}) is None
    total, free = granted_memory({"SLURM_JOB_ID": "7", "SLURM_MEM_PER_NODE": "100"}, NOBODY, NOBODY)
    assert (total, free) == (100 * 2**20, 100 * 2**20)


def test_a_limit_above_a_cgroup_of_version_1_holds_in_it(tmp_path):
    """As under Slurm: the task's own folder has no limit, its step's has."""
    place = cgroup(
        tmp_path,
        "9:name=systemd:/\n4:memory:/slurm/job_7/task_0\n1:cpu,cpuacct:/slurm/job_7",
        **{
            "memory__slurm__job_7__task_0__memory-limit_in_bytes": "9223372036854771712",
            "memory__slurm__job_7__task_0__memory-usage_in_bytes": "1",
            "memory__slurm__job_7__memory-limit_in_bytes": str(2**20 * 10),
            "memory__slurm__job_7__memory-usage_in_bytes": str(2**20 * 7),
            "memory__slurm__job_7__memory-stat": f"cache 1\ntotal_inactive_file {2**20 * 3}",
            "cpu,cpuacct__x": "",
            "cpu__slurm__job_7__cpu-cfs_quota_us": "150000",
            "cpu__slurm__job_7__cpu-cfs_period_us": "100000",
        },
    )
    assert granted_memory({}, **place) == (10 * 2**20, 6 * 2**20)
    assert granted_cores({}, **place) == 1  # one and a half


def test_a_cgroup_of_version_2_and_a_container_that_hides_the_path_to_it(tmp_path):
    place = cgroup(
        tmp_path,
        "0::/user.slice/somewhere/else",
        **{"memory-max": str(2**20), "memory-current": str(2**19), "cpu-max": "100000 100000"},
    )
    assert granted_memory({}, **place) == (2**20, 2**19)
    assert granted_cores({}, **place) == 1
    place = cgroup(tmp_path, "0::/", **{"memory-max": "max", "cpu-max": "max 100000"})
    assert granted_memory({}, **place)[0] == psutil.virtual_memory().total
    assert granted_cores({}, **place) == HERE


def test_affinity_counts():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert granted_cores({}, NOBODY, NOBODY) == 1
        assert local_ray_resources({}) == {"num_cpus": 1}
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("0,3", ("0", "3")),
        ("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", ("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6",)),
        ("MIG-41b0, MIG-GPU-8932f937/1/0", ("MIG-41b0", "MIG-GPU-8932f937/1/0")),
        ("", ()),
        ("NoDevFiles", ()),
        ("-1", ()),
    ],
)
def test_names_of_gpus(said: str, names: tuple[str, ...]):
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": said}) == names
    assert visible_gpus({"HIP_VISIBLE_DEVICES": said}) == names
    told = local_ray_resources({"CUDA_VISIBLE_DEVICES": said}).get("num_gpus")
    assert told == (len(names) if not names or names[0].startswith("MIG") else None)


def test_nobody_said_which_gpus():
    assert visible_gpus({}) is None
    assert "num_gpus" not in local_ray_resources({})


def test_tasks_of_an_array_need_folders_of_their_own():
    task = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "10"}
    said = array_problem(task, "/shared/runs")
    assert (
        said
        and said.startswith("/shared/runs: this is task 3 of a Slurm array of 10 jobs")
        and "\n" not in said
    )
    assert array_problem(task, "/shared/runs13") == said.replace("/shared/runs", "/shared/runs13")
    assert array_problem(task, "/shared/runs/3") is None
    assert array_problem({**task, "SLURM_ARRAY_TASK_COUNT": "1"}, "/shared/runs") is None
    assert array_problem({}, "/shared/runs") is None
