"""`sbatch docs/cluster/slurm.sh` with Slurm's own daemons: preempted, a node lost, out of time, chained.

Takes minutes and root: `make machines` runs it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from beliefmod.model.source import find_source
from tests.chaos.chaos import differences, leftovers, table, write_space
from tests.cluster.slurm_machines import COUNT, ROOT, SlurmMachines, lacking
from tests.command import only_run, wait_until
from tests.hub_cache import FIRST, NAME, add_version

SCRIPT = ROOT / "docs" / "cluster" / "slurm.sh"
SETTINGS = ("--no-report", "--checkpoint-every", "0.5", "--slots", "2")
SECONDS = 900
"""For anything to happen, on a machine with other work: Ray alone takes 5 to 40 s to start there."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(lacking() is not None, reason=str(lacking())),
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmMachines]:
    machines = SlurmMachines(tmp_path_factory.mktemp("slurm"))
    try:
        machines.up()
        yield machines
    finally:
        machines.down()


def submit(slurm: SlurmMachines, *options: str, runs: str = "runs") -> str:
    """A user's `sbatch`, with everything that the script's header asks to fill in."""
    home = {"VENV": Path(sys.executable).parents[1], "PYTHONPATH": ROOT, "OWN_DISK": "/tmp/ray"}
    given = {**home, "SPACE": "/shared/space.yaml", "MODEL": NAME, "RUNS": f"/shared/{runs}"}
    given["HF_HOME"] = "/shared/hf"
    exported = ",".join(f"{name}={value}" for name, value in given.items())
    return slurm.submit(
        "--nodes=2", "--cpus-per-task=2", "--gpus-per-node=1", "--mem=4G", "--time=30", "--signal=B:TERM@60",
        "--output=/shared/%j.log", f"--export=ALL,{exported}",
        *options, script=SCRIPT, arguments=SETTINGS,
    )  # fmt: skip


def in_training(slurm: SlurmMachines, job: str, since: float) -> bool:
    """Whether adapters in training have been kept since."""
    assert slurm.job(job)["JobState"] in ("PENDING", "RUNNING", "COMPLETING", "REQUEUED"), log(slurm, job)
    return any(path.stat().st_mtime > since for path in slurm.shared.glob("runs/*/checkpoints/*.safetensors"))


def ended(slurm: SlurmMachines, job: str) -> bool:
    return slurm.job(job)["JobState"] not in ("PENDING", "RUNNING", "COMPLETING")


def log(slurm: SlurmMachines, job: str) -> str:
    path = slurm.shared / f"{job}.log"
    return path.read_text() if path.exists() else ""


def test_one_run_survives_preemption_a_lost_node_and_the_time_limit(slurm: SlurmMachines):
    space = write_space(slurm.shared)
    longer = {"axes": {"num_train_epochs": [100, 600], "learning_rate": [1e-3, 5e-4]}}
    space.write_text(json.dumps(json.loads(space.read_text()) | longer | {"beliefs": ["/shared/small.yaml"]}))
    add_version(slurm.shared / "hf", FIRST, find_source("bundled").folder, refs=("main",))
    peaceful = submit(slurm, "--job-name=peaceful", runs="alone")
    wait_until(lambda: ended(slurm, peaceful), SECONDS, "a sweep in peace does not end")
    assert slurm.job(peaceful)["JobState"] == "COMPLETED", log(slurm, peaceful)

    first, second = submit(slurm), submit(slurm)  # a chain: the second one waits for the first one's end
    wait_until(lambda: in_training(slurm, first, 0.0), SECONDS, "nothing is trained")
    assert slurm.job(second)["Reason"] == "Dependency"
    own = f"/tmp/ray/bm{first}/hf"
    # the slower node's engines may still be starting; what any of them has read, it read from its own disk
    everywhere = [{own}] * COUNT
    wait_until(
        lambda: [slurm.read_model_from(machine) for machine in range(1, COUNT + 1)] == everywhere, SECONDS
    )
    began = time.time()
    slurm.submit("--partition=high", "--nodes=2", "--cpus-per-task=2", "--output=/dev/null")
    wait_until(lambda: slurm.job(first)["Restarts"] == "1", SECONDS, "the job is not preempted")
    wait_until(
        lambda: "go on with: beliefmod resume" in log(slurm, first), 60, "the sweep did not end in order"
    )
    wait_until(lambda: in_training(slurm, first, time.time() - 1) and time.time() > began + 40, SECONDS)
    print("preempted and requeued:", log(slurm, first))

    lost = time.time()
    slurm.lose(2)
    wait_until(
        lambda: in_training(slurm, first, lost + 15), SECONDS, "training does not go on without a node"
    )
    slurm.boot(2)
    assert slurm.job(first)["JobState"] == "RUNNING"
    ran = slurm.job(first)["RunTime"].split(":")
    slurm.limit(first, int(ran[0]) * 60 + int(ran[1]) + 1)
    wait_until(
        lambda: slurm.job(first)["JobState"] in ("FAILED", "TIMEOUT"), SECONDS, "the time does not end"
    )
    assert log(slurm, first).count("go on with: beliefmod resume") == 2, log(slurm, first)

    wait_until(lambda: ended(slurm, second), SECONDS)
    print("out of time:", log(slurm, first), "the next one:", log(slurm, second))
    assert slurm.job(second)["JobState"] == "COMPLETED" and "6 finished, 0 failed, 0 not run" in log(
        slurm, second
    )
    run = only_run(slurm.shared / "runs")
    assert leftovers(run) == []
    assert differences(table(only_run(slurm.shared / "alone")), table(run)) == []
    machines = {
        engine["machine"]: engine for engine in json.loads((run / "manifest.json").read_text())["engines"]
    }
    assert all(engine["accelerators"] == ["0"] for engine in machines.values())
    assert [slurm.processes(machine) for machine in range(1, COUNT + 1)] == [[]] * COUNT


def test_an_array_is_refused(slurm: SlurmMachines):
    job = submit(slurm, "--array=1-2", "--nodes=1", runs="array")
    logs = [slurm.shared / f"{int(job) + task}.log" for task in range(2)]
    sentence = "/shared/array: this is task 1 of a Slurm array of 2 jobs"
    wait_until(lambda: any(path.exists() and sentence in path.read_text() for path in logs), SECONDS)
    assert not list(slurm.shared.glob("array/*/manifest.json"))
    slurm.cancel(job)
