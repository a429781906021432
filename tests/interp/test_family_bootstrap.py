"""Intervals over question families: against draws made one by one, and laws that hold for any numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from interp.family_bootstrap import drawn_means, interval, question_weights, with_interval

FAMILIES = st.lists(st.sampled_from("abcde"), min_size=1, max_size=20)


def test_a_drawn_mean_is_that_of_the_questions_of_the_families_drawn():
    families, values = ["a", "b", "a", "c"], np.array([1.0, 2.0, 3.0, 10.0])
    members = {"a": [1.0, 3.0], "b": [2.0], "c": [10.0]}
    rng = np.random.default_rng(5)
    counts = rng.multinomial(3, [1 / 3] * 3, size=50)  # the same numbers, drawn again and written out
    expected = [
        np.mean([v for family, n in zip("abc", row, strict=True) for v in members[family] * n])
        for row in counts
    ]
    assert drawn_means(values, question_weights(families, 50, 5)) == pytest.approx(expected)


def test_the_interval_is_that_of_families_not_of_questions():
    # 100 questions of 4 families that move together: the interval is as wide as 4 values are
    level = np.repeat([0.0, 1.0, 2.0, 3.0], 25)
    low, high = interval(drawn_means(level, question_weights([str(v) for v in level], 4000, 0)))
    exact = np.sort([np.mean(t) for t in np.ndindex(4, 4, 4, 4)])  # all 256 equally likely redraws
    assert (low, high) == (exact[int(256 * 0.025)], exact[int(256 * 0.975)])
    assert high - low > 10 * 2 * 1.96 * level.std() / 10 / 4


def test_one_family_has_no_interval():
    weights = question_weights(["a"] * 6, 100)
    assert np.isnan(weights).all()
    assert interval(drawn_means(np.arange(6.0), weights)) == (None, None)
    assert with_interval("x", 2.5, drawn_means(np.arange(6.0), weights)) == {
        "x": 2.5,
        "x_low": None,
        "x_high": None,
    }


def test_never_sorts_behind_every_entry():
    drawn = np.array([1.0] * 90 + [3.0] * 9 + [np.inf])
    assert interval(drawn) == (1.0, 3.0)
    assert interval(np.where(drawn > 1, np.inf, drawn)) == (1.0, None)
    assert interval(np.full(10, np.inf)) == (None, None)
    assert with_interval("entry", float("inf"), drawn)["entry_low"] is None


@given(FAMILIES, st.integers(0, 100))
def test_every_draw_has_as_many_families_as_there_are(families, seed):
    weights = question_weights(families, 40, seed)
    assert weights.shape == (40, len(families))
    names = list(dict.fromkeys(families))
    if len(names) < 2:
        assert np.isnan(weights).all()
        return
    first = [families.index(name) for name in names]
    assert (weights[:, first].sum(axis=1) == len(names)).all()
    for family in names:  # questions of one family count alike
        assert np.ptp(weights[:, [f == family for f in families]], axis=1).max() == 0
    assert np.array_equal(weights, question_weights(families, 40, seed), equal_nan=True)


@given(
    arrays.arrays(np.float64, (6, 3), elements=st.floats(-100, 100)), st.floats(-10, 10), st.floats(0.1, 10)
)
def test_intervals_follow_shift_and_scale(values, shift, scale):
    weights = question_weights(list("aabbcc"), 100, 1)
    drawn = drawn_means(values, weights)
    assert drawn.shape == (100, 3)
    low, high = interval(drawn[:, 0])
    assert low is not None and high is not None
    assert values[:, 0].min() - 1e-9 <= low <= high <= values[:, 0].max() + 1e-9
    moved = interval(drawn_means(values * scale + shift, weights)[:, 0])
    assert moved == pytest.approx((low * scale + shift, high * scale + shift), abs=1e-9)
