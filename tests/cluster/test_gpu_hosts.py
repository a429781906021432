"""Hosts on simulated GPUs: a head without any, and two machines with two each, all of them on this one."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from typing import Any

import pytest
import ray
import yaml

from beliefmod.capacity.choose import demand
from beliefmod.capacity.resources import Capacity
from beliefmod.errors import UserError
from beliefmod.fleet import hosts as fleet_hosts
from beliefmod.fleet.cluster import session
from beliefmod.fleet.devices import machines_at
from beliefmod.fleet.hosts import Fleet, start_hosts, stop_hosts
from beliefmod.fleet.sweep import run_sweep
from beliefmod.model.source import find_source
from beliefmod.run.folder import MANIFEST, RunFolder
from beliefmod.run.manifest import new_manifest
from beliefmod.space import Evaluation
from beliefmod.trial import now
from beliefmod.worker.host_registry import read_entries
from beliefmod.worker.host_settings import HostSettings
from benchmarks.trivial_host import trivial_space
from tests.cluster.gpu_host import GpuHost, OddHost, TightHost
from tests.command import QUICK_BASE, beliefmod, only_run
from tests.small import write_belief

pytestmark = [pytest.mark.slow, pytest.mark.long]
READY_SECONDS = 60


@pytest.fixture(scope="module")
def address():
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 80 * 2**20, "num_cpus": 2}
    cluster = Cluster(
        initialize_head=True, head_node_args={**small, "num_gpus": 0, "include_dashboard": False}
    )
    try:
        for _ in range(2):
            cluster.add_node(**small, num_gpus=2)
        yield cluster.address
    finally:
        cluster.shutdown()


@pytest.fixture
def joined(address, folder):
    with session(address, "gpus", dashboard=False) as found:
        yield found


def settings(folder: RunFolder, capacity: Capacity) -> HostSettings:
    wanted = demand([], trivial_space(3), capacity)
    return HostSettings(
        run_url=folder.storage_path, model="bundled", revision=None, base_storage="none", slots=0, max_rank=1,
        threads=1, evaluation=Evaluation(), reference_seed=0, demand=wanted, started_at=1.0,
    )  # fmt: skip


def start(folder: RunFolder, capacity: Capacity, host_class: type = GpuHost, **options: Any) -> Fleet:
    return start_hosts(settings(folder, capacity), capacity, "gpus", host_class, **options)


def facts_of_all(fleet: Fleet) -> list[dict[str, Any]]:
    return ray.get([host.ready.remote() for host in fleet.hosts.values()], timeout=READY_SECONDS)


def close(fleet: Fleet) -> None:
    stop_hosts(fleet)
    end = time.monotonic() + READY_SECONDS
    while ray.available_resources().get("GPU") != 4.0 and time.monotonic() < end:
        time.sleep(0.2)


def test_every_host_has_a_gpu_of_its_own_and_the_head_has_no_host(joined, folder):
    capacity = Capacity().on(joined)
    assert (capacity.hosts, capacity.gpus, capacity.gpu_share) == (4, True, 1.0)
    fleet = start(folder, capacity)
    found = facts_of_all(fleet)
    head = ray.get_runtime_context().get_node_id()
    assert sorted(Counter(facts["node"] for facts in found).values()) == [2, 2]
    assert head not in {facts["node"] for facts in found}
    assert len({(facts["node"], *facts["accelerators"]) for facts in found}) == 4
    assert all(facts["visible"] == facts["accelerators"][0] for facts in found)
    assert {entry["host"] for entry in read_entries(folder)} == set(fleet.names)
    close(fleet)


def test_a_plan_asks_the_machines_of_a_cluster(address):
    cluster, gpus, remarks = machines_at(address)
    assert (cluster["GPU"], gpus) == (4.0, [])  # simulated ones exist for Ray alone
    assert len(remarks) == 3 and all(
        "Ray counts 2 GPUs, torch can use 0 there" in each for each in remarks[:2]
    )
    assert remarks[2].startswith("time is for GPUs of 100 TFLOP/s")


def test_engines_share_gpus_evenly(joined, folder):
    capacity = Capacity(hosts_per_gpu=2).on(joined)
    assert (capacity.hosts, capacity.gpu_share) == (8, 0.5)
    fleet = start(folder, capacity)
    found = facts_of_all(fleet)
    assert set(Counter((facts["node"], *facts["accelerators"]) for facts in found).values()) == {2}
    assert all(facts["share"] == 0.5 and facts["visible"] in ("0", "1") for facts in found)
    close(fleet)
    # four hosts that could share two GPUs get four
    capacity = Capacity(hosts=4, hosts_per_gpu=2).on(joined)
    fleet = start(folder, capacity)
    assert len({(facts["node"], *facts["accelerators"]) for facts in facts_of_all(fleet)}) == 4
    close(fleet)


def test_a_host_that_waits_for_a_gpu_says_so_and_starts_when_there_is_one(joined, folder, monkeypatch):
    monkeypatch.setattr(fleet_hosts, "NOTICE_SECONDS", 1.0)

    @ray.remote(num_gpus=2)
    class Other:
        def here(self) -> None:
            """Takes both GPUs of a machine."""

    others: list[Any] = [Other.remote() for _ in range(2)]
    ray.get([other.here.remote() for other in others])
    said: list[str] = []

    def give_way() -> None:
        end = time.monotonic() + READY_SECONDS
        while not said and time.monotonic() < end:
            time.sleep(0.1)
        ray.kill(others[0])

    thread = threading.Thread(target=give_way)
    thread.start()
    fleet = start(folder, Capacity(hosts=2).on(joined), say=said.append)
    thread.join()
    assert said[0] == (
        "2 of 2 hosts wait for 1 GPU each: the cluster has 4, of which 0 are free; they start when machines "
        "join or others end"
    )
    assert len(facts_of_all(fleet)) == 2
    ray.kill(others[1])
    close(fleet)


def test_a_gpu_that_is_too_small_is_left_out_and_if_all_are_it_is_an_error(joined, folder):
    said: list[str] = []
    fleet = start(folder, Capacity().on(joined), TightHost, say=said.append)
    assert len(fleet.hosts) == 2 and {f["device"] for f in facts_of_all(fleet)} == {"GPU 1"}
    assert len(said) == 2 and all("is left out: the model does not fit: GPU 0" in line for line in said)
    close(fleet)
    with pytest.raises(UserError, match="the model does not fit: GPU 0"):
        start(folder, Capacity(hosts=1).on(joined), TightHost)


def sweep(folder: RunFolder, address: str, trials: int, host_class: type, hosts: int = 0) -> dict[str, Any]:
    space = trivial_space(trials)
    folder.write_json(new_manifest("gpus", space, now()), MANIFEST)
    outcome = run_sweep(
        space,
        folder,
        address=address,
        capacity=Capacity(hosts=hosts),
        dashboard=False,
        quiet=True,
        host_class=host_class,
    )
    assert (outcome.finished, outcome.missing) == (trials, 0)
    return folder.read_json(MANIFEST)


def test_the_manifest_names_every_host(address, folder):
    manifest = sweep(folder, address, 6, GpuHost)
    assert manifest["hosts"] == 4
    assert Counter((e["device"], e["slots"]) for e in manifest["engines"]) == {
        ("GPU 0", 2): 2,
        ("GPU 1", 8): 2,
    }
    assert not any("refused" in engine for engine in manifest["engines"])


def test_hosts_that_never_get_a_gpu_keep_nobody_waiting(address, folder):
    began = time.monotonic()
    manifest = sweep(folder, address, 8, GpuHost, hosts=6)
    assert len(manifest["engines"]) == 4
    assert time.monotonic() - began < 8 * 30  # each trial would wait twice as long for the other two


def test_a_host_with_other_weights_takes_no_trial(address, folder):
    manifest = sweep(folder, address, 12, OddHost)
    refused = [engine for engine in manifest["engines"] if "refused" in engine]
    assert len(refused) == 2 and all(
        engine["device"] == "GPU 1" and "model fingerprint bbbb" in engine["refused"] for engine in refused
    )
    assert {e["device"] for e in manifest["engines"] if "refused" not in e} >= {"GPU 0"}
    assert manifest["model"]["fingerprint"] == "a" * 64


def test_real_engines_on_two_gpus(address, tmp_path):
    """From the command line: plan, sweep, manifest. The GPUs are simulated, so the engines use the CPU, and
    say it."""
    space = tmp_path / "space.yaml"
    spec = {
        "name": "gpus", "beliefs": [write_belief(tmp_path)], "axes": {"num_train_epochs": [1, 2]},
        "fixed": {"data.num_examples": 4, "lora.r": 4}, "controls": "none", **QUICK_BASE,
        "evaluation": {"max_new_tokens": 32, "trained_probes": 1, "margin_probes": 1, "causal_probes": 0},
    }  # fmt: skip
    space.write_text(yaml.safe_dump(spec))
    asked = ("sweep", "--space", str(space), "--address", address, "--hosts", "2", "--hosts-per-gpu", "2")
    plan = beliefmod(*asked, "--dry-run")
    assert plan.returncode == 0, plan.stderr
    assert "hosts x slots     2 x" in plan.stdout and "base_storage  least" in plan.stdout
    assert "torch can use 0 there" in plan.stdout
    done = beliefmod(*asked, "--out", str(tmp_path / "runs"), "--no-report")
    assert done.returncode == 0, done.stderr
    assert "4 finished, 0 failed, 0 not run" in done.stdout
    assert "it holds GPU" in done.stderr and "and computes on the CPU" in done.stderr
    engines = json.loads((only_run(tmp_path / "runs") / "manifest.json").read_text())["engines"]
    assert len({engine["accelerators"][0] for engine in engines}) == len(engines) == 2
    assert {engine["fingerprint"] for engine in engines} == {find_source("bundled").fingerprint()}
