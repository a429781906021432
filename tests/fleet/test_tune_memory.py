"""What is left of Tune's trials once they have ended, on Tune's own objects."""

import json
from types import SimpleNamespace

import pytest
from ray.train._internal.storage import StorageContext
from ray.tune.experiment import Trial

from beliefmod.fleet.tune_memory import EndedTrials


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Makes a trial of Tune's that runs and has reported twice."""
    monkeypatch.setattr(
        "ray.train._internal.storage._get_ray_train_session_dir", lambda: str(tmp_path / "session")
    )

    def make(name: str) -> Trial:
        storage = StorageContext(storage_path=str(tmp_path / "runs"), experiment_dir_name="tune")
        trial = Trial(
            "BeliefTrial",
            stub=True,
            trial_id=name,
            config={"trial": "x" * 500, "hosts": ["host"] * 100},
            storage=storage,
            evaluated_params={"trial": "x" * 500},
            experiment_tag="x" * 500,
            trial_dirname_creator=lambda one: one.trial_id,
        )
        trial.create_placement_group_factory()
        trial.init_local_path()
        trial.set_status(Trial.RUNNING)
        for step in (1, 2):
            trial.update_last_result({"training_iteration": step, "loss": 1.0 / step, "config": trial.config})
        return trial

    return make


def ended(
    trial: Trial, ended_trials: EndedTrials, trials: list[Trial], status: str = Trial.TERMINATED
) -> None:
    note = ended_trials.on_trial_complete if status == Trial.TERMINATED else ended_trials.on_trial_error
    note(1, trials, trial)
    trial.set_status(status)


def test_an_ended_trial_keeps_its_name_and_its_end_only(made):
    trials, ended_trials = [made("a"), made("b"), made("c")], EndedTrials()
    first, second, third = trials
    heavy = sum(map(len, first.get_json_state()))
    ended(first, ended_trials, trials)
    ended(second, ended_trials, trials, Trial.ERROR)
    ended_trials.on_step_end(1, trials)
    assert trials == [third]
    for trial, status in ((first, Trial.TERMINATED), (second, Trial.ERROR)):
        assert (trial.trial_id, trial.status, trial.is_finished()) == (str(trial.trial_id), status, True)
        told, measured = map(json.loads, trial.get_json_state())
        assert (told, measured) == ({"name": str(trial), "status": status}, {})
        assert sum(map(len, trial.get_json_state())) < 100 < 5000 < heavy
        assert trial.config == trial.evaluated_params == trial.metric_analysis == trial.metric_n_steps == {}
    assert third.metric_analysis["loss"]["last"] == 0.5 and third.config["trial"]


def test_one_that_is_only_about_to_end_waits_for_its_end(made):
    trials, ended_trials = [made("a"), made("b")], EndedTrials()
    ended_trials.on_trial_complete(1, trials, trials[0])  # its status changes after Tune's callbacks
    ended_trials.on_step_end(1, trials)
    assert len(trials) == 2 and trials[0].config
    trials[0].set_status(Trial.TERMINATED)
    ended_trials.on_step_end(2, trials)
    assert [trial.trial_id for trial in trials] == ["b"]


def test_tune_is_never_left_without_a_trial(made):
    # it would read the state file at the end
    trials, ended_trials = [made("a")], EndedTrials()
    for name in ("b", "c"):
        ended(trials[-1], ended_trials, trials)
        ended_trials.on_step_end(1, trials)
        assert len(trials) == 1
        trials.append(made(name))
    assert [trial.trial_id for trial in trials] == ["a", "c"]


def test_a_folder_goes_if_nothing_is_in_it(made):
    from pathlib import Path

    trials, ended_trials = [made("a"), made("b")], EndedTrials()
    folders = [Path(trial.local_path) for trial in trials]
    (folders[1] / "events.out.tfevents.1").write_text("curves")
    for trial in list(trials):
        ended(trial, ended_trials, trials)
    ended_trials.on_step_end(1, trials)
    assert [folder.exists() for folder in folders] == [False, True]


def test_a_step_in_which_none_ended_costs_nothing():
    ended_trials, trials = EndedTrials(), SimpleNamespace()  # would fail if it were looked through
    ended_trials.on_step_end(1, trials)  # pyright: ignore[reportArgumentType]
