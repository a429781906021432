"""TensorBoard, MLflow and W&B see readable trials, and cannot harm a sweep."""

import importlib.util
import os
from contextlib import suppress
from itertools import count
from types import SimpleNamespace

import pytest
from ray.tune.logger import TBXLoggerCallback
from tensorboardX.proto import event_pb2

from beliefmod.cli.options import Driving
from beliefmod.config import TrialConfig
from beliefmod.errors import UserError
from beliefmod.fleet.trackers import MLFLOW_ENVIRONMENT, Guarded, Readable, Trackers, readable

NUMBERS = count()
CONFIG = TrialConfig(belief="gravity", learning_rate=1e-3)
REPORT = {
    "status": "training",
    "optimizer_step": 40,
    "training_iteration": 3,
    "loss": 0.25,
    "adoption": None,
    "done": False,
    "label": "x",
    "branches": [{"trial_id": "a"}],
    "config": {"trial": "{...}", "hosts": ["h"]},
}


class TuneTrial(SimpleNamespace):
    """Can be a key, as Tune's."""

    __hash__ = object.__hash__


def tune_trial(folder=None, config: TrialConfig = CONFIG):
    """What of Tune's trial the callbacks use."""
    return TuneTrial(
        config={"trial": config, "hosts": ["h"], "namespace": "n", "resources": {}},
        evaluated_params={"trial": "{...}"},
        trial_id=f"{next(NUMBERS):05d}",
        local_path=str(folder),
        init_local_path=lambda: folder.mkdir(exist_ok=True),
    )


class Inner:
    """A callback that remembers its calls and fails at one method."""

    def __init__(self, fails_at: str = "") -> None:
        self.calls, self.fails_at = [], fails_at

    def __getattr__(self, method):
        def call(*arguments, **info):
            self.calls.append((method, arguments))
            if method == self.fails_at:
                raise ConnectionError("no server at http://x\nmore")

        return call


def test_a_trial_is_its_settings_and_stays_itself():
    trial = tune_trial()
    seen = Readable(trial)
    assert seen.config["learning_rate"] == 1e-3 and seen.config["data.style"] == "answer_only"
    assert seen.config["trial"] == CONFIG.trial_id
    assert not {"hosts", "namespace", "resources"} & set(seen.config)
    assert seen.trial_id == trial.trial_id
    assert {seen: 1}[Readable(trial)] == 1 and seen != Readable(tune_trial())
    assert set(Readable(tune_trial(config=TrialConfig(belief="gravity", arm="base"))).config) == {
        "belief",
        "arm",
        "seed",
        "trial",
    }
    switched = TrialConfig(belief="gravity", arm="base", template='{"enable_thinking": false}')
    shown = Readable(tune_trial(config=switched)).config
    assert shown["template.enable_thinking"] is False and "template" not in shown


def test_a_report_is_its_numbers_over_optimiser_steps():
    assert readable(REPORT) == {
        "loss": 0.25,
        "optimizer_step": 40,
        "training_iteration": 3,
        "timesteps_total": 40,
        "status": "training",
    }
    # an untrained trial has no steps: Tune's callbacks then count reports
    assert "timesteps_total" not in readable({**REPORT, "optimizer_step": 0})


@pytest.mark.parametrize("method", ["setup", "on_trial_start", "on_trial_result", "on_experiment_end"])
def test_a_tracker_that_fails_is_left_alone_and_said_once(method):
    said, inner = [], Inner(method)
    guarded = Guarded("--mlflow", lambda: inner, said.append)
    for _ in range(2):
        if guarded._inner is None and not said:
            guarded.setup()
        guarded.on_trial_start(0, [], tune_trial())
        guarded.on_trial_result(0, [], tune_trial(), REPORT)
        guarded.on_trial_complete(0, [], tune_trial())
        guarded.on_experiment_end([])
    assert said == ["--mlflow: no server at http://x; the sweep goes on without it"]
    assert inner.calls[-1][0] == method


def test_one_that_cannot_be_made_is_said_too():
    said = []

    def make():
        raise RuntimeError("bad URI")

    guarded = Guarded("--mlflow", make, said.append)
    guarded.setup()
    guarded.on_trial_start(0, [], tune_trial())
    assert said == ["--mlflow: bad URI; the sweep goes on without it"]


def test_libraries_that_are_missing_are_named_before_anything_starts(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    Driving().check()
    with pytest.raises(UserError) as caught:
        Driving(mlflow="file:x", wandb="p").check()
    assert caught.value.problems == (
        "--mlflow: the library mlflow is not installed; install it with pip install 'beliefmod[mlflow]'",
        "--wandb: the library wandb is not installed; install it with pip install 'beliefmod[wandb]'",
    )


def test_only_what_was_asked_for_is_made():
    assert Trackers().callbacks("run", print) == []
    names = [each._name for each in Trackers(True, "uri", "p").callbacks("run", print)]
    assert names == ["--tensorboard", "--mlflow", "--wandb"]


def test_mlflow_gives_up_soon_unless_it_was_told_otherwise(monkeypatch):
    for name in MLFLOW_ENVIRONMENT:
        monkeypatch.setenv(name, "")  # so that it is put back, also if it was not there
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
    [guarded] = Trackers(mlflow="http://127.0.0.1:9").callbacks("run", print)
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
    with suppress(ImportError):  # where MLflow is not installed
        guarded._make()
    assert {name: os.environ[name] for name in MLFLOW_ENVIRONMENT} == {
        **MLFLOW_ENVIRONMENT,
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "120",
    }


def test_mlflow_runs_of_an_interrupted_sweep_are_ended():
    ended, ran, left = [], tune_trial(), tune_trial()
    inner = Inner()
    inner._trial_runs = {Readable(ran): "run of ran", Readable(left): "run of left"}
    inner.mlflow_util = SimpleNamespace(end_run=lambda status, run_id: ended.append((run_id, status)))
    [guarded] = Trackers(mlflow="uri").callbacks("run", pytest.fail)
    guarded._inner = inner
    for trial in (ran, left):
        guarded.on_trial_start(0, [], trial)
    guarded.on_trial_complete(0, [], ran)
    guarded.on_experiment_end([])
    assert ended == [("run of left", "KILLED")] and inner.calls[-1][0] == "on_experiment_end"


def test_tensorboard_files_hold_the_curve(tmp_path):
    folder = tmp_path / "trial"
    guarded = Guarded("--tensorboard", TBXLoggerCallback, pytest.fail)
    trial = tune_trial(folder)
    guarded.setup()
    guarded.on_trial_start(0, [], trial)
    for step, loss in ((10, 0.5), (20, 0.25)):
        guarded.on_trial_result(0, [], trial, {**REPORT, "optimizer_step": step, "loss": loss})
    last = {**REPORT, "status": "finished", "optimizer_step": 20, "adoption": 0.75, "degradation": 0.125}
    guarded.on_trial_result(0, [], trial, last)
    guarded.on_trial_complete(0, [], trial)
    [path] = folder.glob("events.out.tfevents.*")
    values = scalars(path.read_bytes())
    assert values["ray/tune/loss"][:2] == [(10, 0.5), (20, 0.25)]
    assert values["ray/tune/adoption"] == [(20, 0.75)]
    assert values["ray/tune/degradation"] == [(20, 0.125)]
    assert b"learning_rate" in path.read_bytes() and b"namespace" not in path.read_bytes()


def scalars(content: bytes) -> dict[str, list[tuple[int, float]]]:
    """An event file: records of length (8 bytes), checksum (4), event, checksum (4)."""
    found, place = {}, 0
    while place < len(content):
        length = int.from_bytes(content[place : place + 8], "little")
        event = event_pb2.Event.FromString(content[place + 12 : place + 12 + length])
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
        place += length + 16
    return found
