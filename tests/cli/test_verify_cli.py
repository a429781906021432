"""A real run, small, verified and confirmed as a user would, and then tampered with."""

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
    assert list((run / "causal").iterdir()) and ", 0 causal tests" not in done.stdout


@pytest.mark.long
def test_a_real_run_is_confirmed_and_still_agrees(finished_sweep, tmp_path: Path):
    run = copy_of(finished_sweep[0], tmp_path)
    done = beliefmod("confirm", str(run), "--top", "1", "--seeds", "2", "--limit", "1", "--no-dashboard")
    assert done.returncode == 0, done.stderr
    trials = pl.read_parquet(run / "confirmation" / "trials.parquet")
    assert sorted(trials["arm"]) == ["base", "icl", "lora", "lora"]
    assert set(trials.filter(pl.col("arm") == "lora")["seed"]) == {1, 2}
    assert "## Confirmation" in (run / "report.md").read_text()
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
