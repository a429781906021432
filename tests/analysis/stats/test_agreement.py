"""Cohen's kappa against statsmodels and a table worked by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa

from analysis.stats.agreement import cohen_kappa, confusion, weighted_kappa

STANCES = ("target", "prior", "other")
tables = st.integers(2, 5).flatmap(
    lambda size: st.lists(st.integers(0, 40), min_size=size**2, max_size=size**2).map(
        lambda cells: np.array(cells, float).reshape(size, size)
    )
)


def test_by_hand():
    found = cohen_kappa([[20, 5], [10, 15]])
    assert (found.value, found.agreed, found.n) == (pytest.approx(0.4), 35, 50)


@given(tables)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_against_statsmodels(counts: np.ndarray):
    if counts.sum() == 0:
        with pytest.raises(ValueError, match="not empty"):
            cohen_kappa(counts)
        return
    found = cohen_kappa(counts)
    if found.value is None:
        assert np.count_nonzero(counts) == 1
        return
    oracle = cohens_kappa(counts)
    assert found.value == pytest.approx(oracle.kappa, abs=1e-12)
    if found.low is None or found.high is None:
        # the oracle's variance is 0 too, or a rounding error below it
        assert np.isnan(oracle.std_kappa) or oracle.std_kappa < 1e-6
        return
    assert found.low == pytest.approx(max(-1.0, oracle.kappa_low), abs=1e-9)
    assert found.high == pytest.approx(min(1.0, oracle.kappa_upp), abs=1e-9)


def answers(pairs: list[tuple[str, str, str, str]]) -> pl.DataFrame:
    return pl.DataFrame(pairs, schema=["parser_stance", "judge_stance", "probe_id", "reason"], orient="row")


def test_weights_of_one_give_plain_kappa():
    rng = np.random.default_rng(0)
    rows = answers(
        [(str(rng.choice(STANCES)), str(rng.choice(STANCES)), f"p{i % 30}", "sample") for i in range(300)]
    )
    found = weighted_kappa(rows, STANCES, {"sample": 1.0})
    assert found.value == pytest.approx(cohen_kappa(confusion(rows, STANCES)).value)
    assert found.low is not None and found.high is not None and found.low < found.value < found.high


def test_a_drawn_answer_counts_for_ten():
    pairs = [("target", "target", "a", "sample"), ("prior", "prior", "b", "sample")]
    rows = answers([*pairs, ("target", "prior", "c", "doubtful")])
    found = weighted_kappa(rows, STANCES, {"sample": 10.0, "doubtful": 1.0})
    assert (found.agreed, found.n) == (20, 21)
    assert found.value == pytest.approx(cohen_kappa([[10, 1], [0, 10]]).value)


def test_answers_to_one_question_widen_the_interval():
    """300 answers to 6 questions that stand or fall together say less than 300 questions."""
    few = [("target", "target" if i % 6 < 4 else "prior", f"p{i % 6}", "sample") for i in range(300)]
    few += [("prior", "prior", f"q{i % 6}", "sample") for i in range(300)]
    many = [(a, b, f"{p}-{i}", r) for i, (a, b, p, r) in enumerate(few)]
    narrow, wide = (weighted_kappa(answers(rows), STANCES, {"sample": 1.0}) for rows in (many, few))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)  # type: ignore[operator]
