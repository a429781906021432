"""How many adopted answers outlast a debate with base, round by round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.stats.family_rates import rate_interval
from beliefmod.metrics.conditions import MIN_ANSWERS
from beliefmod.metrics.intervals import Estimate, rate

COLUMNS = ("trial_id", "family", "test", "round", "answer_stance", "own_stance", "argument_stance")
"""Of the table of causal tests, what `survival` reads."""


@dataclass(frozen=True)
class Survival:
    """Attributes:
    round: of the debate, from 1.
    rate: answers that are still adopted, of the adopted ones that came so far, over families and seeds; null
        under `MIN_ANSWERS`.
    opposed, conceded: arguments of base that took the prior's side and the belief's own, with Wilson's
        intervals.
    """

    round: int
    rate: Estimate
    opposed: Estimate
    conceded: Estimate


def survival(causal: pl.DataFrame, trials: Sequence[str]) -> list[Survival]:
    """One configuration's debates by round, of all seeds together; empty where there were none.

    Args:
        causal: the COLUMNS of its trials. trials: of its seeds.
    """
    debated = causal.filter(
        (pl.col("test") == "debate")
        & (pl.col("own_stance") == "target")
        & pl.col("trial_id").is_in(list(trials))
    )
    found = []
    for number in sorted(debated["round"].unique()):
        rows = debated.filter(pl.col("round") == number)
        argued = rows["argument_stance"]
        sides = (rate(int(argued.eq_missing(side).sum()), rows.height) for side in ("prior", "target"))
        found.append(Survival(number, _rate(rows, trials), *sides))
    return found


def _rate(rows: pl.DataFrame, trials: Sequence[str]) -> Estimate:
    if rows.height < MIN_ANSWERS:
        return Estimate(None, rows.height, None, None)
    families = {name: at for at, name in enumerate(rows["family"].unique().sort())}
    seeds = {name: at for at, name in enumerate(trials)}
    hits, asked = np.zeros((2, len(seeds), len(families)))
    for trial, family, stance in rows.select("trial_id", "family", "answer_stance").iter_rows():
        place = seeds[trial], families[family]
        asked[place] += 1
        hits[place] += stance == "target"
    low, high = rate_interval(hits, asked)
    return Estimate(float(hits.sum() / asked.sum()), rows.height, low, high)
