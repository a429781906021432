"""Synthetic runs are runs, and what is extrapolated from two of them."""

import pytest

from beliefmod.monitor.status import Watcher
from beliefmod.run.integrity import sound_rows
from beliefmod.run.read_run import read_run
from benchmarks.scaling import MANY, SMALLEST, at_many, make_run, steps, wide_space


@pytest.mark.parametrize("count", [SMALLEST, 37])
def test_a_wide_space_has_as_many_trials_as_asked_for(count):
    trials = wide_space(count).trials()
    assert len(trials) == count == len({config.trial_id for config in trials})


def test_a_synthetic_run_is_sound_and_every_step_can_be_timed(tmp_path):
    space = wide_space(SMALLEST)
    folder = make_run(tmp_path / "run", space)
    assert sorted(sound_rows(folder)[0]) == sorted(config.trial_id for config in space.trials())
    for step in steps(tmp_path / "run", SMALLEST, report=False).values():
        step()
    assert Watcher(folder).look().counts["finished"] == SMALLEST
    run = read_run(str(tmp_path / "run"))
    assert run.trials["trial_id"].to_list() == [config.trial_id for config in space.trials()]
    for table in (run.probes, run.causal, run.drift, run.steps):
        assert set(table(run.trials["trial_id"])["trial_id"]) <= set(run.trials["trial_id"])
    one = run.trials["trial_id"][-1]
    assert set(run.probes([one])["trial_id"]) == {one}


def test_growth_is_a_power_law_and_never_taken_for_less_than_linear():
    assert at_many(1.0, 16.0, 1000) == (pytest.approx(2.0), pytest.approx(16.0 * (MANY / 1000) ** 2))
    assert at_many(1.0, 4.0, 1000) == (pytest.approx(1.0), pytest.approx(400.0))
    exponent, many = at_many(1.0, 1.0, 1000)  # a fixed cost
    assert (exponent, many) == (0.0, pytest.approx(100.0))
