"""`beliefmod stop` and `clone` on runs without a sweep: what they refuse, and what they leave."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from beliefmod.cli import steer
from beliefmod.cli.app import app
from beliefmod.config import split_name
from beliefmod.errors import UserError
from beliefmod.monitor.status import stored_space
from beliefmod.run.by_hand import answered, asked, record
from beliefmod.run.folder import RunFolder
from beliefmod.run.source_adapters import source_adapter
from beliefmod.worker.checkpoints import Checkpoint, pack
from tests.sealed_small import small_sealed_run


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return small_sealed_run(tmp_path)


def say(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, done.output


def lora(run: RunFolder) -> str:
    return next(config.trial_id for config in stored_space(run).trials() if config.arm == "lora")


def test_a_run_that_has_ended_has_nothing_to_stop(run: RunFolder):
    code, said = say("stop", run.url, lora(run))
    assert code == 2 and "the sweep has finished, so there is nothing to stop" in said


@pytest.mark.parametrize("command", ["stop", "clone"])
def test_a_trial_that_is_not_there(run: RunFolder, command: str):
    code, said = say(command, run.url, "nobody")
    assert code == 2 and "has no trial nobody; its trials are listed by beliefmod logs" in said


def test_a_clone_says_every_mistake(run: RunFolder):
    code, said = say("clone", run.url, lora(run), "--set", "learning_rate=-1", "--set", "lora.rr=2")
    assert code == 2 and "must be above 0, not -1" in said and "unknown field" in said
    for changes, why in (
        ((), "say what the clone changes"),
        (("--from-checkpoint", "--set", "lora.r=2"), "and a lora.r of 4 at least"),
        (("--set", "lora.start_from=/a"), "begins as its source did, or with --from-checkpoint"),
        (("--set", "lora.r=64"), "ranks up to 4"),
        (("--set", "arm=full"), "is of the arm of its source"),
        (("--set", "template.enable_thinking=false"), "is asked as its run asks"),
        (("--set", "learning_rate=2e-4"), "which the run has already"),
    ):
        code, said = say("clone", run.url, lora(run), *changes)
        assert code == 2 and why in " ".join(said.split()), said
    base = next(config.trial_id for config in stored_space(run).trials() if config.arm == "base")
    assert say("clone", run.url, base, "--seed", "1")[0] == 2
    assert asked(run) == {}


def test_a_clone_into_a_run_that_has_ended_waits_for_resume(run: RunFolder):
    code, said = say("clone", run.url, lora(run)[:6], "--set", "lora.lora_alpha=5", "--seed", "4")
    assert code == 0 and f"run it with: beliefmod resume {run.url}" in said
    [deed] = asked(run).values()
    assert deed and deed.trial and said.startswith(deed.trial_id)
    assert (deed.trial.lora.lora_alpha, deed.trial.seed, deed.trial.lora.r) == (5, 4, 4)
    assert deed.changes == ("lora.lora_alpha=5", "seed=4") and deed.source == lora(run)
    code, said = say("clone", run.url, lora(run), "--set", "lora.lora_alpha=5", "--seed", "4")
    assert code == 2 and "already" in said, "asked for twice"


def test_a_running_sweep_is_waited_for(run: RunFolder, monkeypatch):
    monkeypatch.setattr(steer, "_state", lambda folder: "running")
    trial_id = lora(run)
    run.delete("rows", f"{trial_id}.json")

    def driver() -> None:
        while not asked(run):
            time.sleep(0.02)
        [(name, deed)] = asked(run).items()
        if does and deed:
            record(run, deed)
        answered(run, name)

    does = True
    thread = threading.Thread(target=driver)
    thread.start()
    code, said = say("stop", run.url, trial_id)
    thread.join()
    assert code == 0 and "is being stopped" in said
    run.delete("by_hand", f"stopped-{trial_id}.json")
    does = False
    (thread := threading.Thread(target=driver)).start()
    code, said = say("stop", run.url, trial_id)
    thread.join()
    assert code == 2 and "has seen it and not done it" in said
    monkeypatch.setattr(steer, "TAKEN_SECONDS", 0.1)
    code, said = say("stop", run.url, trial_id)
    assert code == 0 and "the sweep has not seen it" in said


def test_a_clone_begins_with_what_a_trial_has(run: RunFolder):
    """Its saved adapter, else its last checkpoint, as a copy in the run that its name pins."""
    trial_id = lora(run)
    code, said = say("clone", run.url, trial_id, "--from-checkpoint")
    [deed] = asked(run).values()
    assert code == 0 and deed and deed.trial and deed.changes == ("the weights of its adapter",), said
    kept, pin = split_name(deed.trial.lora.start_from or "")
    assert Path(kept, "adapter_model.safetensors").read_bytes() == f"the weights of {trial_id}".encode()
    assert pin and pin.endswith("-r4") and Path(kept).name == pin
    assert deed.trial.label.endswith(f"-from-{pin}-s0")
    shutil.rmtree(run.path("adapters", trial_id))
    code, said = say("clone", run.url, trial_id, "--from-checkpoint")
    assert code == 2 and "has no checkpoint, and no adapter" in said
    weights = {"model.layers.0.q_proj": (torch.ones(4, 3), torch.full((5, 4), 2.0))}
    state = {"step": 7, "weights": weights, "moments": None}
    run.write_bytes(pack(Checkpoint(state, [], 1.0), "any"), "checkpoints", f"{trial_id}.safetensors")
    code, said = say("clone", run.url, trial_id, "--from-checkpoint", "--set", "learning_rate=1e-3")
    deed = next(each for each in asked(run).values() if each and len(each.changes) == 2)
    assert code == 0 and deed.trial, said
    assert deed.changes == ("learning_rate=1e-3", "the weights of its checkpoint after step 7")
    found = source_adapter(deed.trial.lora.start_from or "", run)
    assert (found.rank, found.alpha) == (4, 32.0)
    assert all(
        torch.equal(*pair) for pair in zip(found.tensors[next(iter(weights))], *weights.values(), strict=True)
    )
    path = Path(split_name(deed.trial.lora.start_from or "")[0], "adapter_model.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="is not the adapter that was copied"):
        source_adapter(deed.trial.lora.start_from or "", run)
