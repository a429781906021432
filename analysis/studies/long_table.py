"""Adoption as a long table for regressions: one row per configuration and question family."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from analysis.findings import Findings
from analysis.frontier.non_dominated import CONFIG
from analysis.stats.resample import adoption_hits

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LongTable:
    """Successes and questions, with the place of their configuration in `points`.

    points: one row per belief and configuration (seeds pooled), with the settings, `belief`, and
        `configuration`, a number that beliefs share when all settings are the same.
    place, hits, asked: shape [rows]. family: shape [rows], "belief/family"; None without probe files, and
        then a row is a whole configuration.
    """

    points: pl.DataFrame
    place: NDArray[np.int64]
    hits: Array
    asked: Array
    family: NDArray[np.str_] | None

    def of(self, beliefs: list[str]) -> LongTable:
        """The rows of these beliefs, with places counted anew."""
        keep = self.points["belief"].is_in(beliefs).to_numpy()
        new = np.cumsum(keep) - 1
        rows = keep[self.place]
        return LongTable(
            self.points.filter(pl.Series(keep)),
            new[self.place[rows]],
            self.hits[rows],
            self.asked[rows],
            None if self.family is None else self.family[rows],
        )


def trained(found: Findings, arm: str = "lora") -> pl.DataFrame:
    """One row per belief and configuration of an arm, seeds pooled; `configuration` is shared by beliefs."""
    rows = found.pooled
    if rows.is_empty():
        return rows.with_columns(pl.lit(0).alias("configuration"))
    settings = [name for name in CONFIG if name in rows.columns]
    return rows.filter(pl.col("arm") == arm).with_columns(
        pl.struct(settings).rank("dense").cast(pl.Int64).alias("configuration")
    )


def adoption_by_family(found: Findings, arm: str = "lora") -> LongTable:
    """Adoption of every configuration, by family where every measured configuration has its probe file."""
    points = trained(found, arm).filter(pl.col("adoption").is_not_null() & (pl.col("adoption_n") > 0))
    places = counted(found.probes, points, *adoption_hits())
    if places["place"].n_unique() == points.height and points.height:
        return LongTable(
            points,
            places["place"].to_numpy(),
            places["hits"].cast(pl.Float64).to_numpy(),
            places["asked"].cast(pl.Float64).to_numpy(),
            places["cluster"].to_numpy().astype(str),
        )
    n = points["adoption_n"].cast(pl.Float64).to_numpy()
    return LongTable(points, np.arange(points.height), points["adoption"].to_numpy() * n, n, None)


def counted(probes: pl.DataFrame, points: pl.DataFrame, which: pl.Expr, hit: pl.Expr) -> pl.DataFrame:
    """Columns place (row of `points`), cluster ("belief/family"), hits, asked; sorted."""
    where = points.select(
        pl.int_range(pl.len()).alias("place"), pl.col("belief").alias("of"), "trial_ids"
    ).explode("trial_ids")
    if probes.is_empty():
        return pl.DataFrame(
            schema={"place": pl.Int64, "cluster": pl.String, "hits": pl.Int64, "asked": pl.Int64}
        )
    return (
        probes.filter(which)
        .join(where, left_on="trial_id", right_on="trial_ids")
        .group_by("place", pl.format("{}/{}", "of", pl.col("family").fill_null("")).alias("cluster"))
        .agg(hit.fill_null(False).sum().alias("hits"), pl.len().alias("asked"))
        .sort("place", "cluster")
    )
