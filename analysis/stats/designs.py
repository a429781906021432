"""Settings as columns of a regression: doublings, units, levels; and whether they predict without error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.wording import setting_name, setting_value

Array = NDArray[np.float64]
LEVELS = 5  # a number that can be 0 has no logarithm: with at most so many values it is a category


@dataclass(frozen=True)
class Refused:
    """No number, and why, as a sentence without its full stop."""

    reason: str


@dataclass(frozen=True)
class Term:
    """One column of a design: a doubling or unit of a number, or a category's level against `reference`."""

    axis: str
    change: str
    level: Any = None
    reference: Any = None


@dataclass(frozen=True)
class Design:
    """Columns: one per belief (its own level), then `terms`.

    points: shape [points, columns], one per belief and configuration; rows: the point of every row, shape
    [rows].
    """

    points: Array
    rows: NDArray[np.int64]
    terms: tuple[Term, ...]
    beliefs: tuple[str, ...]
    aliased: tuple[str, ...] = ()

    @property
    def matrix(self) -> Array:
        """Shape [rows, columns]."""
        return self.points[self.rows]

    def spread(self, rows: NDArray[np.int64]) -> Design:
        """The design's points with other rows, such as one per question family."""
        return replace(self, rows=rows)

    def sums(self, values: Array) -> Array:
        """Totals of a value per row over the rows of each point, shape [points]."""
        return np.bincount(self.rows, weights=values, minlength=len(self.points)).astype(np.float64)

    def at(self, term: Term) -> int:
        """The column of a term."""
        return len(self.beliefs) + self.terms.index(term)


def build_design(rows: pl.DataFrame, axes: Sequence[str]) -> Design:
    """The design of points that have `belief` and the settings `axes`.

    A positive number enters as log2, so its coefficient belongs to a doubling; a number that can be 0 as a
    category (up to five values) or per unit; a word as a category against its alphabetically first level.
    An axis that adds no column of its own (it moves with earlier axes) is left out and named in `aliased`.
    """
    beliefs = tuple(sorted(rows["belief"].unique()))
    columns: list[Array] = [(rows["belief"] == name).to_numpy().astype(float) for name in beliefs]
    terms: list[Term] = []
    aliased = []
    for axis in axes:
        new = _axis_columns(rows[axis], axis)
        wanted = np.column_stack([*columns, *(column for column, _ in new)])
        if not new or np.linalg.matrix_rank(_scaled(wanted)) < wanted.shape[1]:
            aliased.append(axis)
            continue
        columns += [column for column, _ in new]
        terms += [term for _, term in new]
    return Design(np.column_stack(columns), np.arange(rows.height), tuple(terms), beliefs, tuple(aliased))


def _axis_columns(values: pl.Series, axis: str) -> list[tuple[Array, Term]]:
    words = setting_name(axis)
    if values.dtype.is_numeric() and values.null_count() == 0:
        x = values.cast(pl.Float64).to_numpy()
        if x.min() > 0:
            return [(np.log2(x), Term(axis, f"{words}, per doubling"))]
        if values.n_unique() > LEVELS:
            return [(x, Term(axis, f"{words}, per unit"))]
    levels = values.unique().sort().to_list()
    first = setting_value(levels[0])
    return [
        (
            values.eq_missing(pl.Series([level], dtype=values.dtype)).to_numpy().astype(float),
            Term(
                axis,
                f"{words} {setting_value(level)} instead of {first}",
                level,
                levels[0],
            ),
        )
        for level in levels[1:]
    ]


def _scaled(matrix: Array) -> Array:
    size = np.linalg.norm(matrix, axis=0)
    return matrix / np.where(size > 0, size, 1.0)


def separated(design: Design, successes: Array, trials: Array) -> str | None:
    """What predicts some outcomes without error, so that a coefficient would be infinite; None if nothing
    does.

    The setting whose removal ends the separation, in words; "the settings together" where no single one does.
    """
    if not _separates(design, successes, trials, range(design.points.shape[1])):
        return None
    for axis in dict.fromkeys(term.axis for term in design.terms):
        gone = {design.at(term) for term in design.terms if term.axis == axis}
        rest = [column for column in range(design.points.shape[1]) if column not in gone]
        if not _separates(design, successes, trials, rest):
            return setting_name(axis)
    return "the settings together"


def _separates(design: Design, successes: Array, trials: Array, columns: Sequence[int]) -> bool:
    """The linear programme of Konis (2007): is there a direction that no point contradicts and some gains
    by?
    """
    from scipy.optimize import linprog

    points = _scaled(design.points[:, list(columns)])
    hits, misses = design.sums(successes), design.sums(trials - successes)
    points, hits, misses = (x[hits + misses > 0] for x in (points, hits, misses))
    mixed = (hits > 1e-12) & (misses > 1e-12)
    if mixed.any() and np.linalg.matrix_rank(points[mixed]) == points.shape[1]:
        return False
    pure = points[~mixed] * np.where(hits[~mixed] > 1e-12, 1.0, -1.0)[:, None]
    solved = linprog(
        -pure.sum(axis=0),
        A_ub=-pure if len(pure) else None,
        b_ub=np.zeros(len(pure)) if len(pure) else None,
        A_eq=points[mixed] if mixed.any() else None,
        b_eq=np.zeros(int(mixed.sum())) if mixed.any() else None,
        bounds=(-1, 1),
        method="highs",
    )
    return solved.status == 0 and -solved.fun > 1e-7
