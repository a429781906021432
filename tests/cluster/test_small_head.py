"""A head that is too small for its GPUs' trials: they run on the GPU machine, simulated on this one."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
import ray
from ray._private.state import actors

from beliefmod.capacity import resources
from beliefmod.capacity.resources import Capacity
from beliefmod.fleet.sweep import run_sweep
from beliefmod.run.folder import MANIFEST, RunFolder
from beliefmod.run.manifest import new_manifest
from beliefmod.trial import now
from benchmarks.trivial_host import TrivialHost, trivial_space

pytestmark = [pytest.mark.slow, pytest.mark.long]
TRIALS = 14


def watch(seen: Counter[str], ended: threading.Event) -> None:
    """Count, again and again, where processes of trials are."""
    while not ended.wait(0.5):
        if ray.is_initialized():
            kinds = {
                node["NodeID"]: "GPU machine" if node["Resources"].get("GPU") else "head"
                for node in ray.nodes()
            }
            alive = [actor for actor in actors().values() if actor["State"] == "ALIVE"]
            seen.update(
                kinds[actor["Address"]["NodeID"]] for actor in alive if "Belief" in actor["ActorClassName"]
            )


def test_trials_run_away_from_the_head(tmp_path, monkeypatch):
    from ray.cluster_utils import Cluster

    monkeypatch.setattr(resources, "TRIALS_PER_CORE", 1)
    monkeypatch.setattr(resources, "granted_cores", lambda: 2)
    store = 80 * 2**20
    space, folder = trivial_space(TRIALS), RunFolder(str(tmp_path / "run"))
    folder.create()
    folder.write_json(new_manifest("trivial", space, now()), MANIFEST)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"object_store_memory": store, "num_cpus": 0, "include_dashboard": False},
    )
    seen, ended = Counter(), threading.Event()
    watcher = threading.Thread(target=watch, args=(seen, ended), daemon=True)
    try:
        cluster.add_node(num_cpus=4, num_gpus=1, object_store_memory=store)
        watcher.start()
        outcome = run_sweep(
            space,
            folder,
            address=cluster.address,
            capacity=Capacity(slots=4),
            dashboard=False,
            quiet=True,
            host_class=TrivialHost,
        )
    finally:
        ended.set()
        watcher.join(timeout=10)
        cluster.shutdown()
    assert outcome.finished == TRIALS
    assert set(seen) == {"GPU machine"}
