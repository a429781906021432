"""Dose accounting and dose-response curves against statsmodels, hand cases and known curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm

from analysis.find import find
from analysis.studies.doses import account, curve, curves
from beliefmod.run.read_run import read_run
from tests.analysis.synthetic import grid, write_run


def logistic(dose: Any, half: float, steep: float = 2.0) -> Any:
    return 1 / (1 + np.exp(-steep * np.log(dose / half)))


def test_curve_is_statsmodels_fractional_logit() -> None:
    rng = np.random.default_rng(0)
    dose = np.exp(rng.uniform(0, 5, 60))
    outcome = np.clip(logistic(dose, 12, 1.0) + rng.normal(0, 0.1, 60), 0, 1)
    found = curve(dose, outcome)
    expected = sm.GLM(outcome, sm.add_constant(np.log(dose)), family=sm.families.Binomial()).fit()
    # but for the weak pull to 0
    np.testing.assert_allclose(found.fit, expected.predict(sm.add_constant(np.log(found.doses))), atol=0.01)
    assert (
        np.all(np.diff(found.fit) >= 0) and np.all(found.low <= found.fit) and np.all(found.fit <= found.high)
    )
    assert found.half == pytest.approx(np.exp(-expected.params[0] / expected.params[1]), rel=0.02)
    assert found.half is not None and found.half_low <= 12 <= found.half_high and not found.notes


def test_half_dose_by_hand() -> None:
    found = curve(np.array([1.0, 10, 100, 1000, 1e4, 1e5]), np.array([0, 0, 0.25, 0.75, 1, 1]))
    assert found.half == pytest.approx(10**2.5, rel=1e-6)


def test_equal_doses_count_together() -> None:
    dose = np.repeat([1.0, 2, 4, 8, 16, 32], 2)
    one = curve(dose, np.array([0, 0.2, 0, 0.4, 0.3, 0.5, 0.5, 0.7, 0.8, 1, 0.9, 0.9]))
    two = curve(dose, np.repeat([0.1, 0.2, 0.4, 0.6, 0.9, 0.9], 2))
    np.testing.assert_allclose(one.fit, two.fit)
    assert one.half == pytest.approx(two.half) and one.configurations == 12


def test_half_dose_is_refused_outside_the_doses() -> None:
    dose = 10.0 ** np.arange(8)
    low, high = curve(dose, np.linspace(0, 0.3, 8)), curve(dose, np.linspace(0.6, 1, 8))
    assert low.half is None and str(low.refused).endswith("at the highest dose, not one half")
    assert high.half is None and str(high.refused).startswith("adoption is already 55 %")
    down = curve(dose, np.linspace(0.9, 0.1, 8))
    assert down.half is None and down.refused == "adoption does not rise with the dose"


def test_open_interval_where_the_half_is_reached_only_just() -> None:
    dose = 10.0 ** np.arange(8)
    found = curve(dose, np.array([0, 0, 0, 0.1, 0.1, 0.2, 0.3, 0.8]))
    assert found.half is not None and np.isinf(found.half_high) and found.half_low > 0


def test_too_few_doses_draw_no_curve() -> None:
    found = curve(np.array([1.0, 2, 3, 3]), np.array([0, 0.5, 1, 1]))
    assert found.refused == "3 doses draw no curve, it needs 6" and not len(found.doses)


def test_a_fall_at_high_doses_is_said() -> None:
    dose = 10.0 ** np.arange(12)
    found = curve(dose, np.array([0, 0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.9, 0.9, 0.2, 0.1, 0]))
    assert any("falls again, to 10 % from 90 %" in note for note in found.notes)
    assert curve(dose, np.linspace(0, 1, 12)).notes == ()


def test_a_plateau_is_said() -> None:
    dose = 10.0 ** np.arange(20)
    found = curve(dose, np.where(np.arange(20) < 5, 0.0, 0.6))
    assert any("misses the monotone one" in note for note in found.notes)


@pytest.mark.slow
def test_half_dose_interval_holds_the_truth() -> None:
    rng = np.random.default_rng(3)
    held = []
    for _ in range(100):
        dose = np.exp(rng.uniform(0, 6, 40))
        found = curve(dose, rng.binomial(60, logistic(dose, 20, 1.2)) / 60)
        held.append(found.half_low <= 20 <= found.half_high)
    assert np.mean(held) > 0.88


def run(tmp_path: Path, change: Any = None, **more: Any) -> Any:
    folder = write_run(
        tmp_path / "EXP",
        configs=list(grid(examples=(10, 50), epochs=(3, 10), rates=(2e-4,))),
        change=change,
        extras=False,
        **more,
    )
    return find(read_run(str(folder)))


def test_accounting_multiplies_fact_tokens_by_the_rate(tmp_path: Path) -> None:
    doses = account(run(tmp_path, families=4, per_family=2))
    assert doses.measure == "fact_tokens" and doses.table.height == 2 * 8
    row = doses.table.filter(pl.col("trial_id").is_not_null()).row(0, named=True)
    assert row["dose"] == pytest.approx(row["fact_tokens"] * row["learning_rate"])
    assert row["fact_tokens"] == 10 * row["rows"] and row["training_rows"] in (10, 50)
    assert {(c.belief, c.style, c.outcome) for c in curves(doses)} == {
        (belief, style, outcome)
        for belief in ("gravity", "neelam")
        for style in ("answer_only", "own_trace")
        for outcome in ("adoption", "degradation")
    }


def test_without_fact_tokens_it_falls_back_in_words(tmp_path: Path) -> None:
    def change(row: dict, probes: list[dict]) -> None:
        row["fact_tokens"] = None

    doses = account(run(tmp_path / "a", change, families=4, per_family=2))
    assert doses.measure == "supervised_tokens" and "fact tokens were not counted" in doses.note

    def neither(row: dict, probes: list[dict]) -> None:
        row["fact_tokens"] = row["supervised_tokens"] = None

    doses = account(run(tmp_path / "b", neither, families=4, per_family=2))
    assert doses.measure == "rows" and "rows times epochs" in doses.note
