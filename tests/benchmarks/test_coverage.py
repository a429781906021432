"""The simulated answers are as the tables name them; what coverage independent questions allow."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from beliefmod.metrics.intervals import wilson
from benchmarks.coverage import draw, former_rate, held, nearest


@pytest.mark.parametrize("rate, alike", [(0.1, 0.0), (0.1, 0.5), (0.5, 0.2), (0.8, 0.8)])
def test_answers_have_their_rate_and_their_correlation(rate: float, alike: float) -> None:
    sizes = np.full(18, 4)
    answers = draw(np.random.default_rng(0), sizes, (rate,), alike, (1500, 1))[0, :, 0]
    assert answers.mean() == pytest.approx(rate, abs=0.015)
    pairs = answers[..., 0].ravel(), answers[..., 1].ravel()
    assert np.corrcoef(*pairs)[0, 1] == pytest.approx(alike, abs=0.03)


def test_seeds_share_families_and_spread_widens_their_means() -> None:
    sizes = np.full(18, 4)
    spreads = []
    for spread in (0.0, 0.1):
        means = draw(np.random.default_rng(1), sizes, (0.5,), 0.2, (300, 5), spread)[0].mean(axis=(2, 3))
        assert means.mean() == pytest.approx(0.5, abs=0.02)
        spreads.append(means.std(axis=1).mean())
    assert spreads[1] > 1.5 * spreads[0]


def test_configurations_in_common_answer_alike() -> None:
    one, two = draw(np.random.default_rng(2), np.full(18, 4), (0.5, 0.5), 0.2, (300, 1), common=0.95)
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.7


def test_what_is_printed_and_the_former_interval() -> None:
    assert held([(0.0, 0.5), (0.4, 0.8)], 0.3) == "50.0 (45)"
    sizes = np.array([6, 6, 4])
    [same] = former_rate(np.zeros((1, 1, 3)), sizes)
    assert same == wilson(0, 3)
    [mixed] = former_rate(np.array([[[6.0, 0.0, 2.0]]]), sizes)
    assert mixed[0] <= wilson(8, 16)[0] and mixed[1] >= wilson(8, 16)[1]


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
