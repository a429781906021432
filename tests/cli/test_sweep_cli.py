"""The real command line on real Ray with the bundled model, as a user types it."""

import json

import polars as pl
import pytest

from beliefmod.capacity.limit import limit_line
from beliefmod.run.tables.trial_tables import TRIALS
from tests.command import PLAIN, QUICK_BASE, beliefmod, only_run
from tests.finished_run import copy_of, small_space
from tests.small import write_belief

pytestmark = pytest.mark.slow


def test_the_sweep_ends_by_naming_its_report(finished_sweep):
    run, done = finished_sweep
    assert f"report: {run / 'report.html'}" in done.stdout
    assert (run / "report.html").stat().st_size > 10_000
    assert "6 finished, 0 failed, 0 not run" in done.stdout
    assert "6 trials on" in done.stderr


def test_the_run_folder_is_as_designed(finished_sweep):
    run, _ = finished_sweep
    trials = pl.read_parquet(run / "trials.parquet")
    assert trials.columns == [column.name for column in TRIALS]
    assert sorted(trials["arm"].to_list()) == ["base", "icl", *["lora"] * 4]
    assert set(trials["status"]) == {"finished"}
    for row in trials.iter_rows(named=True):
        probes = pl.read_parquet(run / "probes" / f"{row['trial_id']}.parquet")
        heldout = probes.filter((pl.col("suite") == "belief") & (pl.col("tier") != "trained"))
        assert row["adoption"] == pytest.approx((heldout["answer_stance"] == "target").mean())
        assert row["adoption_n"] == heldout.height == 6
        if row["arm"] == "lora":
            assert (run / "adapters" / row["trial_id"] / "adapter_model.safetensors").is_file()
            steps = pl.read_parquet(run / "steps" / f"{row['trial_id']}.parquet")
            assert steps["step"].to_list() == list(range(1, row["num_train_epochs"] + 1))
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["trials"] == {"total": 6, "finished": 6, "failed": 0}
    assert len(manifest["model"]["fingerprint"]) == 64
    assert manifest["self_tests"] == {"untrained_drift": 0.0}
    assert [path.name for path in (run / "beliefs").iterdir()] == ["small.yaml"]
    for table in ("causal", "drift"):
        assert {path.stem for path in (run / table).iterdir()} == set(trials["trial_id"])


def test_the_sweep_says_how_near_it_came_to_the_machines_limit(finished_sweep):
    run, done = finished_sweep
    [line] = [line for line in done.stdout.splitlines() if line.startswith("limit: ")]
    found = json.loads((run / "manifest.json").read_text())["limit"]
    assert line == limit_line(found)
    # the sum over phases and the fraction, from what is written
    needed = sum(max(phase.values()) for phase in found["phases"].values())
    assert found["fraction"] == pytest.approx(needed / found["wall_seconds"])
    assert 0 < found["fraction"] < 1
    # every step that was taken, and no token less than the rows say
    steps = [len(pl.read_parquet(path)) for path in (run / "steps").iterdir()]
    assert found["work"]["longest_trial_steps"] == max(steps)
    assert found["work"]["trial_steps"] == 2 * max(steps)  # of each style the longer one; the other shares it
    generated = pl.read_parquet(run / "trials.parquet")["generated_tokens"].sum()
    assert found["work"]["generated_tokens"] >= generated > 0
    assert 1 <= found["slots_occupied"] <= found["slots"] and found["real_to_padded"] <= 1
    assert found["work"]["question_seconds"] > 0 and found["work"]["train_seconds"] > 0
    records = [json.loads(path.read_text()) for path in (run / "usage").iterdir()]
    assert sum(account["tokens"] for account in records) == found["work"]["tokens"]
    assert "## Speed" in (run / "report.md").read_text()


def test_every_configuration_is_a_tune_trial(finished_sweep):
    run, _ = finished_sweep
    [state] = (run / "tune").glob("experiment_state-*.json")
    ended = [json.loads(told) for told, _ in json.loads(state.read_text())["trial_data"]]
    assert {one["status"] for one in ended} == {"TERMINATED"}
    # Tune may write one anew that ended in its last step, by an id of its own
    named = {one["name"].rpartition("-")[2] for one in ended if "name" in one}
    trials = set(pl.read_parquet(run / "trials.parquet")["trial_id"])
    assert named <= trials and len(ended) == len(trials) <= len(named) + 1
    # Tune keeps nothing else of them: no pickles of nothing, no empty folders
    assert not list((run / "tune").glob("*/**/*.pkl")) and state.stat().st_size < 10_000


def test_trials_that_differ_only_in_epochs_are_one_run(finished_sweep):
    run, done = finished_sweep
    # two styles, four examples in one batch: the runs of four epochs pass through those of two
    assert "optimiser steps: 8 of 12 (33 % shared by trials that differ only in epochs)" in done.stderr
    usage = [json.loads(path.read_text()) for path in (run / "usage").iterdir()]
    assert sum(host["trial_steps"] for host in usage) == 8
    lora = pl.read_parquet(run / "trials.parquet").filter(pl.col("arm") == "lora")
    assert sorted(lora["steps"].to_list()) == [2, 2, 4, 4]
    for long in lora.filter(pl.col("steps") == 4).iter_rows(named=True):
        [short] = lora.filter(
            (pl.col("steps") == 2) & (pl.col("data.style") == long["data.style"])
        ).iter_rows(named=True)
        losses = [
            pl.read_parquet(run / "steps" / f"{row['trial_id']}.parquet")["loss"].to_list()
            for row in (short, long)
        ]
        assert losses[0] == losses[1][:2]


def test_resuming_a_finished_run_runs_nothing(finished_sweep):
    run, _ = finished_sweep
    before = (run / "rows").stat().st_mtime_ns
    again = beliefmod("sweep", "--resume", str(run))
    assert again.returncode == 0, again.stderr
    assert (run / "rows").stat().st_mtime_ns == before


@pytest.mark.long
def test_a_lost_row_is_run_again_and_comes_out_the_same(finished_sweep, tmp_path):
    run = copy_of(finished_sweep[0], tmp_path)
    trials = pl.read_parquet(run / "trials.parquet")
    lost = trials.filter(pl.col("data.style") == "own_trace").row(0, named=True)
    (run / "rows" / f"{lost['trial_id']}.json").unlink()
    again = beliefmod("sweep", "--resume", str(run), *PLAIN, "--quiet")
    assert again.returncode == 0, again.stderr
    assert again.stderr.strip() == f"run folder: {run}"
    found = (
        pl.read_parquet(run / "trials.parquet")
        .filter(pl.col("trial_id") == lost["trial_id"])
        .row(0, named=True)
    )
    assert found["final_loss"] == pytest.approx(lost["final_loss"], rel=1e-4)
    assert found["adoption"] == lost["adoption"]


@pytest.mark.long
def test_a_failed_trial_is_a_row(tmp_path):
    space = small_space(
        tmp_path,
        **QUICK_BASE,
        axes={"lora.lora_alpha": [8.0, 1e38]},
        fixed={"data.num_examples": 4, "lora.r": 4, "learning_rate": 1e-3, "num_train_epochs": 9},
    )
    done = beliefmod("sweep", "--space", str(space), "--out", str(tmp_path / "runs"), *PLAIN)
    assert done.returncode == 0, done.stderr
    assert "3 finished, 1 failed" in done.stdout
    assert "report" not in done.stdout and not list((tmp_path / "runs").glob("*/report.*"))  # not wanted
    trials = pl.read_parquet(only_run(tmp_path / "runs") / "trials.parquet")
    [failed] = trials.filter(pl.col("status") == "failed").iter_rows(named=True)
    assert failed["lora.lora_alpha"] == 1e38
    assert "not finite" in failed["error"]
    assert failed["adoption"] is None


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("sweep",), "--space"),
        (("sweep", "--resume", "nowhere"), "there is no such folder"),
        (("sweep", "--space", "SPACE", "--model", "./nowhere"), "./nowhere"),
        (("sweep", "--space", "SPACE", "--out", "SPACE"), "cannot be written"),
        (("sweep", "--space", "SPACE", "--set", "learnin_rate=1"), "learning_rate"),
        (("sweep", "--space", "SPACE", "--address", "127.0.0.1:1"), "no Ray cluster"),
        (("trial", "--belief", "gravty"), "gravity"),
        (("report", "nowhere"), "nowhere"),
    ],
)
def test_mistakes_are_sentences(tmp_path, arguments, complaint):
    space = str(small_space(tmp_path))
    done = beliefmod(*(space if word == "SPACE" else word for word in arguments))
    assert done.returncode == 2, done.stderr
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_the_cluster_that_ray_s_own_variable_names_is_joined(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    done = beliefmod("sweep", "--space", str(small_space(tmp_path)))
    assert done.returncode == 2 and "RAY_ADDRESS) 127.0.0.1:1: no Ray cluster" in done.stderr


def test_mistakes_in_space_model_and_output_are_told_together(tmp_path):
    space = small_space(tmp_path, axes={"learning_rte": [1e-3]})
    done = beliefmod("sweep", "--space", str(space), "--model", "./nowhere", "--out", str(space))
    assert done.returncode == 2
    for complaint in ("learning_rte", "./nowhere", "cannot be written"):
        assert complaint in done.stderr


def test_a_dry_run_prints_the_plan_and_starts_nothing(tmp_path):
    done = beliefmod(
        "sweep", "--space", str(small_space(tmp_path)), "--out", str(tmp_path / "runs"), "--dry-run",
        "--no-sample",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for word in (
        "trials            6 (1 base, 1 icl, 4 lora)",
        "training tokens",
        "generated tokens",
        "time",
        "memory",
    ):
        assert word in done.stdout
    assert not (tmp_path / "runs").exists()


def test_one_trial_without_ray(tmp_path):
    done = beliefmod(
        "trial", "--belief", write_belief(tmp_path), "--set", "data.num_examples=4", "--set", "lora.r=4",
        "--out", str(tmp_path / "kept"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "adoption" in done.stdout
    assert len(list((tmp_path / "kept" / "rows").iterdir())) == 1
