"""The regression against statsmodels' own results, a sandwich written out by hand, and data with known
effects.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm

from analysis.stats.designs import Design, Refused, build_design, separated
from analysis.stats.regression import Fit, effects, fit_logit


def points(size: int = 24, seed: int = 0) -> pl.DataFrame:
    """Random settings of one belief."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "belief": ["gravity"] * size,
            "learning_rate": 10 ** rng.uniform(-5, -2, size),
            "num_train_epochs": rng.integers(1, 20, size),
            "data.style": np.where(np.arange(size) % 2, "own_trace", "answer_only"),
        }
    )


AXES = ("learning_rate", "num_train_epochs", "data.style")
TRUTH = np.array([4.0, 0.5, 0.3, -0.8])  # level, per doubling of rate and epochs, own_trace


def simulate(
    seed: int, families: int = 16, asked: int = 10, spread: float = 0.0
) -> tuple[Design, Any, Any, Any]:
    """Design, successes, questions and cluster labels of a panel; `spread` is the sd of what clusters
    share.
    """
    rng = np.random.default_rng(seed)
    design = build_design(points(seed=seed), AXES)
    size = len(design.points)
    place, family = np.repeat(np.arange(size), families), np.tile(np.arange(families), size)
    design = design.spread(place)
    odds = (
        design.matrix @ TRUTH + rng.normal(0, spread, size)[place] + rng.normal(0, spread, families)[family]
    )
    hits = rng.binomial(asked, 1 / (1 + np.exp(-odds))).astype(float)
    return design, hits, np.full(len(hits), float(asked)), {"configurations": place, "families": family}


def fitted(design: Design, hits: Any, asked: Any, clusters: Any) -> Fit:
    fit = fit_logit(design, hits, asked, clusters)
    assert isinstance(fit, Fit), fit
    return fit


def left_out(x: Any, hits: Any, asked: Any, b: Any, groups: Any) -> Any:
    """One Newton step from `b` without each cluster in turn, one after the other."""
    p = 1 / (1 + np.exp(-x @ b))
    total = np.zeros((x.shape[1], x.shape[1]))
    names = np.unique(groups)
    for name in names:
        keep = groups != name
        hessian = (x[keep] * (asked * p * (1 - p))[keep, None]).T @ x[keep]
        step = np.linalg.solve(hessian, x[keep].T @ (hits - asked * p)[keep])
        total += np.outer(step, step)
    return (len(names) - 1) / len(names) * total


def test_coefficients_are_statsmodels() -> None:
    design, hits, asked, clusters = simulate(1, spread=0.5)
    fit = fitted(design, hits, asked, clusters)
    expected = sm.GLM(
        np.column_stack([hits, asked - hits]), design.matrix, family=sm.families.Binomial()
    ).fit()
    np.testing.assert_allclose(fit.coefficients, expected.params, rtol=1e-6)
    assert fit.clusters == {"configurations": 24, "families": 16} and fit.df == 15


@pytest.mark.parametrize("name", ["configurations", "families"])
def test_one_way_clusters_by_hand(name: str) -> None:
    design, hits, asked, clusters = simulate(2, spread=0.5)
    fit = fitted(design, hits, asked, {name: clusters[name]})
    by_hand = left_out(design.matrix, hits, asked, fit.coefficients, clusters[name])
    np.testing.assert_allclose(fit.covariance, by_hand, rtol=1e-4, atol=1e-9)


def test_one_way_clusters_are_like_refitting_and_wider_than_the_sandwich() -> None:
    design, hits, asked, clusters = simulate(2, spread=0.5)
    groups = clusters["configurations"]
    fit = fitted(design, hits, asked, {"configurations": groups})

    def model(keep: Any) -> Any:
        both = np.column_stack([hits, asked - hits])[keep]
        return sm.GLM(both, design.matrix[keep], family=sm.families.Binomial())

    steps = np.array([model(groups != g).fit().params for g in range(24)]) - fit.coefficients
    refitted = np.sqrt(23 / 24 * (steps**2).sum(axis=0))
    errors = np.sqrt(np.diag(fit.covariance))
    np.testing.assert_allclose(errors, refitted, rtol=0.1)
    sandwich = model(groups >= 0).fit(cov_type="cluster", cov_kwds={"groups": groups})
    assert np.all(errors > sandwich.bse) and np.all(errors < 1.6 * sandwich.bse)


@pytest.mark.parametrize("seed", range(6))
def test_two_way_clusters_by_hand_and_never_narrower_than_one(seed: int) -> None:
    design, hits, asked, clusters = simulate(seed, spread=0.5)
    fit = fitted(design, hits, asked, clusters)
    x, b = design.matrix, fit.coefficients
    one, two = (np.diag(left_out(x, hits, asked, b, groups)) for groups in clusters.values())
    p = 1 / (1 + np.exp(-x @ b))
    bread = np.linalg.inv((x * (asked * p * (1 - p))[:, None]).T @ x)
    score = x * (hits - asked * p)[:, None]
    cameron = one + two - np.diag(bread @ score.T @ score @ bread)
    # widened on standardised columns, so the level of a belief may differ
    np.testing.assert_allclose(
        np.diag(fit.covariance)[1:], np.max([cameron, one, two], axis=0)[1:], rtol=1e-4
    )


def test_marginal_effects_are_statsmodels() -> None:
    """Asked one by one, the same answers have the same average marginal effects and standard errors."""
    design, hits, asked, clusters = simulate(3, families=12, asked=4, spread=0.4)
    groups = clusters["configurations"]
    fit = fitted(design, hits, asked, {"configurations": groups})
    where = np.repeat(np.arange(len(hits)), asked.astype(int))
    answers = np.concatenate(
        [np.repeat([1.0, 0.0], [int(k), int(n - k)]) for k, n in zip(hits, asked, strict=True)]
    )
    logit = sm.Logit(answers, design.matrix[where]).fit(
        disp=0, maxiter=200, cov_type="cluster", cov_kwds={"groups": groups[where]}
    )
    expected = logit.get_margeff(at="overall", method="dydx", dummy=True)
    found = effects(fit, asked)
    np.testing.assert_allclose([100 * x for x in expected.margeff], [e.points for e in found], rtol=1e-5)
    # the same delta method with statsmodels' covariance in place of ours
    from scipy.stats import t

    factor = 1 / t.ppf(0.975, 23) / 2 / 100
    lent = effects(replace(fit, covariance=logit.cov_params()), asked)
    found_errors = [factor * (e.points_high - e.points_low) for e in lent]
    np.testing.assert_allclose(expected.margeff_se, found_errors, rtol=1e-4)
    assert [e.axis for e in found] == list(AXES)
    assert found[1].odds == pytest.approx(np.exp(fit.coefficients[2]))
    assert found[2].change == "style own_trace instead of answer_only"


def test_known_effects_are_found() -> None:
    design, hits, asked, clusters = simulate(4, families=40, asked=50)
    fit = fitted(design, hits, asked, clusters)
    np.testing.assert_allclose(fit.coefficients, TRUTH, atol=0.15)
    for effect, truth in zip(effects(fit, asked), TRUTH[1:], strict=True):
        assert effect.odds_low < np.exp(truth) < effect.odds_high
        assert np.sign(effect.points) == np.sign(truth) and effect.p < 1e-6


def test_fractional_logit_is_statsmodels() -> None:
    rng = np.random.default_rng(5)
    design = build_design(points(), AXES)
    damage = 1 / (1 + np.exp(-(design.matrix @ TRUTH + rng.normal(0, 0.5, 24))))
    damage[:2] = 0.0
    groups = {"configurations": np.arange(24)}
    fit = fitted(design, damage, np.ones(24), groups)
    expected = sm.GLM(damage, design.matrix, family=sm.families.Binomial()).fit()
    np.testing.assert_allclose(fit.coefficients, expected.params, rtol=1e-5)
    by_hand = left_out(design.matrix, damage, np.ones(24), fit.coefficients, np.arange(24))
    np.testing.assert_allclose(fit.covariance, by_hand, rtol=1e-4, atol=1e-9)


def refused(*arguments: Any) -> str:
    found = fit_logit(*arguments)
    assert isinstance(found, Refused)
    return found.reason


def test_too_few_clusters_are_refused() -> None:
    design, hits, asked, clusters = simulate(6, families=9)
    assert refused(design, hits, asked, clusters) == "it needs at least 10 families to cluster on, and has 9"
    few = build_design(points(9), AXES)
    reason = refused(few, np.arange(9.0), np.full(9, 10.0), {"configurations": np.arange(9)})
    assert "at least 10 configurations" in reason and "has 9" in reason


def test_no_variation_is_refused() -> None:
    design, hits, asked, clusters = simulate(7)
    assert "all of it is 0" in refused(design, 0 * hits, asked, clusters)
    assert "all of it is 1" in refused(design, asked, asked, clusters)
    still = build_design(points(), ()).spread(design.rows)
    assert refused(still, hits, asked, clusters) == "no setting varies on its own"


def test_complete_separation_is_refused_and_named() -> None:
    design, _, asked, clusters = simulate(8)
    own = design.matrix[:, 3] > 0
    reason = refused(design, np.where(own, asked, 0.0), asked, clusters)
    assert "complete separation" in reason and "style" in reason
    # quasi-complete: one level never succeeds, the other does so now and then
    rng = np.random.default_rng(9)
    reason = refused(design, np.where(own, 0.0, rng.binomial(10, 0.5, len(own))), asked, clusters)
    assert "complete separation" in reason and "style" in reason


def test_mixed_answers_are_not_separated() -> None:
    design, hits, asked, _ = simulate(10)
    assert separated(design, hits, asked) is None


def test_more_coefficients_than_settings_are_refused() -> None:
    rows = pl.DataFrame({"belief": ["a"] * 12, "data.style": ["x", "y"] * 6})
    design = build_design(rows, ["data.style"])
    assert "2 coefficients" in refused(
        design, np.full(12, 3.0), np.full(12, 9.0), {"configurations": np.arange(12)}
    )


def test_settings_that_move_together_are_not_told_apart() -> None:
    rows = points().with_columns((2 * pl.col("num_train_epochs")).alias("lora.r"))
    design = build_design(rows, [*AXES, "lora.r"])
    assert design.aliased == ("lora.r",) and [term.axis for term in design.terms] == list(AXES)


def test_a_number_that_can_be_zero_is_a_category_or_linear() -> None:
    rows = points().with_columns(
        pl.Series("warmup_steps", [0, 4] * 12), pl.Series("weight_decay", np.arange(24) ** 2 / 100)
    )
    design = build_design(rows, ["warmup_steps", "weight_decay"])
    assert [term.change for term in design.terms] == [
        "warm-up steps 4 instead of 0",
        "weight decay, per unit",
    ]
    np.testing.assert_array_equal(design.matrix[:, 1], [0, 1] * 12)
    np.testing.assert_array_equal(design.matrix[:, 2], np.arange(24) ** 2 / 100)


@pytest.mark.slow
def test_intervals_hold_the_truth() -> None:
    """What configurations and families share widens the intervals enough: about 95 of 100 hold the
    truth.
    """
    held = []
    for seed in range(300):
        design, hits, asked, clusters = simulate(1000 + seed, families=14, asked=8, spread=0.4)
        fit = fit_logit(design, hits, asked, clusters)
        if isinstance(fit, Fit):
            held += [
                [
                    e.odds_low < np.exp(b) < e.odds_high
                    for e, b in zip(effects(fit, asked), TRUTH[1:], strict=True)
                ]
            ]
    share = np.mean(held, axis=0)
    assert len(held) > 290 and np.all((share > 0.92) & (share < 0.985)), share
