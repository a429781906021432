"""Phrases about what was found inside the model: a number with its interval, or why it has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis.read_lens import Lens, Shown

Row = Mapping[str, Any]


def interval(row: Row, name: str, digits: int = 2, sign: bool = False) -> str:
    """`+2.31 [+1.90, +2.70]` for a mean column of a row; says so when it is null or has no interval."""
    value, low, high = row.get(name), row.get(f"{name}_low"), row.get(f"{name}_high")
    if value is None:
        return "none"
    form = f"{'+' if sign else ''}.{digits}f"
    if low is None or high is None:
        ends = "no interval" if low is None and high is None else _half_open(low, high, form)
        return f"{value:{form}} ({ends})"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def _half_open(low: float | None, high: float | None, form: str) -> str:
    """An interval one of whose ends never happens."""
    return f"from {low:{form}}, no upper end" if low is not None else f"up to {high:{form}}, no lower end"


def never_share(share: float) -> str:
    """`3 %`; `under 1 %` for what would be rounded to none."""
    return "under 1 %" if share < 0.01 else f"{100 * share:.0f} %"


def in_never(row: Row, name: str) -> str:
    return f" (in {never_share(row[name])} of the redraws never)" if row.get(name) else ""


def commitment(lens: Lens, shown: Shown, arm: str, position: str = "stem") -> Row | None:
    """The commitment of an arm by the logit lens, or None where it was not read."""
    rows = lens.of("commitments", shown).filter(
        (pl.col("arm") == arm) & (pl.col("position") == position) & (pl.col("lens") == "logit")
    )
    return rows.row(0, named=True) if rows.height else None
