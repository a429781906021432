"""Means over questions with intervals that allow for question families."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from beliefmod.metrics.intervals import DRAWS, family_draws

Array = NDArray[np.float64]


def banded(rows: pl.DataFrame, by: Sequence[str], value: str, draws: int = DRAWS) -> pl.DataFrame:
    """The mean of `value` per group, with the 95 % interval over redrawn families.

    Args:
        rows: the columns of `by`, `family` and `value`; a null value is left out of its mean, a null family
            is a family of its own name.

    Returns:
        the columns of `by` in order of appearance, mean, low, high, n (values behind it), families. mean is
        null without a value; low and high are null with fewer than two families, because redrawing one
        family says nothing.
    """
    schema = {name: rows.schema[name] for name in by}
    schema |= {"mean": pl.Float64, "low": pl.Float64, "high": pl.Float64, "n": pl.Int64, "families": pl.Int64}
    groups = rows.partition_by(by, maintain_order=True, include_key=True) if rows.height else []
    weights: dict[tuple[str, ...], Array] = {}
    found = []
    for group in groups:
        sums = (
            group.filter(pl.col(value).is_not_null())
            .group_by(pl.col("family").fill_null(""))
            .agg(pl.col(value).cast(pl.Float64).sum().alias("total"), pl.len().alias("size"))
            .sort("family")
        )
        key = tuple(sums["family"])
        if key not in weights:
            weights[key] = family_draws([f"question/{name}" for name in key], draws)
        found.append(group.row(0, named=True) | _interval(sums, weights[key]))
    return pl.DataFrame([{name: row[name] for name in schema} for row in found], schema=schema)


def _interval(sums: pl.DataFrame, weights: Array) -> dict[str, float | int | None]:
    """Mean, low, high, n, families from the families' totals and sizes; weights [draws, families]."""
    totals, sizes = sums["total"].to_numpy(), sums["size"].to_numpy().astype(float)
    n = int(sizes.sum())
    low = high = None
    if len(totals) > 1:
        low, high = (float(end) for end in np.percentile(weights @ totals / (weights @ sizes), [2.5, 97.5]))
    mean = float(totals.sum() / n) if n else None
    return {"mean": mean, "low": low, "high": high, "n": n, "families": len(totals)}
