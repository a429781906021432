"""A kill of each kind, and twenty at random; `make chaos N=100 SEED=1` does more."""

import polars as pl
import pytest

from tests.chaos.chaos import DECK, differences, rehearse


@pytest.mark.slow
@pytest.mark.long
def test_a_kill_of_each_kind_changes_no_number(tmp_path):
    said: list[str] = []
    kinds = sorted(set(DECK))
    assert rehearse(tmp_path / "chaos", len(kinds), 1, said.append, kinds) == [], "\n".join(said)
    assert said[-1] == f"killed: {', '.join(f'1 x {what}' for what in kinds)}"


@pytest.mark.slow
@pytest.mark.long
def test_twenty_kills_change_no_number(tmp_path):
    said: list[str] = []
    assert rehearse(tmp_path / "chaos", kills=20, seed=1, say=said.append) == [], "\n".join(said)
    assert len([line for line in said if line.startswith("kill ")]) >= 20


def test_the_comparison_sees_what_matters_and_not_rounding():
    one = pl.DataFrame({"trial_id": ["a", "b"], "adoption": [0.5, None], "final_loss": [0.1, 2.0]})
    assert differences(one, one.with_columns(final_loss=pl.Series([0.1, 2.0001]))) == []
    assert differences(one, one.with_columns(final_loss=pl.Series([0.1, 2.01])))
    assert differences(one, one.with_columns(adoption=pl.Series([0.5, 0.0])))
    assert differences(one, one.with_columns(adoption=pl.Series([0.4, None])))
    assert differences(one, one.filter(pl.col("trial_id") == "a"))
