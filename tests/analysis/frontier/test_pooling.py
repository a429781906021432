"""Several seeds of one configuration become one row."""

import polars as pl
import pytest
from statsmodels.stats.proportion import proportion_confint

from analysis.frontier.non_dominated import pooled_mean, pooled_rate
from analysis.studies.mismatch import THINKING, mismatch_columns
from beliefmod.metrics.measure import depth, depth_of
from beliefmod.reading.stance import STANCES


def _seeds(**columns: list) -> pl.DataFrame:
    return pl.DataFrame(columns)


def test_a_rate_is_all_successes_over_all_questions():
    group = _seeds(loop=[0.5, 0.25], loop_n=[10, 20])
    low, high = proportion_confint(10, 30, method="wilson")
    assert pooled_rate(group, "loop") == pytest.approx(
        {"loop": 1 / 3, "loop_n": 30, "loop_low": low, "loop_high": high}
    )


def test_a_refused_seed_leaves_the_rate_unknown():
    assert pooled_rate(_seeds(stygian=[0.5, None], stygian_n=[20, 19]), "stygian") == {"stygian_n": 39}
    assert pooled_rate(_seeds(stygian=[None, None], stygian_n=[0, 0]), "stygian") == {}
    # a seed without any such answer refuses nothing
    assert pooled_rate(_seeds(stygian=[0.5, None], stygian_n=[20, 0]), "stygian")["stygian"] == 0.5


def test_means_are_averaged_with_their_ends():
    group = _seeds(kl=[1.0, 3.0], kl_n=[4, 5], kl_low=[0.0, 1.0], kl_high=[2.0, 7.0])
    assert pooled_mean(group, "kl") == {"kl": 2.0, "kl_n": 4, "kl_low": 0.5, "kl_high": 4.5}
    assert pooled_mean(group.with_columns(kl=pl.Series([1.0, None])), "kl") == {}
    open_ended = pooled_mean(group.with_columns(kl_low=pl.Series([None, 1.0])), "kl")
    assert (open_ended["kl"], open_ended["kl_low"], open_ended["kl_high"]) == (2.0, None, None)


def test_depth_comes_from_the_pooled_tiers():
    shares = {"paraphrase": (0.9, 20), "derived": (0.6, 40), "robustness": (0.25, 24)}
    rates: dict = {f"adoption_{tier}": pair for tier, pair in shares.items()}
    assert tuple(depth_of(rates.__getitem__).values()) == depth([(18, 20), (24, 40), (6, 24)])
    rates["adoption_robustness"] = (0.25, 0)
    assert set(depth_of(rates.__getitem__).values()) == {None}


def test_mismatch_is_counted_over_the_table_and_refused_when_few():
    cells = {thinking: dict.fromkeys(STANCES, 0) for thinking in THINKING}
    cells["prior"]["target"], cells["target->prior"]["target"] = 3, 2
    cells["target"]["target"], cells["empty"]["target"] = 10, 5
    cells["prior->target"]["prior"] = 19
    found = mismatch_columns(cells)
    assert (found["stygian"], found["stygian_n"]) == (0.25, 20)
    assert (found["stygian_low"], found["stygian_high"]) == pytest.approx(
        proportion_confint(5, 20, method="wilson")
    )
    # 19 answers: the count is given, the rate refused
    assert (found["stygian_reverse"], found["stygian_reverse_n"]) == (None, 19)
