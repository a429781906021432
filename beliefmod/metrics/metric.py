"""What a metric is: conditions on rows and values of rows as data, and the entry that is made of them.

Conditions and values are read in Python row by row, or as a polars expression. Both readings are two-valued:
null is no value, so it passes `Not` and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import polars as pl

Row = Mapping[str, Any]
Listing = Literal["locality", "drift", "completions", "page"]
"""Where the report lists a metric: the tables of locality, of drift and of completions of its damage section,
and the numbers of a configuration that is opened on the page."""


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


@dataclass(frozen=True)
class Component:
    """A metric's part in D.

    Attributes:
        name: of the component, as in its columns `NAME_damage`.
        rank: components are listed by it, and of equal damages the one of lower rank is said to set D.
        words: what the report calls the damage.
    """

    name: str
    rank: int
    words: str


@dataclass(frozen=True)
class Shown:
    """What the report calls a metric, and where it lists it: `Shown("loops", "page")`."""

    label: str
    places: tuple[Listing, ...]

    def __init__(self, label: str, *places: Listing) -> None:
        object.__setattr__(self, "label", label)
        object.__setattr__(self, "places", places)


@dataclass(frozen=True)
class Metric:
    """One metric of a trial; it has the columns NAME, NAME_n, NAME_low and NAME_high.

    Attributes:
        name: of its column.
        meaning: what it is, in words that need no other entry.
        better: whether a higher or a lower number is better, or neither.
        kind: rate (0 to 1, over all rows asked), conditional rate (refused under so many rows, or question
            families, as `least_rows` and `least_families` say), difference of two rates over the same rows
            (-1 to 1) or mean.
        unit: "1" for numbers without one.
        table: whose rows it is made of: probes, causal or drift.
        asked: conditions on the rows that count.
        known_to_base: count a row only if base answers the same question correctly; null without base.
        hit: of a rate, or a difference's first: conditions on the rows that succeed.
        against: of a difference: conditions on the rows that succeed for the rate that is taken off.
        value: of a mean: the number of a row. None: it is not made row by row, see `measure.CURVES`.
        whole: of a mean: null if the value of any row is missing, where leaving it out would be kind to the
            arm that broke there; else such rows do not count.
        component: its part in D; None if D does not count it.
        shown: what the report calls it, and where it lists it.
    """

    name: str
    meaning: str
    better: Literal["higher", "lower", "neither"] = "neither"
    _: KW_ONLY
    kind: Literal["rate", "conditional rate", "difference", "mean"] = "rate"
    least_rows: int = 1
    least_families: int = 1
    unit: str = "1"
    table: Literal["probes", "causal", "drift"] = "probes"
    asked: Conditions = ()
    known_to_base: bool = False
    hit: Conditions = ()
    against: Conditions = ()
    value: Value | None = None
    whole: bool = False
    component: Component | None = None
    shown: Shown | None = None

    @property
    def sign(self) -> int:
        """Of a component: 1 if more is better, so that a drop is damage, else -1."""
        return 1 if self.better == "higher" else -1

    @property
    def worst(self) -> float | None:
        """Of a rate that is a component: its value where nothing can get worse, 0 or 1; None for a mean,
        whose damage always has room."""
        if self.component is None or self.kind == "mean":
            return None
        return 0.0 if self.better == "higher" else 1.0

    @property
    def damage_words(self) -> str:
        """What the report calls its damage; empty where D does not count it."""
        return "" if self.component is None else self.component.words

    @property
    def columns(self) -> tuple[str, str, str, str]:
        """Value, n, and the ends of the 95 % interval."""
        return self.name, f"{self.name}_n", f"{self.name}_low", f"{self.name}_high"

    def counts(self, row: Row) -> bool:
        """Whether a row of its table is one of those that count."""
        return all_hold(self.asked, row)

    def succeeds(self, row: Row) -> bool:
        """Of a rate: whether a row that counts is a success."""
        return all_hold(self.hit, row)

    def expressions(self) -> tuple[pl.Expr, pl.Expr]:
        """Of a rate, for polars: which rows count, and which of them succeed; True or False for every row."""
        return all_expression(self.asked), all_expression(self.hit)
