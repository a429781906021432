"""Sample sizes against published numbers, statsmodels, and the count of every outcome."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, fisher_exact
from statsmodels.stats.proportion import power_proportions_2indep
from typer.testing import CliRunner

from analysis.stats.power import Design, detectable, exact_power, independent_discordance, power, prompts
from beliefmod.cli.app import app

rates = st.floats(0.02, 0.98)


@pytest.mark.parametrize(("one", "two", "n"), [(0.05, 0.17, 106), (0, 0.17, 42), (0.17, 0.30, 166)])
def test_the_numbers_of_the_metrics_page(one: float, two: float, n: int) -> None:
    assert prompts(Design(one, two)) == prompts(Design(two, one)) == n
    assert power(Design(one, two), n) >= 0.8 > power(Design(one, two), n - 1)


@given(rates, rates, st.integers(5, 400), st.sampled_from([0.01, 0.05, 0.1]))
def test_power_is_that_of_statsmodels(one: float, two: float, n: int, alpha: float) -> None:
    ours = power(Design(one, two, alpha=alpha), n)
    theirs = power_proportions_2indep(one - two, two, n, alpha=alpha, return_results=False)
    # they add the chance to reject on the wrong side, which is below alpha / 2
    assert ours <= theirs + 1e-9
    assert theirs - ours <= alpha / 2 + 1e-9
    if abs(one - two) * np.sqrt(n) > 2:
        assert ours == pytest.approx(theirs, abs=2e-3)


@pytest.mark.parametrize(("one", "two"), [(0.05, 0.17), (0.17, 0.30), (0.4, 0.6), (0.3, 0.4)])
def test_the_z_test_has_that_power_when_every_outcome_is_counted(one: float, two: float) -> None:
    n = prompts(Design(one, two))
    k1, k2 = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    middle = (k1 + k2) / (2 * n)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.abs(k1 - k2) / n / np.sqrt(2 * middle * (1 - middle) / n)
    chance = np.outer(binom.pmf(np.arange(n + 1), n, one), binom.pmf(np.arange(n + 1), n, two))
    # the normal approximation at these n
    assert chance[np.nan_to_num(z) >= 1.959964].sum() == pytest.approx(0.8, abs=0.03)


@given(st.just(0.0) | rates, rates | st.just(1.0), st.integers(2, 7))
@settings(max_examples=25)
def test_exact_power_of_fisher_by_brute_force(one: float, two: float, n: int) -> None:
    total = 0.0
    for k1, k2 in itertools.product(range(n + 1), repeat=2):
        if fisher_exact([[k1, n - k1], [k2, n - k2]])[1] <= 0.05:
            total += binom.pmf(k1, n, one) * binom.pmf(k2, n, two)
    assert exact_power(Design(one, two), n) == pytest.approx(total, abs=1e-9)


@given(st.floats(0.001, 0.5), st.just(0.0) | st.floats(0.001, 0.5), st.integers(2, 12))
@settings(max_examples=25)
def test_exact_power_of_mcnemar_by_brute_force(lost: float, won: float, n: int) -> None:
    """Of n prompts, multinomial: won with chance `won`, lost with `lost`, else alike."""
    total = 0.0
    for a in range(n + 1):
        for b in range(n + 1 - a):
            if a + b and binomtest(a, a + b, 0.5).pvalue <= 0.05:
                total += binom.pmf(a + b, n, lost + won) * binom.pmf(a, a + b, won / (lost + won))
    design = Design(lost, won, discordant=lost + won)
    assert exact_power(design, n) == pytest.approx(total, abs=1e-9)


def test_paired_by_hand() -> None:
    # Connor 1987: (1.96 sqrt(0.25) + 0.8416 sqrt(0.25 - 0.04))^2 / 0.04 = 46.6
    assert prompts(Design(0.3, 0.5, discordant=0.25)) == 47
    assert independent_discordance(0.3, 0.5) == pytest.approx(0.5)


def test_families_cost() -> None:
    design = Design(0.05, 0.17, per_family=10, icc=0.2)
    assert design.effect == pytest.approx(2.8)
    # 105.5 * 2.8, not 106 * 2.8
    assert prompts(design) == 296
    assert Design(0.05, 0.17, per_family=10, icc=1.0).effect == 10
    assert power(design, 280) == pytest.approx(power(Design(0.05, 0.17), 100))


@given(rates, st.integers(2, 2000))
def test_what_is_called_detectable_is(first: float, n: int) -> None:
    for second in detectable(Design(first, first), n):
        if second is not None:
            assert power(Design(first, second), n) == pytest.approx(0.8, abs=1e-6) or second in (0.0, 1.0)
            assert prompts(Design(first, second)) <= n + 1


@given(rates, rates, st.floats(0.1, 0.99), st.floats(0.001, 0.2))
def test_more_prompts_for_more_certainty(one: float, two: float, wanted: float, alpha: float) -> None:
    if abs(one - two) < 0.01:
        return
    n = prompts(Design(one, two, wanted, alpha))
    assert prompts(Design(one, two, wanted, alpha / 2)) >= n
    assert prompts(Design(one, two, (1 + wanted) / 2, alpha)) >= n
    assert prompts(Design(one, two, wanted, alpha, per_family=4, icc=0.5)) >= n


def test_equal_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="equal"):
        prompts(Design(0.3, 0.3))


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["power", *arguments])
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        (("--from", "0.05", "--to", "0.17"), "106 prompts per arm"),
        (("--from", "0", "--to", "0.17"), "42 prompts per arm"),
        (("--from", "0.17", "--to", "0.3"), "166 prompts per arm"),
        (("--from", "0.05", "--to", "0.17", "--n", "6"), "power 9.3 %"),
        (("--from", "0.05", "--n", "6"), "smallest difference 71.9 points"),
        (("--from", "0.5", "--n", "2"), "nothing"),
        (
            ("--from", "0.3", "--to", "0.5", "--paired", "--discordant", "0.25"),
            "47 prompts asked of both arms",
        ),
    ],
)
def test_the_command_prints(arguments: tuple[str, ...], first: str) -> None:
    code, text = run(*arguments)
    assert code == 0 and text.splitlines()[0] == first


def test_the_command_speaks_of_families() -> None:
    code, text = run("--from", "0.05", "--to", "0.17", "--n", "106", "--per-family", "10", "--icc", "0.2")
    assert code == 0 and "106 prompts (11 families) are worth 37 independent ones" in text
    assert "needs 296 prompts per arm, there are 106" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "0.1"), "--to RATE"),
        (("--from", "1.2", "--to", "0.1"), "--from is 1.2"),
        (("--from", "nan", "--to", "0.1"), "--from is nan"),
        (("--from", "0.1", "--to", "0.1"), "both 0.1"),
        (("--from", "0.1", "--to", "0.2", "--power", "1"), "--power is 1"),
        (("--from", "0.1", "--to", "0.2", "--alpha", "0"), "--alpha is 0"),
        (("--from", "0.1", "--to", "0.2", "--icc", "0.2"), "--icc needs --per-family"),
        (("--from", "0.1", "--to", "0.2", "--per-family", "5"), "needs --icc"),
        (("--from", "0.1", "--to", "0.2", "--per-family", "0", "--icc", "0"), "at least 1"),
        (("--from", "0.1", "--to", "0.2", "--discordant", "0.2"), "needs --paired"),
        (("--from", "0.1", "--n", "20", "--paired"), "--paired needs --to"),
        (("--from", "0.1", "--to", "0.5", "--paired", "--discordant", "0.9"), "room for 0.4 to 0.6"),
        (("--from", "0.1", "--to", "0.5", "--n", "1"), "at least 2"),
    ],
)
def test_mistakes_are_told_in_sentences(arguments: tuple[str, ...], words: str) -> None:
    code, text = run(*arguments)
    assert code == 2 and words in text and "Traceback" not in text
