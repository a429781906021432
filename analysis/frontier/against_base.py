"""Every configuration against base on the same questions, p-values adjusted for how many were tried."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from analysis.stats.resample import adoption_hits
from analysis.stats.shares import adjusted, mcnemar, sign_flip

SCHEMA = {
    "trial_id": pl.String,
    "seeds": pl.Int64,
    "n": pl.Int64,
    "won": pl.Float64,
    "lost": pl.Float64,
    "difference": pl.Float64,
    "p": pl.Float64,
    "holm": pl.Float64,
    "bh": pl.Float64,
}


def against_base(probes: pl.DataFrame, groups: Sequence[Sequence[str]], base: str | None) -> pl.DataFrame:
    """One row per configuration, in the order given.

    `n` questions put to both; `won` and `lost` count those on which only the configuration, or only base,
    adopts (with several seeds: means over seeds, summed); `difference` in adoption, -1 to 1. p is exact
    McNemar with one seed, else a sign-flip test over families, because a question asked of three seeds is not
    three questions. `holm` bounds the chance of one false claim among all configurations, `bh` the share of
    false ones among the claims. Null where nothing was asked of both.
    """
    which, hit = adoption_hits()
    asked = probes.filter(which).select(
        "trial_id", "probe_id", "family", hit.fill_null(False).cast(pl.Float64).alias("hit")
    )
    place = pl.DataFrame(
        [(trial, i) for i, group in enumerate(groups) for trial in group],
        schema={"trial_id": pl.String, "place": pl.Int64},
        orient="row",
    )
    reference = asked.filter(pl.col("trial_id").eq_missing(pl.lit(base))).select(
        "probe_id", pl.col("hit").alias("base_hit")
    )
    gaps = (
        asked.join(place, on="trial_id")
        .group_by("place", "probe_id", "family")
        .agg(pl.col("hit").mean())
        .join(reference, on="probe_id")
        .with_columns((pl.col("hit") - pl.col("base_hit")).alias("gap"))
        .sort("place", "family", "probe_id")
    )
    parts = {key[0]: part for key, part in gaps.partition_by("place", as_dict=True).items()}
    rows = []
    for i, group in enumerate(groups):
        row: dict = {"trial_id": group[0], "seeds": len(group), "n": 0}
        if (part := parts.get(i)) is not None:
            gap = part["gap"].to_numpy()
            won, lost = float(gap[gap > 0].sum()), float(abs(gap[gap < 0].sum()))
            if len(group) == 1:
                p = mcnemar(round(won), round(lost))
            else:
                families = part.group_by("family", maintain_order=True).agg(pl.col("gap").sum())["gap"]
                p = sign_flip(families.to_numpy())
            row |= {
                "n": part.height,
                "won": won,
                "lost": lost,
                "difference": (won - lost) / part.height,
                "p": p,
            }
        rows.append(row)
    table = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    p = table["p"].fill_null(float("nan")).to_numpy().astype(np.float64)
    return table.with_columns(
        pl.Series(name, adjusted(p, name)).fill_nan(None).alias(name) for name in ("holm", "bh")
    )
