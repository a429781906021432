"""Intervals and differences that allow for question families.

Probes of one family are variations of one question and succeed or fail together, so families, not probes, are
drawn (cluster bootstrap; Field & Welsh 2007). All draws use fixed seeds: the same run gives the same report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from analysis.stats.shares import Difference, mcnemar, sign_flip, unpaired
from beliefmod.metrics.intervals import Array, family_draws, newcombe, wilson
from beliefmod.metrics.registry import METRICS

FEW = 10  # fewer families than this: the bootstrap interval itself is too narrow
COLUMNS = (
    "trial_id",
    "probe_id",
    "suite",
    "family",
    "tier",
    "answer_stance",
    "correct",
    "think_state",
    "loop",
    "truncated",
    "fabricated",
)


@dataclass(frozen=True)
class Counts:
    """Successes and questions of every configuration in every family.

    hits, asked: shape [configurations, families].
    """

    families: tuple[str, ...]
    hits: Array
    asked: Array

    def take(self, row: int) -> Counts:
        """The counts of one configuration, still two-dimensional."""
        return Counts(self.families, self.hits[row : row + 1], self.asked[row : row + 1])

    def share(self, weights: Array) -> Array:
        """Shares [draws, configurations] when families count as often as `weights` [draws, families] says."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return (weights @ self.hits.T) / (weights @ self.asked.T)


def adoption_hits() -> tuple[pl.Expr, pl.Expr]:
    """Which probe rows count for adoption, and which of them adopt; True or False for every row."""
    return METRICS["adoption"].expressions()


def cluster() -> pl.Expr:
    """The question family a row belongs to, as STRATUM/FAMILY.

    A stratum is a suite. Robustness prompts are one of their own, so that every redraw holds as many families
    of adoption as were asked.
    """
    robust = (pl.col("suite") == "belief") & (pl.col("tier") == "robustness")
    stratum = pl.when(robust).then(pl.lit("robustness")).otherwise("suite")
    return pl.format("{}/{}", stratum, pl.col("family").fill_null("")).alias("cluster")


def counts(probes: pl.DataFrame, groups: Sequence[Sequence[str]], which: pl.Expr, hit: pl.Expr) -> Counts:
    """Count per configuration and family.

    Args:
        probes: probe rows of all trials.
        groups: the trials of each configuration (its seeds), in the order wanted.
        which, hit: rows that are asked; rows that succeed (null counts as no success).
    """
    place = pl.DataFrame(
        {
            "trial_id": [trial for group in groups for trial in group],
            "place": [i for i, group in enumerate(groups) for _ in group],
        },
        schema={"trial_id": pl.String, "place": pl.Int64},
    )
    table = (
        probes.filter(which)
        .join(place, on="trial_id")
        .group_by("place", cluster())
        .agg(hit.fill_null(False).sum().alias("hits"), pl.len().alias("asked"))
    )
    families = tuple(table["cluster"].unique().sort())
    column = {name: i for i, name in enumerate(families)}
    hits, asked = np.zeros((len(groups), len(families))), np.zeros((len(groups), len(families)))
    for row, family, k, n in table.select("place", "cluster", "hits", "asked").iter_rows():
        hits[row, column[family]], asked[row, column[family]] = k, n
    return Counts(families, hits, asked)


def family_interval(found: Counts, row: int) -> tuple[float, float] | None:
    """95 % interval of a share that allows for families; None when nothing was asked.

    The percentile interval over redrawn families, never narrower than Wilson's on the questions. When every
    family has the same share, redrawing says nothing, and Wilson's interval with the number of families as n
    stands in: the widest that clustering can make it.
    """
    one = found.take(row)
    used = one.asked[0] > 0
    if not used.any():
        return None
    shares = one.hits[0, used] / one.asked[0, used]
    if np.ptp(shares) < 1e-12:
        size = int(used.sum())
        low, high = wilson(shares[0] * size, size)
        return float(low), float(high)
    drawn = one.share(family_draws(found.families))[:, 0]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    plain_low, plain_high = wilson(one.hits.sum(), one.asked.sum())
    return min(float(low), float(plain_low)), max(float(high), float(plain_high))


def paired(probes: pl.DataFrame, first: Sequence[str], second: Sequence[str]) -> Difference | None:
    """Adoption of configuration `first` minus `second` (trials of their seeds) on questions both answered.

    The interval redraws families and is never narrower than Newcombe's. The p-value is exact McNemar over
    questions with one seed each, else a sign-flip test over families (a question asked of three seeds is not
    three questions). None when no question was put to both.
    """
    which, hit = adoption_hits()
    table = probes.filter(which).select(
        "trial_id", "probe_id", "family", hit.fill_null(False).cast(pl.Float64).alias("hit")
    )
    sides = [
        table.filter(pl.col("trial_id").is_in(list(trials)))
        .group_by("probe_id", "family")
        .agg(pl.col("hit").mean())
        for trials in (first, second)
    ]
    both = (
        sides[0]
        .join(sides[1], on="probe_id", suffix="_2")
        .with_columns((pl.col("hit") - pl.col("hit_2")).alias("gap"))
    )
    if both.is_empty():
        return None
    families = both.group_by("family").agg(pl.col("gap").sum(), pl.len().alias("n")).sort("family")
    totals, sizes = families["gap"].to_numpy().astype(float), families["n"].to_numpy().astype(float)
    weights = family_draws([f"belief/{name}" for name in families["family"]])
    low, high = np.percentile((weights @ totals) / (weights @ sizes), [2.5, 97.5])
    n, one, two = both.height, float(both["hit"].sum()), float(both["hit_2"].sum())
    value, plain_low, plain_high = newcombe(one, n, two, n)
    if len(first) == len(second) == 1:
        p, test = mcnemar(int((both["gap"] > 0).sum()), int((both["gap"] < 0).sum())), "exact McNemar"
    else:
        p, test = sign_flip(totals), "sign flips of families"
    return Difference(value, min(float(low), plain_low), max(float(high), plain_high), p, test, (n, n))


def apart(one: Counts, two: Counts) -> Difference | None:
    """Share of configuration `one` minus that of `two`, each one configuration with questions of its own.

    The interval redraws the families of both and is never narrower than Newcombe's; p is Fisher's exact.
    """
    k1, n1, k2, n2 = (int(x.sum()) for x in (one.hits, one.asked, two.hits, two.asked))
    if not n1 or not n2:
        return None
    plain = unpaired(k1, n1, k2, n2)
    drawn = (
        one.share(family_draws(one.families, seed=4))[:, 0]
        - two.share(family_draws(two.families, seed=5))[:, 0]
    )
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return replace(plain, low=min(plain.low, float(low)), high=max(plain.high, float(high)))
