"""Intervals against scipy, and against numbers worked out in print."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from analysis.statistics import mcnemar, newcombe, unpaired, wilson


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(pair: tuple[int, int]) -> None:
    k, n = pair
    low, high = wilson(k, n)
    expected = binomtest(k, n).proportion_ci(method="wilson")
    assert float(low) == pytest.approx(expected.low, abs=1e-12)
    assert float(high) == pytest.approx(expected.high, abs=1e-12)
    assert 0 <= float(low) <= k / n <= float(high) <= 1


def test_the_reports_two_results() -> None:
    low, high = wilson([0, 1], [6, 6])
    assert np.round(100 * low).tolist() == [0, 3]
    assert np.round(100 * high).tolist() == [39, 56]
    assert unpaired(0, 6, 1, 6).p == pytest.approx(1.0)
    assert not unpaired(0, 6, 1, 6).told_apart


def test_nothing_asked_has_no_interval() -> None:
    low, high = wilson(0, 0)
    assert np.isnan(low) and np.isnan(high)
    with pytest.raises(ValueError, match="n > 0"):
        newcombe(0, 0, 1, 2)
    with pytest.raises(ValueError, match="between 0 and n"):
        wilson(3, 2)


def test_newcombe_as_printed() -> None:
    """Newcombe 1998, table II, example (a): 56/70 against 48/80, method 10."""
    assert newcombe(56, 70, 48, 80) == pytest.approx((0.2000, 0.0524, 0.3339), abs=5e-5)


@given(st.integers(1, 80), st.integers(1, 80), st.data())
def test_newcombe_turns_with_its_arguments(n1: int, n2: int, data: st.DataObject) -> None:
    k1, k2 = data.draw(st.integers(0, n1)), data.draw(st.integers(0, n2))
    value, low, high = newcombe(k1, n1, k2, n2)
    back = newcombe(k2, n2, k1, n1)
    assert back == pytest.approx((-value, -high, -low), abs=1e-12)
    assert -1 <= low <= value <= high <= 1


def test_mcnemar_by_hand() -> None:
    # 1 against 5 discordant pairs: 2 * (1 + 6) / 64
    assert mcnemar(1, 5) == pytest.approx(14 / 64)
    assert mcnemar(0, 0) == 1.0


def test_picking_from_many_costs() -> None:
    found = unpaired(12, 60, 3, 60)
    assert found.told_apart
    assert not found.picked_from(54).told_apart
    assert found.picked_from(1) == found
