"""What `ray start` is told on a node that others use too."""

import sys

import pytest
import ray
from ray.scripts import scripts

from beliefmod.fleet import ray_node
from beliefmod.fleet.devices import allocate_devices

NAMES = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6,MIG-41b0a0b2-5f0c-5b6e-8a5a-1f2d3c4b5a69"


def test_ray_is_told_what_was_granted(monkeypatch):
    job = {"SLURM_JOB_ID": "7", "SLURM_CPUS_ON_NODE": "1", "SLURM_MEM_PER_NODE": "1024"}
    said = ray_node.node_options({**job, "CUDA_VISIBLE_DEVICES": NAMES})
    assert {"--num-cpus=1", "--num-gpus=2", f"--memory={896 * 2**20}"} <= set(said)
    assert "--num-gpus=0" in ray_node.node_options(job)
    heard = []
    monkeypatch.setattr(sys, "argv", ["ray_node", "--address=10.0.0.1:20000"])
    monkeypatch.setattr(
        scripts, "main", lambda: heard.append((sys.argv, scripts.get_ray_client_dependency_error()))
    )
    monkeypatch.setattr(scripts, "get_ray_client_dependency_error", scripts.get_ray_client_dependency_error)
    ray_node.main()
    [(words, why)] = heard
    assert words[:2] == ["ray", "start"] and words[-1] == "--address=10.0.0.1:20000" and why is not None


def test_ray_takes_every_option():
    known = {name for option in scripts.start.params for name in option.opts}
    assert {word.partition("=")[0] for word in ray_node.node_options({})} <= known


@pytest.mark.long
@pytest.mark.slow
def test_engines_get_gpus_by_uuid_and_mig_name(monkeypatch):
    """Ray 2.60 hands a name on as it stands in CUDA_VISIBLE_DEVICES, each to one process."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", NAMES)

    @ray.remote(num_gpus=1, num_cpus=0)
    class Engine:
        def given(self) -> tuple[str, ...]:
            allocation = allocate_devices(1.0)
            allocation.check()
            return allocation.accelerators

    ray.init(address="local", num_cpus=1, num_gpus=2, include_dashboard=False, log_to_driver=False)
    try:
        engines = [Engine.remote() for _ in range(2)]
        found = ray.get([engine.given.remote() for engine in engines], timeout=60)  # pyright: ignore
        assert sorted(found) == [(name,) for name in sorted(NAMES.split(","))]
    finally:
        ray.shutdown()
