"""Conditions on rows and values of rows as data: read in Python row by row, or as a polars expression.

Both readings are two-valued: null is no value, so it passes `Not` and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Is:
    """The column holds one of these values. Example: `Is("tier", "near", "far")`."""

    column: str
    values: tuple[object, ...]

    def __init__(self, column: str, *values: object) -> None:
        object.__setattr__(self, "column", column)
        object.__setattr__(self, "values", values)

    def holds(self, row: Row) -> bool:
        """Whether it holds for a row; KeyError where the row lacks the column."""
        return row[self.column] in self.values

    def expression(self) -> pl.Expr:
        """True or False for every row, never null."""
        import polars as pl

        return pl.any_horizontal(pl.col(self.column) == value for value in self.values).fill_null(False)


@dataclass(frozen=True)
class Not:
    """The condition does not hold. Example: `Not(Is("tier", "trained"))`, which null passes."""

    condition: Is

    def holds(self, row: Row) -> bool:
        """Whether it holds for a row; KeyError where the row lacks the column."""
        return not self.condition.holds(row)

    def expression(self) -> pl.Expr:
        """True or False for every row, never null."""
        return ~self.condition.expression()


@dataclass(frozen=True)
class Known:
    """The column is there and not null. What older tables do not have is not known."""

    column: str

    def holds(self, row: Row) -> bool:
        """Whether it holds for a row."""
        return row.get(self.column) is not None

    def expression(self) -> pl.Expr:
        """True or False for every row."""
        import polars as pl

        return pl.col(self.column).is_not_null()


@dataclass(frozen=True)
class Above:
    """The column is above a number, or above another column of the row; null is above nothing."""

    column: str
    bound: float | str

    def holds(self, row: Row) -> bool:
        """Whether it holds for a row; KeyError where the row lacks a column."""
        value, bound = row[self.column], row[self.bound] if isinstance(self.bound, str) else self.bound
        return value is not None and bound is not None and value > bound

    def expression(self) -> pl.Expr:
        """True or False for every row, never null."""
        import polars as pl

        bound = pl.col(self.bound) if isinstance(self.bound, str) else pl.lit(self.bound)
        return (pl.col(self.column) > bound).fill_null(False)


Condition = Is | Not | Known | Above
Conditions = tuple[Condition, ...]


def all_hold(conditions: Conditions, row: Row) -> bool:
    """Whether every condition holds for a row; they are tried in order, so `Known` guards what follows."""
    return all(condition.holds(row) for condition in conditions)


def where(rows: Sequence[Row], conditions: Conditions) -> Sequence[Row]:
    """The rows for which every condition holds."""
    for condition in conditions:
        rows = [row for row in rows if condition.holds(row)]
    return rows


def all_expression(conditions: Conditions) -> pl.Expr:
    """Whether every condition holds, as a polars expression that is True or False for every row."""
    import polars as pl

    return pl.all_horizontal(condition.expression() for condition in conditions)


@dataclass(frozen=True)
class Value:
    """A number of a row: a column, less another, over a third. Example: `Value("kl", per="tokens")`."""

    column: str
    minus: str | None = None
    per: str | None = None

    def of(self, row: Row) -> float | None:
        """The number; None where the column, or the one that is taken off it, is absent or null."""
        value = row.get(self.column)
        less = 0.0 if self.minus is None else row.get(self.minus)
        if value is None or less is None:
            return None
        size = 1 if self.per is None else row[self.per]
        return value / size - less / size

    def expression(self) -> pl.Expr:
        """The number in double precision, null where a column is null."""
        import polars as pl

        found = pl.col(self.column)
        found = found if self.minus is None else found - pl.col(self.minus)
        return (found if self.per is None else found / pl.col(self.per)).cast(pl.Float64)
