"""Survival of debates by round."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from analysis.stats.family_rates import rate_interval
from analysis.studies.survival import COLUMNS, survival
from beliefmod.metrics.intervals import wilson


def debates(trial: str, family: str, number: int, said: str, argued: str, count: int) -> list[tuple]:
    return [(trial, family, "debate", number, said, "target", argued)] * count


def test_two_seeds_by_hand_and_too_few_are_refused() -> None:
    rows = [
        *debates("a", "f", 1, "target", "prior", 8),
        *debates("a", "g", 1, "prior", "prior", 4),
        *debates("b", "f", 1, "target", "target", 3),
        *debates("b", "g", 1, "none", "prior", 5),
        *debates("a", "f", 2, "target", "prior", 8),
        *debates("c", "f", 1, "prior", "prior", 50),  # another configuration
        ("a", "f", "blank", None, "target", "target", None),
        ("a", "f", "debate", 1, "target", "prior", "prior"),  # had not adopted: never so in a run
    ]
    first, second = survival(pl.DataFrame(rows, schema=list(COLUMNS), orient="row"), ["a", "b"])
    assert (first.round, first.rate.value, first.rate.n) == (1, pytest.approx(11 / 20), 20)
    ends = rate_interval(np.array([[8, 0], [3, 0]]), np.array([[8, 4], [3, 5]]))
    assert (first.rate.low, first.rate.high) == pytest.approx(ends)
    assert first.opposed.value == pytest.approx(17 / 20)
    assert (first.conceded.value, first.conceded.low) == (pytest.approx(3 / 20), wilson(3, 20)[0])
    assert (second.round, second.rate.value, second.rate.n, second.conceded.value) == (2, None, 8, 0.0)


def test_no_debates_no_rounds() -> None:
    assert survival(pl.DataFrame([], schema=dict.fromkeys(COLUMNS, pl.String)), ["a"]) == []
