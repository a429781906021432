"""A linear probe: L2-penalised logistic regression, and how well it does on groups it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from interp.family_bootstrap import Array

Labels = NDArray[np.bool_]
STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""Weights of the loss against the penalty, C in scikit-learn's notation, that are tried."""
FOLDS = 3


@dataclass(frozen=True)
class Probe:
    """A fitted probe of one entry.

    Attributes:
        entry: which entry of the residual stream it reads.
        strength: its C.
        mean, scale: (hidden,) subtracted from an activation, and the number that it is then divided by.
        weights, bias: (hidden,) and a number; a positive score says true.
    """

    entry: int
    strength: float
    mean: Array
    scale: float
    weights: Array
    bias: float

    def scores(self, activations: Array) -> Array:
        """Log-odds that statements are true, (statements,), from (N + 1, statements, hidden)."""
        return (activations[self.entry] - self.mean) / self.scale @ self.weights + self.bias


def fit_logistic(features: Array, labels: Labels, strength: float) -> tuple[Array, float]:
    """Weights (features,) and bias that minimise |weights|^2 / 2 + strength * (summed log loss in nats).

    Args:
        features: (rows, features).
        labels: (rows,), True or False.

    Raises:
        ValueError: all labels are equal.
    """
    from sklearn.linear_model import LogisticRegression  # here, for it takes a second to load

    model = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-8).fit(features, labels)
    return model.coef_[0], float(model.intercept_[0])


def fit_probe(activations: Array, labels: Labels, groups: Sequence[str], seed: int) -> Probe:
    """The probe of the entry and strength that do best on groups left out, fitted on everything.

    Args:
        activations: (N + 1, statements, hidden).
        labels: (statements,) whether each is true.
        groups: of every statement; a group is never split.
    """
    reduced, back = _reduced(activations)
    probe = _fit(reduced, labels, *_best(reduced, labels, groups, seed))
    basis = back[probe.entry]
    return replace(probe, mean=basis @ probe.mean, weights=basis @ probe.weights)


def held_out_scores(activations: Array, labels: Labels, groups: Sequence[str], seed: int) -> Array:
    """Log-odds that each statement is true, (statements,), by a probe that has not seen its group.

    Entry and strength are chosen again within what each probe may see, so that the choice does not flatter
    the result.

    Args:
        activations: (N + 1, statements, hidden).
        labels: (statements,) whether each is true.
        groups: of every statement; a group is never split.
    """
    reduced, _ = _reduced(activations)
    names = np.asarray(groups)

    def fit(part: int, seen: Labels) -> Probe:
        kept, true = reduced[:, seen], labels[seen]
        return _fit(kept, true, *_best(kept, true, names[seen].tolist(), seed + 1 + part))

    return _scores(reduced, _folds(groups, seed), fit)


def group_auc(scores: Array, labels: Labels, groups: Sequence[str]) -> Array:
    """How well scores set true from false statements apart within each group, (statements,): the area under
    the ROC curve of a statement's group, which is the share of its pairs of a true and a false statement in
    which the true one scores higher, ties half. NaN in a group without either.

    Within groups, because scores of groups that were held out together come of one probe and others do not.
    """
    names, found = np.asarray(groups), np.full(len(scores), np.nan)
    for name in set(groups):
        here = names == name
        true, false = scores[here & labels], scores[here & ~labels]
        if len(true) and len(false):
            gap = true[:, None] - false[None, :]
            found[here] = np.mean((gap > 0) + 0.5 * (gap == 0))
    return found


def _best(activations: Array, labels: Labels, groups: Sequence[str], seed: int) -> tuple[int, float]:
    """Entry and strength with the highest accuracy on groups left out; of equals the later entry and the
    stronger penalty."""
    fold = _folds(groups, seed)

    def right(entry: int, strength: float) -> int:
        def fit(part: int, seen: Labels) -> Probe:
            return _fit(activations[:, seen], labels[seen], entry, strength)

        return int(((_scores(activations, fold, fit) > 0) == labels).sum())

    return max(product(range(len(activations)), STRENGTHS), key=lambda one: (right(*one), one[0], -one[1]))


def _scores(activations: Array, fold: NDArray[np.int64], fit: Callable[[int, Labels], Probe]) -> Array:
    """Each statement's score, (statements,), by the probe that `fit` makes for its fold, given the fold's
    number and which statements it may see."""
    found = np.zeros(activations.shape[1])
    for part in range(FOLDS):
        unseen = fold == part
        found[unseen] = fit(part, ~unseen).scores(activations[:, unseen])
    return found


def _fit(activations: Array, labels: Labels, entry: int, strength: float) -> Probe:
    """A probe of one entry; one scale for all features, so that a rotation of them changes nothing."""
    features = activations[entry]
    mean = features.mean(0)
    scale = float(np.sqrt(((features - mean) ** 2).sum(1).mean())) or 1.0
    return Probe(entry, strength, mean, scale, *fit_logistic((features - mean) / scale, labels, strength))


def _reduced(activations: Array) -> tuple[Array, Array]:
    """(N + 1, statements, k) with k at most the number of statements, and (N + 1, hidden, k) to turn back.

    A penalised probe's weights lie among the statements' own directions, so nothing is lost.
    """
    _, entries_rows, hidden = activations.shape
    if hidden <= entries_rows:
        return activations, np.broadcast_to(np.eye(hidden), (len(activations), hidden, hidden))
    basis = np.linalg.qr(activations.transpose(0, 2, 1))[0]
    return activations @ basis, basis


def _folds(groups: Sequence[str], seed: int) -> NDArray[np.int64]:
    """The fold of every statement: groups shuffled, then each put where the fewest statements are."""
    names = list(dict.fromkeys(groups))
    np.random.default_rng(seed).shuffle(names)
    sizes = {name: sum(group == name for group in groups) for name in names}
    load, place = [0] * FOLDS, {}
    for name in sorted(names, key=lambda name: -sizes[name]):
        place[name] = load.index(min(load))
        load[place[name]] += sizes[name]
    return np.array([place[group] for group in groups])
