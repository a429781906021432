"""How far two readers of the same answers agree beyond chance: Cohen's kappa with its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from analysis.stats.shares import Z

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

    kappa = (p_o - p_e) / (1 - p_e); variance of Fleiss, Cohen and Everitt (1969), as statsmodels has it.

    Example: [[20, 5], [10, 15]] -> 0.4, p_o = 0.7, p_e = 0.5.

    Raises:
        ValueError: the table is not square or is empty.
    """
    counts = _square(table)
    n = counts.sum()
    shares = counts / n
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    agreed, expected = float(np.trace(counts)), float(rows @ columns)
    if expected > 1 - 1e-12:
        return Kappa(None, None, None, agreed, float(n))
    kappa = (agreed / n - expected) / (1 - expected)
    both = rows[:, None] + columns[None, :]
    on_diagonal = np.diag(shares) @ (1 - np.diag(both) * (1 - kappa)) ** 2
    # a cell (i, j) off the diagonal counts the other reader's shares of i and j
    crossed = (columns[:, None] + rows[None, :]) ** 2 * shares
    off_diagonal = (1 - kappa) ** 2 * (crossed.sum() - np.trace(crossed))
    last = (kappa - expected * (1 - kappa)) ** 2
    variance = (on_diagonal + off_diagonal - last) / n / (1 - expected) ** 2
    if variance < 1e-15:
        return Kappa(kappa, None, None, agreed, float(n))
    half = float(Z * np.sqrt(variance))
    return Kappa(kappa, max(-1.0, kappa - half), min(1.0, kappa + half), agreed, float(n))


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
