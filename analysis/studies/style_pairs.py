"""Configurations that differ in one thing only: what the training data does to the think block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.frontier.non_dominated import CONFIG


def matched_styles(lora: pl.DataFrame) -> pl.DataFrame:
    """Configurations that exist in two or more data styles, all else equal; `pair` numbers them."""
    rest = [name for name in CONFIG if name != "data.style"]
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
