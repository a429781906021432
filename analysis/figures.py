"""Which figures a run gets, with their captions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from analysis.charts.frontier import frontier_chart
from analysis.findings import Findings
from analysis.frontier import pool_seeds


@dataclass(frozen=True)
class Drawn:
    """A chart and the sentence under it."""

    chart: Any
    caption: str


def figures(found: Findings) -> dict[str, Drawn]:
    """Figure name -> chart, in the order of the page; only what the run has data for."""
    drawn: dict[str, Drawn] = {}
    lora = [belief.choice.lora for belief in found.beliefs if belief.choice.lora.height]
    pooled = pool_seeds(found.run.trials)
    references = pooled.filter(pl.col("arm") != "lora")
    measured = pl.col("adoption").is_not_null() & pl.col("degradation").is_not_null()
    if lora and pl.concat(lora).filter(measured).height:
        drawn["frontier"] = Drawn(frontier_chart(pl.concat(lora), references, found.limit), "Adoption against degradation.")
    return drawn
