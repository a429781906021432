"""A logit regression on settings with cluster-robust intervals, or the sentence that says why there is none.

Fitted by statsmodels' GLM (binomial). Questions are answered under every configuration, so rows share both a
configuration and a question family: two-way clustering of Cameron, Gelbach & Miller (2011), never narrower
than clustering on either alone. Each way is a linearised cluster jackknife (MacKinnon, Nielsen & Webb 2024),
with t quantiles of the smaller number of clusters less one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.stats.designs import Array, Design, Refused, Term, separated

FEW_CLUSTERS = 10  # below this the sandwich is known to be far too narrow (Cameron & Miller 2015)


@dataclass(frozen=True)
class Effect:
    """What one change of a setting does: an odds ratio, and points of the outcome on average over the
    rows.
    """

    axis: str
    change: str
    odds: float
    odds_low: float
    odds_high: float
    points: float
    points_low: float
    points_high: float
    p: float


@dataclass(frozen=True)
class Fit:
    """Coefficients with their covariance [columns, columns]; df of the t quantiles; clusters by their
    name.
    """

    design: Design
    coefficients: Array
    covariance: Array
    df: int
    clusters: Mapping[str, int]


def fit_logit(
    design: Design, successes: Array, trials: Array, clusters: Mapping[str, NDArray[Any]]
) -> Fit | Refused:
    """Fit P(success) = logistic(design) by maximum likelihood.

    Args:
        successes: per row, 0 to trials; a share with trials 1 makes it a fractional logit (Papke &
        Wooldridge 1996). trials: per row, positive.
        clusters: one or two names ("configurations", "families"), each with a label per row.

    Refuses without variation, without a varying setting, with fewer than ten clusters of a kind, or under
    separation.
    """
    share = successes.sum() / trials.sum()
    if share <= 0 or share >= 1:
        return Refused(f"all of it is {'0' if share <= 0 else '1'}, so no setting can be seen to move it")
    if not design.terms:
        return Refused("no setting varies on its own")
    counts = {name: len(np.unique(labels)) for name, labels in clusters.items()}
    for name, count in counts.items():
        if count < FEW_CLUSTERS:
            return Refused(f"it needs at least {FEW_CLUSTERS} {name} to cluster on, and has {count}")
    rank = len(np.unique(design.points[np.unique(design.rows)], axis=0))
    if rank <= design.points.shape[1]:
        return Refused(f"{design.points.shape[1]} coefficients cannot be judged on {rank} different settings")
    if (name := separated(design, successes, trials)) is not None:
        return Refused(
            f"complete separation: {name} predicts outcomes without error, and an odds ratio has no bound"
        )
    return _fit(design, successes, trials, clusters, counts)


def _fit(
    design: Design,
    successes: Array,
    trials: Array,
    clusters: Mapping[str, NDArray[Any]],
    counts: Mapping[str, int],
) -> Fit | Refused:
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    centre, size = _standard(design)
    x = (design.matrix - centre) / size
    found: Any = GLM(np.column_stack([successes, trials - successes]), x, family=Binomial()).fit(maxiter=100)
    if not found.converged or not np.all(np.isfinite(found.params)):
        return Refused("the fit did not converge")
    p = _logistic(x @ found.params)
    score, weight = x * (successes - trials * p)[:, None], trials * p * (1 - p)
    labels = [np.unique(values, return_inverse=True)[1].ravel() for values in clusters.values()]
    parts = [jackknife(x, weight, score, label) for label in labels]
    covariance = parts[0]
    if len(parts) == 2:
        both = np.unique(labels[0] * (labels[1].max() + 1) + labels[1], return_inverse=True)[1].ravel()
        covariance = _at_least(parts[0] + parts[1] - _sandwich(x, weight, score, both), parts)
    back = _back(design, centre, size)
    return Fit(design, back @ found.params, back @ covariance @ back.T, min(counts.values()) - 1, counts)


def jackknife(x: Array, weight: Array, score: Array, label: NDArray[np.int64]) -> Array:
    """Covariance of logit coefficients by leaving out one cluster at a time, to first order.

    (G - 1) / G times the sum over clusters g of d d', d = (H - H_g)^-1 s_g: CV3L of MacKinnon, Nielsen & Webb
    (2024). The usual sandwich takes H^-1 s_g and is too narrow where few clusters carry a setting.

    Args:
        x: shape [rows, columns]. weight: p (1 - p) times the questions, shape [rows]. score: shape [rows,
        columns]. label: the cluster of every row, 0 to G - 1.
    """
    columns, clusters = x.shape[1], int(label.max()) + 1
    own = np.empty((clusters, columns, columns))
    for i in range(columns):
        for j in range(i, columns):
            own[:, i, j] = own[:, j, i] = np.bincount(label, weights=weight * x[:, i] * x[:, j])
    total = np.column_stack([np.bincount(label, weights=score[:, i]) for i in range(columns)])
    left = own.sum(axis=0) - own
    # without its only cluster a coefficient is not determined: the pseudo-inverse leaves it where it is
    moved = np.einsum("gij,gj->gi", np.linalg.pinv(left, hermitian=True), total)
    return (clusters - 1) / clusters * moved.T @ moved


def _sandwich(x: Array, weight: Array, score: Array, label: NDArray[np.int64]) -> Array:
    """The usual sandwich, without a correction: what is counted twice when two ways of clustering are
    added.
    """
    bread = np.linalg.inv((x * weight[:, None]).T @ x)
    total = np.column_stack([np.bincount(label, weights=score[:, i]) for i in range(x.shape[1])])
    return bread @ (total.T @ total) @ bread


def _standard(design: Design) -> tuple[Array, Array]:
    """Centre and scale of every column, so that 1e-5 and 64 in one design do not cost digits."""
    centre, size = design.matrix.mean(axis=0), design.matrix.std(axis=0)
    first = np.arange(design.matrix.shape[1]) < len(design.beliefs)
    return np.where(first, 0.0, centre), np.where(first | (size == 0), 1.0, size)


def _back(design: Design, centre: Array, size: Array) -> Array:
    """The matrix that turns coefficients of standardised columns into those of the columns themselves."""
    back = np.diag(1 / size)
    back[: len(design.beliefs)] -= centre / size
    return back


def _at_least(covariance: Array, parts: Sequence[Array]) -> Array:
    """Two-way clustering can give less variance than one way, or even a negative one: the widest counts."""
    variance = np.max([np.diag(covariance), *(np.diag(part) for part in parts)], axis=0)
    own = np.diag(covariance)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.where(own > 0, np.sqrt(variance / own), 0.0)
    widened = covariance * np.outer(scale, scale)
    np.fill_diagonal(widened, variance)
    values, vectors = np.linalg.eigh(widened)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T if values.min() < 0 else widened


def effects(fit: Fit, trials: Array) -> tuple[Effect, ...]:
    """Every term as an odds ratio and as points (percentage points of the outcome), averaged over the rows.

    Points are the average marginal effect: for a doubling or unit the slope averaged over all rows, for a
    category the mean difference between all rows set to the level and all set to the reference; intervals
    by the delta method.
    """
    from scipy.stats import t as student

    quantile = float(student.ppf(0.975, fit.df))
    weights = trials / trials.sum()
    found = []
    for term in fit.design.terms:
        column = fit.design.at(term)
        value, error = fit.coefficients[column], float(np.sqrt(fit.covariance[column, column]))
        points, gradient = _marginal(fit, term, weights)
        spread = float(np.sqrt(max(0.0, gradient @ fit.covariance @ gradient)))
        found.append(
            Effect(
                axis=term.axis,
                change=term.change,
                odds=_exp(value),
                odds_low=_exp(value - quantile * error),
                odds_high=_exp(value + quantile * error),
                points=100 * points,
                points_low=100 * (points - quantile * spread),
                points_high=100 * (points + quantile * spread),
                p=float(2 * student.sf(abs(value) / error, fit.df)) if error > 0 else 1.0,
            )
        )
    return tuple(found)


def _marginal(fit: Fit, term: Term, weights: Array) -> tuple[float, Array]:
    """The average marginal effect and its gradient in the coefficients."""
    x, b = fit.design.matrix, fit.coefficients
    column = fit.design.at(term)
    if term.level is None:
        p = _logistic(x @ b)
        slope = p * (1 - p)
        gradient = (weights * slope * (1 - 2 * p) * b[column]) @ x
        gradient[column] += weights @ slope
        return float(weights @ slope * b[column]), gradient
    without = x.copy()
    without[:, [fit.design.at(other) for other in fit.design.terms if other.axis == term.axis]] = 0.0
    there = without.copy()
    there[:, column] = 1.0
    up, down = _logistic(there @ b), _logistic(without @ b)
    gradient = (weights * up * (1 - up)) @ there - (weights * down * (1 - down)) @ without
    return float(weights @ (up - down)), gradient


def _logistic(x: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(x, -500, 500)))


def _exp(x: float) -> float:
    return float(np.exp(np.clip(x, -500, 500)))
