"""Intervals over families and seeds against scipy's distributions, and what every such interval keeps to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit, logit
from scipy.stats import beta, betabinom, t
from statsmodels.stats.proportion import confint_proportions_2indep

from analysis.stats.family_rates import difference_interval, independent_difference, rate_interval
from beliefmod.metrics.intervals import newcombe_joined

SIZES = st.lists(st.integers(1, 9), min_size=2, max_size=12)


@st.composite
def counted(draw) -> tuple[np.ndarray, np.ndarray]:
    """Successes and questions, [seeds, families]."""
    sizes, seeds = draw(SIZES), draw(st.integers(1, 3))
    hits = [[draw(st.integers(0, n)) for n in sizes] for _ in range(seeds)]
    return np.array(hits, float), np.array([sizes] * seeds, float)


@pytest.mark.parametrize("k, n", [(1, 20), (22, 108), (54, 108), (500, 600)])
def test_families_of_one_question_are_jeffreys_interval(k: int, n: int) -> None:
    """One question a family cannot be alike with itself, so the correlation falls out."""
    hits = np.zeros((1, n))
    hits[0, :k] = 1
    expected = beta.ppf([0.025, 0.975], k + 0.5, n - k + 0.5)
    assert rate_interval(hits, np.ones((1, n))) == pytest.approx(expected, abs=0.002)


def test_the_posterior_integrated_by_scipy() -> None:
    """Beta-binomial families by scipy, both parameters integrated by quadrature."""
    hits, asked = np.array([[4, 0, 3, 6, 1, 0]]), np.array([[6, 4, 6, 8, 4, 4]])

    def given_correlation(rho: float, rate: float) -> float:
        size = (1 - rho) / rho
        parts = betabinom.pmf(hits, asked, rate * size, (1 - rate) * size)
        return float(parts.prod()) * beta.pdf(rho, 1, 0.5)

    rates = np.linspace(0.004, 0.996, 125)
    density = np.array(
        [
            quad(given_correlation, 0.001, 0.999, args=(rate,), limit=40, epsrel=1e-3)[0]
            * beta.pdf(rate, 0.5, 0.5)
            for rate in rates
        ]
    )
    below = np.cumsum(density) - density / 2
    expected = np.interp([0.025, 0.975], below / density.sum(), rates)
    assert rate_interval(hits, asked) == pytest.approx(expected, abs=0.008)


@settings(max_examples=25, deadline=None)
@given(counted())
def test_within_0_and_1_around_the_rate_and_mirrored(cells) -> None:
    hits, asked = cells
    low, high = rate_interval(hits, asked)
    rate = hits.sum() / asked.sum()
    assert 0 <= low <= rate <= high <= 1 and high - low > 0.01
    assert (low == 0) == (rate == 0) or low < 1e-3
    mirrored = rate_interval(asked - hits, asked)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-6)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_more_families_of_the_same_kind_narrow_it(rate: float) -> None:
    asked = np.array([[6.0, 4.0, 6.0, 8.0, 4.0, 6.0]])
    hits = np.random.default_rng(4).binomial(asked.astype(int), rate).astype(float)
    widths = []
    for times in (1, 2, 4, 8):
        low, high = rate_interval(np.tile(hits, (1, times)), np.tile(asked, (1, times)))
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True) and widths[-1] < 0.55 * widths[0]


@settings(max_examples=12, deadline=None)
@given(st.integers(2, 20), st.integers(1, 8))
def test_more_successes_move_both_ends_up(families: int, size: int) -> None:
    ends = [rate_interval(np.full((1, families), k), np.full((1, families), size)) for k in range(size + 1)]
    assert ends == sorted(ends) and [high for _, high in ends] == sorted(high for _, high in ends)


def test_families_that_agree_within_themselves_widen_it() -> None:
    asked = np.full((1, 12), 10.0)
    split = rate_interval(np.where(np.arange(12) < 6, 10.0, 0.0)[None], asked)
    even = rate_interval(np.full((1, 12), 5.0), asked)
    assert split[1] - split[0] > 2 * (even[1] - even[0])


def test_seeds_that_differ_widen_it_and_seeds_that_agree_hardly() -> None:
    asked = np.full((3, 18), 6.0)
    same = np.tile(np.where(np.arange(18) % 2, 4.0, 2.0), (3, 1))
    apart = same + np.array([[-2.0], [0.0], [2.0]])
    pooled = rate_interval(same.sum(axis=0), asked.sum(axis=0))
    one, two = rate_interval(same, asked), rate_interval(apart, asked)
    assert pooled[1] - pooled[0] < one[1] - one[0] < 1.3 * (pooled[1] - pooled[0])
    assert two[0] < one[0] - 0.1 and two[1] > one[1] + 0.1


def test_the_variance_of_two_seeds_is_shrunken() -> None:
    """By hand: 12 families of 10 questions, 8 or 2 of which succeed; in seed 1 one more in each.

    Seeds differ by 10 points and otherwise by nothing, so their variance is (0.1)^2 / 2 without noise.
    """
    first = np.where(np.arange(12) < 6, 8.0, 2.0)
    hits, asked = np.stack([first, first + 1]), np.full((2, 12), 10.0)
    rate, of_families = 0.55, np.var(first / 10, ddof=1) / 12
    of_seeds = ((0.3 * rate * (1 - rate)) ** 2 / 2 + 0.1**2 / 2 / 2) / 2
    freedom = (of_families + of_seeds) ** 2 / (of_families**2 / 11 + of_seeds**2 / 2)
    wider = np.sqrt(1 + of_seeds / of_families) * t.ppf(0.975, freedom) / t.ppf(0.975, 11)
    pooled = rate_interval(hits.sum(axis=0), asked.sum(axis=0))
    expected = expit(logit(rate) + wider * (logit(pooled) - logit(rate)))
    assert rate_interval(hits, asked) == pytest.approx(expected)


def test_two_seeds_that_differ_do_not_leave_everything_open() -> None:
    """A quantile of t with one degree of freedom, 12.7, made it twice as wide."""
    asked = np.full((2, 18), 6.0)
    hits = np.stack([np.where(np.arange(18) % 2, 4.0, 2.0), np.where(np.arange(18) % 2, 4.0, 3.0)])
    low, high = rate_interval(hits, asked)
    assert high - low < 0.35


def test_empty_cells_do_not_count() -> None:
    hits, asked = np.array([[2.0, 3.0, 0.0]]), np.array([[4.0, 4.0, 0.0]])
    assert rate_interval(hits, asked) == rate_interval(hits[:, :2], asked[:, :2])
    seeds = np.array([[2.0, 3.0], [0.0, 0.0]]), np.array([[4.0, 4.0], [0.0, 0.0]])
    assert rate_interval(*seeds) == rate_interval(hits[:, :2], asked[:, :2])
    for wrong in ((np.zeros((1, 2)), np.zeros((1, 2))), (np.ones((1, 2)), np.zeros((1, 2)))):
        with pytest.raises(ValueError, match="needs at least one question"):
            rate_interval(*wrong)


@settings(max_examples=20, deadline=None)
@given(counted(), st.data())
def test_a_difference_holds_its_value_and_turns_with_its_sides(cells, data) -> None:
    won, asked = cells
    lost = np.array([[data.draw(st.integers(0, int(n - w))) for w, n in zip(*row, strict=True)]
                     for row in zip(won, asked, strict=True)], float)  # fmt: skip
    value, low, high = difference_interval(won, lost, asked)
    assert value == pytest.approx((won.sum() - lost.sum()) / asked.sum())
    assert -1 <= low <= value <= high <= 1 and low < high
    assert difference_interval(lost, won, asked) == pytest.approx((-value, -high, -low))


def test_identical_answers_are_no_proof_of_equality() -> None:
    """18 families of 6, nothing won or lost: what scipy's beta-binomial leaves open of one share."""
    none, asked = np.zeros((1, 18)), np.full((1, 18), 6.0)
    correlations = np.linspace(0.001, 0.999, 400)
    size = (1 - correlations) / correlations
    rates = expit(np.linspace(-9, 4, 800))
    each = betabinom.pmf(0, 6, rates[:, None] * size, (1 - rates[:, None]) * size)
    # even steps of log odds: Jeffreys' density times rate (1 - rate)
    mass = (each**18).mean(axis=1) * np.sqrt(rates * (1 - rates))
    open_still = np.interp(0.975, (np.cumsum(mass) - mass / 2) / mass.sum(), rates)
    value, low, high = difference_interval(none, none, asked)
    assert value == 0 and high == -low == pytest.approx(open_still, abs=0.003)
    assert high < rate_interval(none, asked)[1]


def test_a_difference_of_families_of_one_question_joins_two_jeffreys_intervals() -> None:
    """One question a family: by scipy's beta, joined with the correlation of the wins and losses."""
    won, lost = np.zeros((2, 1, 60))
    won[0, :14], lost[0, 20:25] = 1, 1
    ends = [tuple(beta.ppf([0.025, 0.975], k + 0.5, 60.5 - k)) for k in (14, 5)]
    joined = newcombe_joined((14 / 60, 5 / 60), (ends[0], ends[1]), np.corrcoef(won[0], lost[0])[0, 1])
    assert difference_interval(won, lost, np.ones((1, 60))) == pytest.approx(joined, abs=0.003)


@pytest.mark.parametrize("method", ["newcomb", "score"])
@pytest.mark.parametrize("k1, n1, k2, n2", [(3, 70, 12, 80), (30, 60, 41, 90), (2, 40, 1, 50)])
def test_independent_questions_are_near_statsmodels(method, k1, n1, k2, n2) -> None:
    """Families of one question each; ends from Jeffreys' prior in place of Wilson's move it a little."""
    sides = [((np.arange(n) < k).astype(float)[None], np.ones((1, n))) for k, n in ((k1, n1), (k2, n2))]
    value, low, high = independent_difference(sides[0], sides[1])
    expected = confint_proportions_2indep(k1, n1, k2, n2, method=method)
    assert value == pytest.approx(k1 / n1 - k2 / n2)
    assert (low, high) == pytest.approx(expected, abs=0.03)


def test_independent_sides_are_joined_as_newcombe_joins() -> None:
    one = np.array([[4.0, 1.0, 3.0]]), np.full((1, 3), 4.0)
    two = np.array([[0.0, 2.0]]), np.full((1, 2), 5.0)
    joined = newcombe_joined((8 / 12, 2 / 10), (rate_interval(*one), rate_interval(*two)), 0.0)
    assert independent_difference(one, two) == joined
