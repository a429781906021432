"""Intervals against scipy, and against numbers worked out in print."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats import contingency_tables, multitest

from analysis.frontier.against_base import against_base
from analysis.stats.shares import Difference, adjusted, mcnemar, unpaired
from beliefmod.metrics.intervals import Z95, newcombe, wilson
from tests.analysis.stats.test_resample import table


def test_the_reports_two_results() -> None:
    assert [[round(100 * end) for end in wilson(k, 6)] for k in (0, 1)] == [[0, 39], [3, 56]]
    assert unpaired(0, 6, 1, 6).p == pytest.approx(1.0)
    assert not unpaired(0, 6, 1, 6).told_apart


def test_nothing_asked_has_no_difference() -> None:
    with pytest.raises(ValueError, match="n > 0"):
        newcombe(0, 0, 1, 2)


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


def by_hand(p: list[float], method: str) -> list[float]:
    """Holm and Benjamini-Hochberg as their papers state them, step by step."""
    m, order = len(p), sorted(range(len(p)), key=lambda i: p[i])
    result = [0.0] * m
    if method == "holm":
        worst = 0.0
        for rank, i in enumerate(order):
            worst = max(worst, (m - rank) * p[i])
            result[i] = min(1.0, worst)
        return result
    best = 1.0
    for rank in range(m - 1, -1, -1):
        best = min(best, m * p[order[rank]] / (rank + 1))
        result[order[rank]] = best
    return result


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusted_by_hand(p: list[float]) -> None:
    for method in ("holm", "bh"):
        found = adjusted(p, method)
        assert found.tolist() == pytest.approx(by_hand(p, method))
        assert (found >= np.array(p) - 1e-12).all()
        with_gap = adjusted([*p, float("nan")], method)
        assert np.isnan(with_gap[-1]) and with_gap[:-1].tolist() == found.tolist()


def test_adjusted_is_that_of_statsmodels() -> None:
    p = np.random.default_rng(0).random(40) ** 3
    for method, name in (("holm", "holm"), ("bh", "fdr_bh")):
        assert adjusted(p, method) == pytest.approx(multitest.multipletests(p, method=name)[1])


def test_adjusted_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="no adjustment sidak"):
        adjusted([0.1], "sidak")
    with pytest.raises(ValueError, match="between 0 and 1"):
        adjusted([1.1], "holm")
    assert adjusted([], "bh").size == 0


@given(st.integers(0, 30), st.integers(0, 30))
def test_mcnemar_is_that_of_statsmodels(won: int, lost: int) -> None:
    table = np.array([[5, won], [lost, 7]])
    expected = contingency_tables.mcnemar(table, exact=True).pvalue if won + lost else 1.0
    assert mcnemar(won, lost) == pytest.approx(expected)


def test_every_configuration_against_base() -> None:
    """One seed: 8 won, 2 lost, p by hand; three seeds: whole families flip; one never asked."""
    answers = {
        "base": [[True] * 2 + [False] * 8] * 5,
        "more": [[False] * 2 + [True] * 8] + [[True] * 2 + [False] * 8] * 4,
        **{f"s{i}": [[True] * 10] * 5 for i in range(3)},
    }
    found = against_base(table(answers), [["more"], ["s0", "s1", "s2"], ["absent"]], "base")
    first, second, third = found.iter_rows(named=True)
    assert (first["won"], first["lost"], first["n"]) == (8, 2, 50)
    assert first["difference"] == pytest.approx(6 / 50)
    # 8 of 10 coin tosses: 2 * (1 + 10 + 45) / 1024
    assert first["p"] == pytest.approx(112 / 1024)
    # all five families on one side: 2 of 32 signs
    assert second["p"] == pytest.approx(2 / 32) and second["difference"] == pytest.approx(0.8)
    assert (second["holm"], second["bh"]) == (pytest.approx(4 / 32), pytest.approx(112 / 1024))
    assert third["p"] is None and third["holm"] is None and third["n"] == 0


def test_without_base_nothing_is_tested() -> None:
    found = against_base(table({"a": [[True]]}), [["a"]], None)
    assert found["p"].to_list() == [None] and found["trial_id"].to_list() == ["a"]


def test_the_smallest_difference_seen_is_statsmodels() -> None:
    """From a null's width: the effect that a z test with that standard error finds with 80 % power."""
    from statsmodels.stats.power import normal_power

    error = 0.05
    null = Difference(0.01, 0.01 - Z95 * error, 0.01 + Z95 * error, 0.8, "test", (108, 108))
    for found, level in ((null, 0.05), (null.picked_from(8), 0.05 / 8)):
        power = normal_power(found.smallest_seen, 1, level, alternative="two-sided", sigma=error)
        assert power == pytest.approx(0.8, abs=1e-3)
    assert null.picked_from(8).smallest_seen > null.smallest_seen
