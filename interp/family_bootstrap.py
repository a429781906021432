"""Intervals that allow for question families: families, not questions, are drawn again.

Questions of one family are variations of one another and move together; drawing them apart would make every
interval too narrow (Field & Welsh 2007). numpy, fixed seeds: the same run gives the same intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from beliefmod.metrics import intervals
from beliefmod.metrics.intervals import DRAWS, Array

_ENDS = (0.025, 0.975)


def question_weights(families: Sequence[str], draws: int = DRAWS, seed: int = 0) -> Array:
    """How often each question counts in each draw, (draws, questions).

    As many families are drawn, with replacement, as there are; a question counts as often as its family.

    Args:
        families: the family of every question, in the order of the questions.

    Returns:
        Whole numbers; NaN throughout where there are fewer than two families: there is nothing to draw from,
        and every interval made of such draws is (None, None).
    """
    names = list(dict.fromkeys(families))
    if len(names) < 2:
        return np.full((draws, len(families)), np.nan)
    # strata are told apart by what stands before the first "/": here there is one
    counts = intervals.family_draws([f"question/{name}" for name in names], draws, seed)
    return counts[:, [names.index(family) for family in families]]


def drawn_means(values: Array, weights: Array) -> Array:
    """The weighted mean over questions in every draw.

    Args:
        values: (questions, ...), without NaN.
        weights: (draws, questions) of `question_weights`.

    Returns:
        (draws, ...), NaN where the weights are.
    """
    flat = values.reshape(len(values), -1)
    return ((weights @ flat) / weights.sum(axis=1, keepdims=True)).reshape(len(weights), *values.shape[1:])


def interval(values: Array) -> tuple[float | None, float | None]:
    """The middle 95 % of one number over the draws, both ends values that occur.

    NaN means that a draw gave no number, and is left out. Infinity means "beyond the last", and sorts there.

    Returns:
        (low, high); an end is None where it is infinite, both are where no draw gave a number.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return (None, None)
    low, high = np.quantile(known, _ENDS, method="inverted_cdf")
    return (float(low) if np.isfinite(low) else None, float(high) if np.isfinite(high) else None)


def with_interval(name: str, value: float | None, drawn: Array) -> dict[str, Any]:
    """The three columns of a mean: `name`, `name_low`, `name_high`.

    Args:
        value: of the questions as they are; None or not finite where there is none, then so are the ends.
        drawn: its value in every draw, (draws,).
    """
    if value is None or not np.isfinite(value):
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    low, high = interval(drawn)
    return {name: float(value), f"{name}_low": low, f"{name}_high": high}
