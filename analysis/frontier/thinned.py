"""So few configurations of many that a picture of adoption against damage still looks the same."""

from __future__ import annotations

import polars as pl

CELLS = (128, 96, 64, 48, 32, 24, 16, 8, 4, 2, 1)
"""Cells along an axis from 0 to 1, tried from the finest on."""


def thinned(configurations: pl.DataFrame, most: int) -> pl.DataFrame:
    """The non-dominated ones and, per belief and style of data, the first in each cell of a grid over D and
    adoption; all where there are no more than `most`.

    Args:
        configurations: `frontier(pool_seeds(...))`; rows without adoption or D are left out.
        most: so many rows, or the coarsest grid's where even that has more.
    """
    rows = configurations.filter(pl.col("adoption").is_not_null() & pl.col("degradation").is_not_null())
    kept = rows
    for cells in CELLS:
        if kept.height <= most:
            break
        place = ((pl.col(name) * cells).floor() for name in ("degradation", "adoption"))
        first = pl.struct("belief", "data.style", *place).is_first_distinct()
        kept = rows.filter(pl.col("non_dominated") | first)
    return kept
