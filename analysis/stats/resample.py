"""Intervals and differences that allow for question families.

Probes of one family are variations of one question and succeed or fail together, so the families, not the
probes, are what an interval's width rests on (`family_rates`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from analysis.stats.family_rates import difference_interval, independent_difference, rate_interval
from analysis.stats.shares import Difference, mcnemar, sign_flip, unpaired
from beliefmod.metrics.intervals import Array
from beliefmod.metrics.registry import METRICS

FEW = 10  # fewer families than this: a bootstrap over them is too narrow
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

    hits, asked: shape [configurations, seeds, families]; a seed or a family that a configuration lacks has 0
    asked.
    """

    families: tuple[str, ...]
    hits: Array
    asked: Array


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
        [(trial, i, seed) for i, group in enumerate(groups) for seed, trial in enumerate(group)],
        schema={"trial_id": pl.String, "place": pl.Int64, "seed_place": pl.Int64},
        orient="row",
    )
    table = (
        probes.filter(which)
        .join(place, on="trial_id")
        .group_by("place", "seed_place", cluster())
        .agg(hit.fill_null(False).sum().alias("hits"), pl.len().alias("asked"))
    )
    families = tuple(table["cluster"].unique().sort())
    column = {name: i for i, name in enumerate(families)}
    hits, asked = np.zeros((2, len(groups), max(map(len, groups), default=0), len(families)))
    for row, seed, family, k, n in table.select(
        "place", "seed_place", "cluster", "hits", "asked"
    ).iter_rows():
        hits[row, seed, column[family]], asked[row, seed, column[family]] = k, n
    return Counts(families, hits, asked)


def family_interval(found: Counts, row: int) -> tuple[float, float] | None:
    """95 % interval of one configuration's share over families and seeds; None when nothing was asked."""
    return rate_interval(found.hits[row], found.asked[row]) if found.asked[row].any() else None


def paired(
    probes: pl.DataFrame, first: Sequence[str], second: Sequence[str], metric: str = "adoption"
) -> Difference | None:
    """A rate of configuration `first` minus `second` (trials of their seeds) on questions both answered.

    `metric`: a rate of `METRICS` that is counted on probe rows.

    The interval is over families and seeds (`difference_interval`). The p-value is exact McNemar over
    questions with one seed each, else a sign-flip test over families (a question asked of three seeds is not
    three questions). None when no question was put to both.
    """
    which, hit = METRICS[metric].expressions()
    both = answered_by_both(probes.filter(which), first, second, hit)
    if both.is_empty():
        return None
    value, low, high = difference_interval(*won_and_lost(both))
    gaps = both.group_by("probe_id", "cluster").agg((pl.col("hit") - pl.col("hit_2")).mean().alias("gap"))
    if len(first) == len(second) == 1:
        p, test = mcnemar(int((gaps["gap"] > 0).sum()), int((gaps["gap"] < 0).sum())), "exact McNemar"
    else:
        families = gaps.group_by("cluster").agg(pl.col("gap").sum()).sort("cluster")["gap"]
        p, test = sign_flip(families.to_numpy()), "sign flips of families"
    return Difference(value, low, high, p, test, (gaps.height, gaps.height))


def answered_by_both(
    asked: pl.DataFrame, first: Sequence[str], second: Sequence[str], hit: pl.Expr
) -> pl.DataFrame:
    """A row per question and pair of seeds: pair, probe_id, cluster, hit, hit_2 (0 or 1; a mean over seeds
    lies between).

    The seeds of two configurations are paired in their order. Where one has fewer, each seed of the other
    is paired with its mean over seeds: the untrained model, for one, is the same whatever the seed.

    Args:
        asked: the probe rows that count.
        first, second: trials of the two configurations. hit: which rows succeed (null: no success).
    """
    columns = ("trial_id", "probe_id", cluster(), hit.fill_null(False).cast(pl.Float64).alias("hit"))
    rows = asked.filter(pl.col("trial_id").is_in([*first, *second])).select(columns)
    if len(first) == len(second):
        pairs = [([one], [two]) for one, two in zip(first, second, strict=True)]
    elif len(first) > len(second):
        pairs = [([one], list(second)) for one in first]
    else:
        pairs = [(list(first), [two]) for two in second]
    keys = ("probe_id", "cluster")
    parts = []
    for i, sides in enumerate(pairs):
        one, two = (
            rows.filter(pl.col("trial_id").is_in(side)).group_by(keys).agg(pl.col("hit").mean())
            for side in sides
        )
        parts.append(one.join(two, on=keys, suffix="_2").with_columns(pl.lit(i).alias("pair")))
    return pl.concat(parts)


def won_and_lost(both: pl.DataFrame) -> tuple[Array, Array, Array]:
    """Of `answered_by_both`: questions that only the first gets, that only the second gets, and all, each of
    shape [pairs of seeds, families]."""
    gap = pl.col("hit") - pl.col("hit_2")
    cells = both.group_by("pair", "cluster").agg(
        gap.clip(lower_bound=0).sum().alias("won"),
        (-gap).clip(lower_bound=0).sum().alias("lost"),
        pl.len().alias("asked"),
    )
    families = {name: i for i, name in enumerate(cells["cluster"].unique().sort())}
    found = np.zeros((3, int(both["pair"].max()) + 1, len(families)))  # pyright: ignore[reportArgumentType]
    for pair, family, *numbers in cells.select("pair", "cluster", "won", "lost", "asked").iter_rows():
        found[:, pair, families[family]] = numbers
    return found[0], found[1], found[2]


def apart(one: Counts, two: Counts) -> Difference | None:
    """Share of configuration `one` minus that of `two`, each one configuration with questions of its own.

    The interval is over the families and seeds of both; p is Fisher's exact.
    """
    k1, n1, k2, n2 = (int(x.sum()) for x in (one.hits, one.asked, two.hits, two.asked))
    if not n1 or not n2:
        return None
    _, low, high = independent_difference((one.hits[0], one.asked[0]), (two.hits[0], two.asked[0]))
    return replace(unpaired(k1, n1, k2, n2), low=low, high=high)
