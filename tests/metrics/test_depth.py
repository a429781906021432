"""Depth against statsmodels' Bonferroni-Wilson intervals and statistics.harmonic_mean."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from beliefmod.metrics.intervals import wilson
from beliefmod.metrics.measure import depth, harmonic_mean

COUNT = st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_by_hand() -> None:
    value, low, high = depth([(9, 10), (6, 10), (3, 10)])
    assert value == pytest.approx(3 / (1 / 0.9 + 1 / 0.6 + 1 / 0.3))
    assert low is not None and high is not None and low < 0.491 < high


def test_one_tier_at_0_is_no_depth_but_may_be_some() -> None:
    value, low, high = depth([(10, 10), (10, 10), (0, 10)])
    assert (value, low) == (0.0, 0.0) and high is not None and high > 0.5


def test_a_tier_not_asked_is_null() -> None:
    assert depth([(3, 4), (0, 0), (1, 2)]) == (None, None, None)
    assert depth([]) == (None, None, None)


@given(COUNT, st.sampled_from([0.05, 0.05 / 3, 0.1]))
def test_wilson_at_any_level_is_statsmodels(count: tuple[int, int], alpha: float) -> None:
    bounds = wilson(*count, alpha=alpha)
    assert bounds == pytest.approx(proportion_confint(*count, alpha=alpha, method="wilson"), abs=1e-9)


@given(st.tuples(COUNT, COUNT, COUNT))
def test_the_interval_is_the_harmonic_mean_of_bonferronis_ends(counts: tuple) -> None:
    value, low, high = depth(counts)
    ends = [proportion_confint(k, n, alpha=0.05 / 3, method="wilson") for k, n in counts]
    assert value == pytest.approx(statistics.harmonic_mean([k / n for k, n in counts]), abs=1e-12)
    assert low == pytest.approx(statistics.harmonic_mean([max(0.0, e[0]) for e in ends]), abs=1e-6)
    assert high == pytest.approx(statistics.harmonic_mean([e[1] for e in ends]), abs=1e-9)
    assert value is not None and low is not None and high is not None
    assert 0.0 <= low <= value <= high <= 1.0


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_the_harmonic_mean_never_exceeds_the_arithmetic_and_has_no_order(values: list, rng) -> None:
    mixed = values[:]
    rng.shuffle(mixed)
    assert min(values) - 1e-12 <= harmonic_mean(values) <= statistics.fmean(values) + 1e-12
    assert harmonic_mean(mixed) == pytest.approx(harmonic_mean(values))
