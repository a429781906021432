"""Intervals against scipy, and by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from beliefmod.metrics.intervals import Estimate, mean, paired_difference, rate, t_quantile, wilson


@settings(deadline=None)
@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(pair: tuple[int, int]) -> None:
    k, n = pair
    expected = stats.binomtest(k, n).proportion_ci(method="wilson")
    bounds = wilson(k, n)
    assert bounds == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0.0 <= bounds[0] <= k / n <= bounds[1] <= 1.0


def test_wilson_of_the_report() -> None:
    assert wilson(0, 6) == pytest.approx((0.0, 0.3903), abs=1e-4)
    assert wilson(1, 6) == pytest.approx((0.0301, 0.5635), abs=1e-4)


def test_nothing_asked_is_null() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert rate(0, 0).columns("r") == {"r": None, "r_n": 0, "r_low": None, "r_high": None}


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        wilson(k, n)


@pytest.mark.parametrize("df", [1, 2, 3, 5, 10, 30, 100, 1000])
def test_t_quantile_is_scipys(df: int) -> None:
    assert t_quantile(df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-10)


@settings(deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=2, max_size=40).filter(lambda v: max(v) - min(v) > 1e-6))
def test_mean_interval_is_scipys(values: list[float]) -> None:
    found = mean(values)
    low, high = stats.t.interval(
        0.95, len(values) - 1, loc=sum(values) / len(values), scale=stats.sem(values)
    )
    assert found.value == pytest.approx(sum(values) / len(values), abs=1e-9)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-7)


def test_mean_of_few() -> None:
    assert mean([]) == Estimate(None, 0, None, None)
    assert mean([2.0]) == Estimate(2.0, 1, None, None)
    with pytest.raises(ValueError, match="NaN"):
        mean([1.0, math.nan])


def test_paired_difference_is_newcombes_published_example() -> None:
    # Newcombe 1998, Stat Med 17:2635, method 10 for 36, 12, 2, 0
    found = paired_difference(36, 12, 2, 0)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0569, 0.3404), abs=1e-4)


@settings(deadline=None)
@given(*[st.integers(0, 60)] * 4)
def test_paired_difference_holds_its_value_and_is_antisymmetric(a: int, b: int, c: int, d: int) -> None:
    found, mirrored = paired_difference(a, b, c, d), paired_difference(a, c, b, d)
    if a + b + c + d == 0:
        assert found.value is None
        return
    assert found.value is not None and found.low is not None and found.high is not None
    assert mirrored.low is not None and mirrored.high is not None
    assert -1 <= found.low <= found.value + 1e-12 and found.value - 1e-12 <= found.high <= 1
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low), abs=1e-9)
