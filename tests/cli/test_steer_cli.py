"""`beliefmod stop` and `clone` on runs without a sweep: what they refuse, and what they leave."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from beliefmod.cli import steer
from beliefmod.cli.app import app
from beliefmod.monitor.status import stored_space
from beliefmod.run.by_hand import answered, asked
from beliefmod.run.folder import RunFolder
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
        answered(run, next(iter(asked(run))))

    thread = threading.Thread(target=driver)
    thread.start()
    code, said = say("stop", run.url, trial_id)
    thread.join()
    assert code == 0 and "is being stopped" in said
    monkeypatch.setattr(steer, "TAKEN_SECONDS", 0.1)
    code, said = say("stop", run.url, trial_id)
    assert code == 0 and "the sweep has not seen it" in said
