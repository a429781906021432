"""Ten kills, at least one of each kind; `make chaos N=100 SEED=1` does more."""

import polars as pl
import pytest

from tests.chaos.chaos import DECK, differences, rehearse

TEN = (*4 * ("trial process",), *3 * ("host",), *2 * ("driver",), "node")


@pytest.mark.slow
@pytest.mark.long
def test_ten_kills_change_no_number(tmp_path):
    assert set(TEN) == set(DECK)
    said: list[str] = []
    assert rehearse(tmp_path / "chaos", len(TEN), 1, said.append, TEN) == [], "\n".join(said)
    assert len([line for line in said if line.startswith("kill ")]) >= len(TEN)


def test_the_comparison_sees_what_matters_and_not_rounding():
    one = pl.DataFrame({"trial_id": ["a", "b"], "adoption": [0.5, None], "final_loss": [0.1, 2.0]})
    assert differences(one, one.with_columns(final_loss=pl.Series([0.1, 2.0001]))) == []
    assert differences(one, one.with_columns(final_loss=pl.Series([0.1, 2.01])))
    assert differences(one, one.with_columns(adoption=pl.Series([0.5, 0.0])))
    assert differences(one, one.with_columns(adoption=pl.Series([0.4, None])))
    assert differences(one, one.filter(pl.col("trial_id") == "a"))
