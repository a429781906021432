"""One configuration's seeds as one number: rates from counts, means over seeds, depth from pooled tiers."""

from __future__ import annotations

from typing import Any

import polars as pl

from analysis.stats.shares import wilson
from beliefmod.metrics.depth import DEPTH_TIERS, depth

Row = dict[str, Any]


def pooled_rate(group: pl.DataFrame, name: str) -> Row:
    """All successes over all questions, with Wilson's interval; nothing where no seed measured it.

    A seed that refused the rate (it has an n and no value) makes the pooled rate unknown, not smaller: only
    the n is given then.
    """
    asked = group.filter(pl.col(f"{name}_n") > 0)
    if asked.is_empty():
        return {}
    n = int(asked[f"{name}_n"].sum())
    if asked[name].null_count():
        return {f"{name}_n": n}
    k = int((asked[name] * asked[f"{name}_n"]).round().sum())
    low, high = wilson(k, n)
    return {name: k / n, f"{name}_n": n, f"{name}_low": float(low), f"{name}_high": float(high)}


def pooled_mean(group: pl.DataFrame, name: str) -> Row:
    """The seeds' means and interval ends averaged: they measure the same questions, so nothing narrows.

    `n` is that of one seed, the smallest. Nothing unless every seed measured it; no interval unless every
    seed has one.
    """
    if group[name].null_count():
        return {}
    ends = group.select(f"{name}_low", f"{name}_high")
    low, high = (None, None) if ends.null_count().sum_horizontal().item() else ends.mean().row(0)
    return {
        name: group[name].mean(),
        f"{name}_n": group[f"{name}_n"].min(),
        f"{name}_low": low,
        f"{name}_high": high,
    }


def pooled_depth(pooled: Row) -> Row:
    """Depth from the pooled rates of its tiers; all None if one was not asked."""
    tiers = [(pooled.get(f"adoption_{tier}"), pooled.get(f"adoption_{tier}_n")) for tier in DEPTH_TIERS]
    counts = [(round(share * n), n) for share, n in tiers if share is not None and n]
    values = depth(counts) if len(counts) == len(tiers) else (None, None, None)
    return dict(zip(("depth", "depth_low", "depth_high"), values, strict=True))
