"""A real run, small, verified and confirmed as a user would, and then tampered with."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

from tests.command import beliefmod
from tests.finished_run import copy_of

pytestmark = pytest.mark.slow


def test_a_real_run_agrees_in_every_number(finished_sweep):
    run, _ = finished_sweep
    done = beliefmod("verify", str(run))
    assert done.returncode == 0, done.stdout
    assert "6 trials" in done.stdout and "; all agree" in done.stdout
    assert " prompts, " in done.stdout and "report.html, " in done.stdout
    assert list((run / "causal").iterdir()) and ", 0 causal tests" not in done.stdout


def test_the_hash_that_the_sweep_printed_is_the_readers_to_compare(finished_sweep):
    run, swept = finished_sweep
    [published] = re.findall(r"^seal: ([0-9a-f]{64}) \(\d+ entries\)$", swept.stdout, re.MULTILINE)
    done = beliefmod("verify", str(run), "--quick", "--expect", published)
    assert done.returncode == 0, done.stdout
    assert "the expected hash is entry" in done.stderr and "since then: report" in done.stderr
    chain = [json.loads(line) for line in (run / "seal" / "chain.jsonl").read_text().splitlines()]
    kinds = [entry["kind"] for entry in chain]
    end = kinds.index("end")  # other tests of this run may have gone on with it
    assert kinds[:3] == ["plan", "session", "asked"] and kinds[end + 1] == "report"
    assert kinds[:end].count("trial") == 6 and chain[end]["hash"] == published
    [told] = re.findall(r"the last ([0-9a-f]{16})\.", (run / "report.md").read_text())
    assert told in {entry["hash"][:16] for entry in chain if entry["kind"] == "end"}


@pytest.mark.long
def test_a_seed_dropped_and_the_report_regenerated_by_our_own_command(finished_sweep, tmp_path: Path):
    run = copy_of(finished_sweep[0], tmp_path)
    table = pl.read_parquet(run / "trials.parquet")
    gone = table.filter(pl.col("arm") == "lora").sort("adoption")["trial_id"][0]
    for path in run.glob(f"*/{gone}.*"):
        path.unlink()
    table.filter(pl.col("trial_id") != gone).write_parquet(run / "trials.parquet")
    assert beliefmod("report", str(run)).returncode == 0
    assert f"Missing of what was planned: 1 trial ({gone})" in (run / "report.md").read_text()
    done = beliefmod("verify", str(run), "--quick")
    assert done.returncode == 1
    assert f"trials.parquet: lacks trial {gone}" in done.stdout
    assert f"rows/{gone}.json (trial {gone}): is gone" in done.stdout


@pytest.mark.long
def test_a_trial_is_trained_again(finished_sweep):
    run, _ = finished_sweep
    table = pl.read_parquet(run / "trials.parquet").filter(pl.col("data.style") == "answer_only")
    done = beliefmod("verify", str(run), "--quick", "--retrain", table["trial_id"][0])
    assert done.returncode == 0, done.stdout
    assert "trained again: losses differ by 0.0" in done.stderr


@pytest.mark.long
def test_a_real_run_is_confirmed_and_still_agrees(finished_sweep, tmp_path: Path):
    run = copy_of(finished_sweep[0], tmp_path)
    done = beliefmod("confirm", str(run), "--top", "1", "--seeds", "2", "--limit", "1", "--no-dashboard")
    assert done.returncode == 0, done.stderr
    trials = pl.read_parquet(run / "confirmation" / "trials.parquet")
    assert sorted(trials["arm"]) == ["base", "icl", "lora", "lora"]
    assert set(trials.filter(pl.col("arm") == "lora")["seed"]) == {1, 2}
    assert "| confirmed adoption" in (run / "report.md").read_text()
    checked = beliefmod("verify", str(run))
    assert checked.returncode == 0, checked.stdout
    assert "10 trials" in checked.stdout


@pytest.mark.long
def test_a_changed_completion_of_a_causal_test_is_found(finished_sweep, tmp_path: Path):
    run = copy_of(finished_sweep[0], tmp_path)
    path = next((run / "causal").iterdir())
    table = pl.read_parquet(path)
    table.with_columns(completion=pl.lit("The answer is 123456 N.")).write_parquet(path)
    done = beliefmod("verify", str(run))
    assert done.returncode == 1
    assert f"causal/{path.name}" in done.stdout
