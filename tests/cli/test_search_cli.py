"""Searches and schedulers from the command line, on real Ray with the bundled model."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import polars as pl
import pytest

from beliefmod.run.folder import RunFolder
from beliefmod.run.suggestions import read_suggestions
from tests.command import COMMAND, PLAIN, QUICK_BASE, beliefmod, only_run, wait_until
from tests.finished_run import small_space

pytestmark = pytest.mark.slow
QUICK = {
    "max_new_tokens": 64,
    "trained_probes": 2,
    "margin_probes": 2,
    "causal_probes": 0,
    "neutral_passages": 3,
}


def space(folder: Path, **changes: object) -> str:
    fixed = {"data.num_examples": 4, "lora.r": 4}  # one step per epoch
    return str(small_space(folder, **{"fixed": fixed, "evaluation": QUICK, **QUICK_BASE, **changes}))


def sweep(path: str, folder: Path, *options: str) -> tuple[Path, subprocess.CompletedProcess[str]]:
    done = beliefmod(
        "sweep", "--space", path, "--out", str(folder / "runs"), "--no-dashboard", "--hosts", "1", *options
    )
    assert done.returncode == 0, done.stderr
    return only_run(folder / "runs"), done


def rates(low: float, high: float) -> dict[str, object]:
    return {"loguniform": [low, high]}


@pytest.mark.long
def test_asha_ends_what_falls_behind_and_the_rest_is_measured(tmp_path):
    # a rate of 1e-7 learns nothing; it is last at every rung that another trial has reached before it
    axes = {"learning_rate": [3e-3, 2e-3, 1e-7, 2e-7, 3e-7], "num_train_epochs": [27]}
    run, done = sweep(space(tmp_path, axes=axes, search={"scheduler": "asha"}), tmp_path)
    trials = pl.read_parquet(run / "trials.parquet")
    ended = trials.filter(pl.col("status") == "stopped")
    assert 1 <= ended.height <= 4
    assert set(trials["status"]) == {"finished", "stopped"}
    assert f"{7 - ended.height} finished, 0 failed, {ended.height} stopped early, 0 not run" in done.stdout
    for row in ended.iter_rows(named=True):
        assert row["arm"] == "lora"
        assert 1 <= row["steps"] < 27
        assert (row["error"], row["adoption"], row["degradation"], row["adoption_n"]) == (
            None,
            None,
            None,
            None,
        )
        steps = pl.read_parquet(run / "steps" / f"{row['trial_id']}.parquet")
        assert steps.height == row["steps"]
        assert not (run / "adapters" / row["trial_id"]).exists()
        assert not (run / "probes" / f"{row['trial_id']}.parquet").exists()
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["trials"] == {
        "total": 7, "finished": 7 - ended.height, "failed": 0, "stopped": ended.height
    }  # fmt: skip
    told = "1 trial ended" if ended.height == 1 else f"{ended.height} trials ended"
    assert f"{told} early by the scheduler (asha, by loss)" in (run / "report.md").read_text()
    # what was ended stays so
    before = {path.name: path.stat().st_mtime_ns for path in (run / "rows").iterdir()}
    again = beliefmod("sweep", "--resume", str(run), "--no-dashboard")
    assert again.returncode == 0, again.stderr
    assert before == {path.name: path.stat().st_mtime_ns for path in (run / "rows").iterdir()}
    checked = beliefmod("verify", str(run))
    assert checked.returncode == 0, checked.stdout


@pytest.mark.long
def test_random_configurations_with_median_stopping_on_adoption(tmp_path):
    axes = {"learning_rate": rates(1e-4, 3e-3), "num_train_epochs": {"randint": [8, 13]}}
    search = {
        "method": "random", "num_samples": 6, "scheduler": "median", "scheduler_metric": "adoption",
        "grace_epochs": 4, "quick_probes": 3,
    }  # fmt: skip
    run, done = sweep(space(tmp_path, axes=axes, search=search), tmp_path, "--no-report")
    assert "8 trials on 1 hosts" in done.stderr
    trials = pl.read_parquet(run / "trials.parquet")
    assert trials.filter(pl.col("arm") == "lora").height == 6
    assert set(trials["status"]) <= {"finished", "stopped"}
    for row in trials.filter(pl.col("arm") == "lora").iter_rows(named=True):
        steps = pl.read_parquet(run / "steps" / f"{row['trial_id']}.parquet")
        asked = steps.filter(pl.col("quick_adoption").is_not_null())
        # from the fourth epoch on, but not at the trial's own end, where it is questioned as a whole
        last = row["steps"] - (row["status"] == "finished")
        assert asked["step"].to_list() == list(range(4, last + 1))
        assert asked["quick_adoption"].is_in([0.0, 1 / 3, 2 / 3, 1.0]).all()
    base = trials.filter(pl.col("arm").is_in(["base", "icl"]))
    assert set(base["status"]) == {"finished"}


@pytest.mark.long
def test_a_search_is_interrupted_without_ended_trials_and_goes_on_with_its_study(tmp_path):
    axes = {"learning_rate": rates(1e-4, 3e-3), "num_train_epochs": {"choice": [100, 120]}}
    # a scheduler is there, but has nothing to compare: what Tune stops at an interrupt was not its decision
    search = {"method": "optuna", "num_samples": 4, "scheduler": "median", "grace_epochs": 119}
    path, runs = space(tmp_path, axes=axes, search=search), tmp_path / "runs"
    started = subprocess.Popen(
        [*COMMAND, "sweep", "--space", path, "--out", str(runs), *PLAIN],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: len(list(runs.glob("*/search/*.json"))) >= 3, 120)
        wait_until(lambda: len(list(runs.glob("*/rows/*.json"))) >= 2, 120)
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=90)
    finally:
        started.kill()
    assert started.returncode == 130, err
    run = only_run(runs)
    assert "4 of them to be chosen as the sweep goes" in err
    assert {row["status"] for row in RunFolder(str(run)).rows()} == {"finished"}
    before = read_suggestions(RunFolder(str(run)))
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["trials"]["total"] == 6
    assert f"{6 - manifest['trials']['finished']} not run" in out

    again = beliefmod("sweep", "--resume", str(run), *PLAIN)
    assert again.returncode == 0, again.stderr
    assert "6 finished, 0 failed, 0 not run" in again.stdout
    trials = pl.read_parquet(run / "trials.parquet")
    suggestions = read_suggestions(RunFolder(str(run)))
    assert suggestions[: len(before)] == before
    chosen = [config.trial_id for suggestion in suggestions for config in suggestion.trials]
    assert chosen == list(dict.fromkeys(chosen))
    assert set(trials.filter(pl.col("arm") == "lora")["trial_id"]) == set(chosen)
    assert len(chosen) == 4
    assert json.loads((run / "manifest.json").read_text())["trials"]["total"] == 6
