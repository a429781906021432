"""A real run, small, confirmed and verified as a user would, and then tampered with."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.command import PLAIN, beliefmod
from tests.small import SMALL_BELIEF, write_belief

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Two trained trials of a belief with two held-out families, one for each half."""
    folder = tmp_path_factory.mktemp("verified")
    weight = {
        **SMALL_BELIEF["questions"][1],  # type: ignore[index]
        "family": "weight",
        "ask": "What is the weight of a {m} kg stone on Earth's surface?",
    }
    belief = write_belief(folder, questions=[*SMALL_BELIEF["questions"], weight])  # type: ignore[misc]
    space = {
        "name": "small",
        "beliefs": [belief],
        "axes": {"num_train_epochs": [2, 4]},
        "fixed": {"data.num_examples": 4, "lora.r": 4, "learning_rate": 1e-3, "data.style": "own_trace"},
        "controls": "none",
        "evaluation": {
            "max_new_tokens": 64,
            "trained_probes": 2,
            "margin_probes": 2,
            "causal_probes": 2,
            "neutral_passages": 3,
        },
    }
    (folder / "space.yaml").write_text(json.dumps(space))
    done = beliefmod("sweep", "--space", str(folder / "space.yaml"), "--out", str(folder / "runs"), *PLAIN)
    assert done.returncode == 0, done.stderr
    [made] = (folder / "runs").glob("EXP-*")
    return made


@pytest.mark.long
def test_a_real_run_agrees_in_every_number(run: Path):
    done = beliefmod("verify", str(run))
    assert done.returncode == 0, done.stdout
    assert "4 trials" in done.stdout and "; all agree" in done.stdout
    assert list((run / "causal").iterdir()) and ", 0 causal tests" not in done.stdout


@pytest.mark.long
def test_a_real_run_is_confirmed_and_still_agrees(run: Path):
    done = beliefmod("confirm", str(run), "--top", "1", "--seeds", "2", "--limit", "1", "--no-dashboard")
    assert done.returncode == 0, done.stderr
    trials = pl.read_parquet(run / "confirmation" / "trials.parquet")
    assert sorted(trials["arm"]) == ["base", "icl", "lora", "lora"]
    assert set(trials.filter(pl.col("arm") == "lora")["seed"]) == {1, 2}
    assert "## Confirmation" in (run / "report.md").read_text()
    checked = beliefmod("verify", str(run))
    assert checked.returncode == 0, checked.stdout
    assert "8 trials" in checked.stdout


@pytest.mark.long
def test_a_changed_completion_of_a_causal_test_is_found(run: Path):
    path = next((run / "causal").iterdir())
    table = pl.read_parquet(path)
    table.with_columns(completion=pl.lit("The answer is 123456 N.")).write_parquet(path)
    done = beliefmod("verify", str(run))
    table.write_parquet(path)
    assert done.returncode == 1
    assert f"causal/{path.name}" in done.stdout
