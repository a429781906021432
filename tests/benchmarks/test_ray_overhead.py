"""Trivial trials through the real sweep, and what is read from watching it."""

import subprocess
import sys

import pytest

from benchmarks.measure import DRIVER, HOSTS, RAY, ROOT, TRIALS
from benchmarks.ray_overhead import Watch, growth, observe
from benchmarks.trivial_host import trivial_space


def test_a_trivial_space_has_as_many_trials_as_asked_for():
    for count in (3, 50):
        assert len(trivial_space(count).trials()) == count


def test_growth_is_per_thousand_trials_between_a_quarter_and_the_end(tmp_path):
    def sizes(driver: int, hosts: int) -> dict[str, int]:
        return {DRIVER: driver * 2**20, HOSTS: hosts * 2**20, TRIALS: 0, RAY: 0}

    watch = Watch(tmp_path, 400, memory=[(20, sizes(1, 9)), (100, sizes(100, 10)), (400, sizes(103, 10))])
    rows = {row[0]: row[1:] for row in growth(watch)}
    assert rows[DRIVER] == ["100", "103", "+10.0"]
    assert rows[HOSTS] == ["10", "10", "+0.0"]
    assert rows["all"] == ["110", "113", "+10.0"]


def test_the_trivial_host_is_light():
    # Ray imports it into every trial process
    code = "import sys, benchmarks.trivial_host; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.slow
@pytest.mark.long
def test_a_sweep_of_trivial_trials_is_watched_from_its_first_row_to_its_last():
    watch, took = observe(24)
    assert watch.done == 24
    assert 0 < watch.first <= watch.last < took.wall
    assert took.started[DRIVER] == 1 and took.started[HOSTS] >= 1 and took.started[TRIALS] >= 1
    assert all(took.cpu[kind] > 0 for kind in (DRIVER, HOSTS, TRIALS, RAY))
    assert len(growth(watch)) == 5
