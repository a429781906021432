"""Questions that were asked again under other conditions: adoption then, and how far it is from before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.stats.family_rates import difference_interval
from beliefmod.metrics.intervals import Array, Estimate, rate

COLUMNS = ("trial_id", "probe_id", "family", "test", "answer_stance", "own_stance")
"""Of the table of causal tests, what `asked_again` reads."""


@dataclass(frozen=True)
class AskedAgain:
    """Adoption over the same questions, of all seeds together.

    Attributes:
        before, after: at the first asking and now, with Wilson's intervals.
        change: after less before, -1 to 1, with its interval over families and seeds; n counts questions of
            all seeds.
    """

    before: Estimate
    after: Estimate
    change: Estimate


def asked_again(causal: pl.DataFrame, trials: Sequence[str], test: str) -> AskedAgain | None:
    """Adoption of one configuration after a test of the table of causal tests, and before it.

    Args:
        causal: the COLUMNS of its trials. trials: of its seeds.

    Returns:
        None where the test was put to none of them.
    """
    rows = causal.filter((pl.col("test") == test) & pl.col("trial_id").is_in(list(trials)))
    if rows.is_empty():
        return None
    now, then = (pl.col(name).eq_missing("target") for name in ("answer_stance", "own_stance"))
    cells = rows.group_by("trial_id", "family").agg(
        (now & ~then).sum().alias("won"), (then & ~now).sum().alias("lost"), pl.len().alias("asked")
    )
    value, low, high = difference_interval(*_arrays(cells, trials))
    before, after = (rate(int(rows.select(hit.sum()).item()), rows.height) for hit in (then, now))
    return AskedAgain(before, after, Estimate(value, rows.height, low, high))


def _arrays(cells: pl.DataFrame, trials: Sequence[str]) -> Array:
    """won, lost and asked, each of shape [seeds, families]."""
    families = {name: at for at, name in enumerate(cells["family"].unique().sort())}
    seeds = {name: at for at, name in enumerate(trials)}
    found = np.zeros((3, len(seeds), len(families)))
    for trial, family, *counts in cells.select("trial_id", "family", "won", "lost", "asked").iter_rows():
        found[:, seeds[trial], families[family]] = counts
    return found
