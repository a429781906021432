"""The benchmark of searches: its table covers the grid, its volumes are areas, and no method sees what it has
not tried."""

from __future__ import annotations

import pytest

from beliefmod.space.load import load_space
from benchmarks.search import curve, needed, read_table, volume

SPACE = load_space("sweeps/aggressive.yaml")


def test_the_table_has_every_trained_trial_of_the_grid():
    finished = read_table(SPACE)
    assert len(finished) == sum(trial.arm == "lora" for trial in SPACE.trials()) == 108
    assert all(0 <= adoption <= 1 and 0 <= damage <= 1 for adoption, damage in finished.values())


def test_a_volume_is_the_area_between_the_frontier_and_no_adoption_at_full_damage():
    assert volume([(0.0, 0.0), (0.3, 1.0)]) == 0
    assert volume([(0.5, 0.2)]) == pytest.approx(0.5 * 0.8)
    assert volume([(0.5, 0.2), (0.8, 0.6), (0.4, 0.5)]) == pytest.approx(0.5 * 0.8 + 0.3 * 0.4)


@pytest.mark.parametrize(("method", "size"), [("grid", 54), ("random", 54), ("optuna", 27)])
def test_a_curve_rises_to_the_volume_of_all_that_was_tried(method: str, size: int):
    found = curve(SPACE, read_table(SPACE), "neelam", method, seed=1, under_way=3)
    assert len(found) == size
    assert found == sorted(found)
    assert found[-1] == pytest.approx(1.0) if size == 54 else found[-1] <= 1.0


def test_more_trials_than_were_tried_are_needed_where_the_share_is_not_reached():
    assert needed([12, 9, 14]) == "12 (14)"
    assert needed([12, None, 14]) == "14 (inf)"


@pytest.mark.long
def test_the_frontier_search_finds_the_grids_frontier_in_a_third_of_its_trials():
    found = curve(SPACE, read_table(SPACE), "neelam", "frontier", seed=0, under_way=4)
    assert found[17] >= 0.98
