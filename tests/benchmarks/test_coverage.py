"""The simulated answers have the rate and the correlation that the tables name."""

from __future__ import annotations

import numpy as np
import pytest

from beliefmod.metrics.intervals import wilson
from benchmarks.coverage import draw, former_rate, held


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
