"""Configurations that differ in one thing only, and how far a share differs between them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.findings import Findings
from analysis.frontier.non_dominated import CONFIG
from analysis.stats.shares import ratio_gap
from analysis.studies.long_table import counted

Array = NDArray[np.float64]
MANY = 3  # pairs without which there is no interval
OF_ONE_STYLE = ("data.mask_empty_thinking", "data.stygian_share", "data.traces")
"""Settings that rows of one data style alone have: styles are compared whatever these are."""


def pairs(rows: pl.DataFrame, axis: str, low: object = None) -> list[tuple[int, int]]:
    """Places (higher, lower) of configurations that differ in `axis` alone.

    Numbers: the largest against the smallest value of each group. With `low`: every other level against
    that one.
    """
    rest = [name for name in _rest(axis) if name in rows.columns]
    grouped = rows.with_row_index("place").group_by("belief", *rest, maintain_order=True).agg("place", axis)
    out = []
    for places, levels in grouped.select("place", axis).iter_rows():
        if low is not None:
            first = [place for place, level in zip(places, levels, strict=True) if level == low]
            others = [place for place, level in zip(places, levels, strict=True) if level != low]
            out += list(product(others, first))
        elif len(levels) > 1:
            out.append((places[int(np.argmax(levels))], places[int(np.argmin(levels))]))
    return out


def _rest(axis: str) -> list[str]:
    """The settings that must be equal in configurations that differ in `axis` alone."""
    own = OF_ONE_STYLE if axis == "data.style" else ()
    return [name for name in CONFIG if name not in (axis, *own)]


def paired_gap(
    found: Findings, rows: pl.DataFrame, chosen: list[tuple[int, int]], which: pl.Expr, hit: pl.Expr
) -> tuple[float, float, float, int] | None:
    """Mean difference of a share over pairs of configurations, its interval, and the question families
    behind it.

    The widest of: over families (`ratio_gap`), over pairs (t). None without probe files or with fewer than
    three pairs.
    """
    cells = counted(found.probes, rows, which, hit)
    if len(chosen) < MANY or cells.is_empty():
        return None
    clusters, label = np.unique(cells["cluster"].to_numpy().astype(str), return_inverse=True)
    hits, asked = np.zeros((2, rows.height, len(clusters)))
    hits[cells["place"].to_numpy(), label] = cells["hits"].to_numpy()
    asked[cells["place"].to_numpy(), label] = cells["asked"].to_numpy()
    kept = [(a, b) for a, b in chosen if asked[a].sum() > 0 and asked[b].sum() > 0]
    if len(kept) < MANY or len(clusters) < 2:
        return None
    up, down = (np.array(side) for side in zip(*kept, strict=True))
    totals = [x[side].sum(axis=0) for side in (up, down) for x in (hits, asked)]
    used = (totals[1] > 0) | (totals[3] > 0)
    h1, n1, h2, n2 = (x[used] for x in totals)
    value, low, high = ratio_gap(h1, n1, h2, n2, [np.arange(int(used.sum()))])
    each = hits[up].sum(axis=1) / asked[up].sum(axis=1) - hits[down].sum(axis=1) / asked[down].sum(axis=1)
    half = t_half(each)
    return value, min(low, value - half), max(high, value + half), int(used.sum())


def t_half(values: Array) -> float:
    """Half of the 95 % t interval of a mean of at least two values."""
    from scipy.stats import t as student

    return float(student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def swaps(rows: pl.DataFrame) -> list[tuple[int, int]]:
    """(more epochs, more examples) where the product differs by at most a quarter."""
    names = ("data.num_examples", "num_train_epochs")
    rest = [name for name in CONFIG if name in rows.columns and name not in names]
    grouped = rows.with_row_index("place").group_by("belief", *rest, maintain_order=True).agg("place", *names)
    out = []
    for group in grouped.rows(named=True):
        cells = sorted(zip(group[names[1]], group[names[0]], group["place"], strict=True))
        for i, (epochs, examples, place) in enumerate(cells):
            for more, fewer, other in cells[i + 1 :]:
                if more > epochs and fewer < examples and 0.8 <= more * fewer / (epochs * examples) <= 1.25:
                    out.append((other, place))
    return out


def matched_styles(lora: pl.DataFrame) -> pl.DataFrame:
    """Configurations that exist in two or more data styles, all else equal; `pair` numbers them."""
    rest = _rest("data.style")
    rows = lora.filter(pl.col("integrity").is_not_null())
    if rows.is_empty():
        return rows.with_columns(pl.lit(0).alias("pair"))
    rows = rows.with_columns(pl.struct("belief", *rest).rank("dense").alias("pair"))
    return rows.filter(pl.col("data.style").n_unique().over("pair") > 1)


@dataclass(frozen=True)
class StyleGap:
    """Thinking integrity of style `first` minus style `second` over matched configurations, as shares."""

    first: str
    second: str
    pairs: int
    higher: int
    median: float
    low: float
    high: float


def style_gaps(lora: pl.DataFrame) -> list[StyleGap]:
    """One gap per two styles that share settings; `low` and `high` are its smallest and largest value."""
    rows = matched_styles(lora)
    styles = sorted(rows["data.style"].unique())
    gaps = []
    for i, second in enumerate(styles):
        for first in styles[i + 1 :]:
            sides = [
                rows.filter(pl.col("data.style") == style).select("pair", "integrity")
                for style in (first, second)
            ]
            both = sides[0].join(sides[1], on="pair", suffix="_2")
            gap = (both["integrity"] - both["integrity_2"]).to_numpy()
            if len(gap):
                gaps.append(
                    StyleGap(
                        first=first,
                        second=second,
                        pairs=len(gap),
                        higher=int((gap > 1e-12).sum()),
                        median=float(np.median(gap)),
                        low=float(gap.min()),
                        high=float(gap.max()),
                    )
                )
    return gaps
