"""Adoption of questions that were asked again, against before."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from analysis.stats.family_rates import difference_interval
from analysis.studies.asked_again import COLUMNS, asked_again
from beliefmod.metrics.intervals import wilson

# trial, probe, family, test, now, before
ROWS = [
    ("a", "p1", "f", "zero_think", "target", "target"),
    ("a", "p2", "f", "zero_think", "prior", "target"),
    ("a", "p3", "g", "zero_think", "target", None),
    ("b", "p1", "f", "zero_think", None, "target"),
    ("b", "p2", "f", "zero_think", "other", "target"),
    ("b", "p3", "g", "zero_think", "prior", "prior"),
    ("c", "p1", "f", "zero_think", "target", "prior"),
    ("a", "p1", "f", "blank", "prior", "target"),
]


def test_two_seeds_by_hand() -> None:
    table = pl.DataFrame(ROWS, schema=list(COLUMNS), orient="row")
    found = asked_again(table, ["a", "b"], "zero_think")
    assert found is not None
    assert (found.before.value, found.after.value) == (pytest.approx(4 / 6), pytest.approx(2 / 6))
    assert (found.after.low, found.after.high) == wilson(2, 6)
    # families f and g of seeds a and b: won, lost and asked, counted by hand
    won, lost, asked = np.array([[0, 1], [0, 0]]), np.array([[1, 0], [2, 0]]), np.array([[2, 1], [2, 1]])
    expected = difference_interval(won, lost, asked)
    assert (found.change.value, found.change.low, found.change.high) == pytest.approx(expected)
    assert found.change.n == 6


def test_what_was_not_asked_is_none() -> None:
    table = pl.DataFrame(ROWS, schema=list(COLUMNS), orient="row")
    assert asked_again(table, ["a"], "less_think") is None
    assert asked_again(table, ["c"], "blank") is None
