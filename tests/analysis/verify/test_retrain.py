"""A trial trained again gives what the run has of it; another seed's numbers are not taken for it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from analysis.verify.retrain import compare, retrain_trials
from analysis.verify.verify_trials import Verification
from beliefmod.errors import UserError
from beliefmod.run.read_run import read_run

EXAMPLE = Path(__file__).parents[3] / "docs" / "example"


def trials() -> pl.DataFrame:
    """The trials of the shipped run whose second seed gives answers of its own."""
    table = pl.read_parquet(EXAMPLE / "trials.parquet")
    bare = (pl.col("arm") == "lora") & (pl.col("data.style") == "answer_only")
    return table.filter(bare & (pl.col("data.num_examples") == 50)).sort("seed")


def stored(trial_id: str) -> tuple[list[dict], list[float]]:
    run = read_run(str(EXAMPLE))
    return run.probes([trial_id]).to_dicts(), run.steps([trial_id]).sort("step")["loss"].to_list()


def test_the_same_numbers_are_no_problem_and_a_rounding_is_none():
    run, trial_id = read_run(str(EXAMPLE)), trials()["trial_id"][0]
    probes, losses = stored(trial_id)
    same = compare(run, trial_id, probes, losses)
    assert (same.loss, same.logprob, same.same) == (0.0, 0.0, same.answers) and not list(same.problems())
    rounded = compare(run, trial_id, probes, [loss + 1e-3 for loss in losses])
    assert rounded.loss == pytest.approx(1e-3) and not list(rounded.problems())


def test_another_seed_is_no_rounding():
    run, (first, second) = read_run(str(EXAMPLE)), trials()["trial_id"].to_list()
    found = " | ".join(compare(run, first, *stored(second)).problems())
    assert "losses differ by" in found and "log-probabilities differ by" in found
    assert "answers are the same to the token, under 80%" in found


def test_answers_that_were_not_given_again_count_as_other_ones():
    run, trial_id = read_run(str(EXAMPLE)), trials()["trial_id"][0]
    probes, losses = stored(trial_id)
    few = compare(run, trial_id, probes[: len(probes) // 2], losses)
    assert few.same == len(probes) // 2 and few.answers == len(probes) and list(few.problems())


@pytest.mark.parametrize(
    "arm, words",
    [("base", "is of arm base, which is not trained"), (None, "has no finished trial of this id")],
)
def test_what_cannot_be_trained_again_is_a_sentence(arm, words):
    table = pl.read_parquet(EXAMPLE / "trials.parquet")
    trial_id = "0123456789" if arm is None else table.filter(pl.col("arm") == arm)["trial_id"][0]
    with pytest.raises(UserError, match=f"--retrain {trial_id}: .*{words}"):
        retrain_trials(str(EXAMPLE), [trial_id], Verification())


@pytest.mark.slow
@pytest.mark.long
def test_a_trial_of_the_shipped_run_trained_again():
    trial_id, done = trials()["trial_id"][0], Verification()
    retrain_trials(str(EXAMPLE), [trial_id], done)
    assert done.mismatches == [] and done.retrained > 300
    assert f"trial {trial_id}, trained again: losses differ by 0.0" in done.notes[0]
