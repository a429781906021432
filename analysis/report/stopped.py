"""Trials that a scheduler ended early: in no number, but not passed over in silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis import wording
from analysis.frontier.non_dominated import CONFIG
from beliefmod.run.read_run import Run
from beliefmod.space.search import spelled_out


def stopped_note(run: Run) -> str | None:
    """How many were ended, by which rule, and what that does to the numbers; None where none was."""
    stopped = run.trials.filter(pl.col("status") == "stopped")
    if stopped.is_empty():
        return None
    steps = stopped["steps"].drop_nulls()
    after = f", after {steps.min():,} to {steps.max():,} steps" if steps.len() else ""
    count = wording.plural(stopped.height, "trial")
    text = (
        f"{count} ended early by the scheduler{_rule(run.manifest)}{after}: without adoption and D, so in no "
        "rate, no interval and no picture. What would have become of them is not known; the frontier is one "
        "of trials that kept up with the others."
    )
    key = ["arm", "belief", *CONFIG]
    done = run.trials.filter(pl.col("status") == "finished")
    if parted := done.join(stopped, on=key, how="semi", nulls_equal=True).unique(key).height:
        text += (
            f" Of {wording.plural(parted, 'configuration')} some seeds were ended and others finished: those "
            "numbers are of the seeds that did better early on, and flatter."
        )
    return text


def _rule(manifest: Mapping[str, Any]) -> str:
    space: Any = manifest.get("space")
    scheduler = spelled_out(space)["scheduler"] if isinstance(space, Mapping) else {}
    metric = scheduler.get("metric", {"name": "loss"})
    return "" if scheduler.get("name", "none") == "none" else f" ({scheduler['name']}, by {metric['name']})"
