"""What coverage independent questions allow: sums of successive binomial probabilities, none between."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from beliefmod.metrics.intervals import wilson
from benchmarks.coverage import nearest


def test_no_interval_of_108_questions_holds_a_rate_of_2_percent_about_95_times_in_100() -> None:
    assert nearest(108, 0.02) == pytest.approx((0.934, 0.978), abs=5e-4)


@pytest.mark.parametrize("questions, rate", [(4, 0.2), (24, 0.05)])
def test_against_every_run_of_counts(questions: int, rate: float) -> None:
    chance = [comb(questions, k) * rate**k * (1 - rate) ** (questions - k) for k in range(questions + 1)]
    sums = [sum(chance[i:j]) for i in range(questions + 1) for j in range(i, questions + 2)]
    expected = max(x for x in sums if x < 0.95), min(x for x in sums if x >= 0.95)
    assert nearest(questions, rate) == pytest.approx(expected)


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.3])
def test_wilsons_coverage_is_never_between(rate: float) -> None:
    held = [low <= rate <= high for low, high in (wilson(k, 54) for k in range(55))]
    chance = np.array([comb(54, k) * rate**k * (1 - rate) ** (54 - k) for k in range(55)])
    below, above = nearest(54, rate)
    coverage = float(chance[held].sum())
    assert coverage <= below + 1e-9 or coverage >= above - 1e-9
