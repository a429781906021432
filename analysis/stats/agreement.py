"""How far two readers of the same answers agree beyond chance: Cohen's kappa with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

DRAWS = 1000


@dataclass(frozen=True)
class Kappa:
    """Attributes:
    value: kappa, at most 1; 0 is what chance gives; None when both readers used one and the same category.
    low, high: its 95 % interval; None where the formula's variance is 0: they agree on everything, or one of
        them uses a single category.
    agreed, n: answers read alike, and all.
    """

    value: float | None
    low: float | None
    high: float | None
    agreed: float
    n: float


def cohen_kappa(table: ArrayLike) -> Kappa:
    """Cohen's kappa of a square table of counts (rows one reader, columns the other).

    kappa = (p_o - p_e) / (1 - p_e); interval by the variance of Fleiss, Cohen and Everitt (1969).

    Example: [[20, 5], [10, 15]] -> 0.4, p_o = 0.7, p_e = 0.5.

    Raises:
        ValueError: the table is not square or is empty.
    """
    from statsmodels.stats.inter_rater import cohens_kappa

    counts = _square(table)
    agreed, n = float(np.trace(counts)), float(counts.sum())
    value = _value(counts)
    if value is None:
        return Kappa(None, None, None, agreed, n)
    found: Any = cohens_kappa(counts)
    if not found.var_kappa >= 1e-15:  # NaN where rounding takes it below 0
        return Kappa(value, None, None, agreed, n)
    return Kappa(value, max(-1.0, float(found.kappa_low)), min(1.0, float(found.kappa_upp)), agreed, n)


def weighted_kappa(rows: pl.DataFrame, categories: tuple[str, ...], weights: dict[str, float]) -> Kappa:
    """Kappa over all answers when some were certain to be judged and others drawn: each counts by its weight.

    The interval redraws questions (`probe_id`), since answers to one question are alike.

    Args:
        rows: columns parser_stance, judge_stance, probe_id, reason; no nulls.
        weights: reason -> 1 / chance of being picked.

    Raises:
        ValueError: no rows.
    """
    if rows.is_empty():
        raise ValueError("no answers to compare")
    place = {name: i for i, name in enumerate(categories)}
    questions = {name: i for i, name in enumerate(sorted(rows["probe_id"].unique()))}
    size = len(categories)
    tables = np.zeros((len(questions), size * size))
    for parser, judge, probe, reason in rows.select(
        "parser_stance", "judge_stance", "probe_id", "reason"
    ).iter_rows():
        tables[questions[probe], place[parser] * size + place[judge]] += weights[reason]
    whole = cohen_kappa(tables.sum(axis=0).reshape(size, size))
    if whole.value is None or whole.low is None:
        return whole
    drawn = np.random.default_rng(11).multinomial(
        len(questions), np.full(len(questions), 1 / len(questions)), size=DRAWS
    )
    found = [kappa for draw in drawn @ tables if (kappa := _value(draw.reshape(size, size))) is not None]
    low, high = np.percentile(found, [2.5, 97.5])
    return Kappa(
        whole.value, min(float(low), whole.value), max(float(high), whole.value), whole.agreed, whole.n
    )


def confusion(rows: pl.DataFrame, categories: tuple[str, ...]) -> NDArray[np.int64]:
    """Counts, shape [parser's category, judge's category]; no nulls in either column."""
    place = {name: i for i, name in enumerate(categories)}
    table = np.zeros((len(categories), len(categories)), dtype=np.int64)
    for parser, judge in rows.select("parser_stance", "judge_stance").iter_rows():
        table[place[parser], place[judge]] += 1
    return table


def _value(counts: NDArray[np.float64]) -> float | None:
    shares = counts / counts.sum()
    expected = float(shares.sum(axis=1) @ shares.sum(axis=0))
    return None if expected > 1 - 1e-12 else (float(np.trace(shares)) - expected) / (1 - expected)


def _square(table: ArrayLike) -> NDArray[np.float64]:
    counts = np.asarray(table, dtype=float)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.sum() <= 0 or (counts < 0).any():
        raise ValueError("kappa needs a square table of counts that is not empty")
    return counts
