"""Trials that switch the chat template differently, told apart: each way of asking about a belief has a name.

A trial is compared with the base that was asked with the same switches, so what a report says of a belief
(frontier, references, answerable questions) it says of one way of asking: "gravity, enable_thinking=false".
Studies whose unit is the belief take the switches as one more setting (`by_belief`).
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from analysis.findings import Findings
from beliefmod.config import switches_words
from beliefmod.run.read_run import Run


def told_apart(run: Run) -> Run:
    """The run with the switches of the chat template behind the name of a belief, in all its tables.

    Trials without switches of their own keep the name. The setting `template` is in words then, such as
    enable_thinking=false.
    """
    if not run.trials["template"].count():
        return run
    trials = told_apart_trials(run.trials)
    return replace(run, trials=trials, named=dict(trials.select("trial_id", "belief").iter_rows()))


def told_apart_trials(trials: pl.DataFrame) -> pl.DataFrame:
    """The trial table with the switches in words, and behind the names of beliefs."""
    words = pl.col("template").map_elements(switches_words, return_dtype=pl.String)
    return trials.with_columns(words.alias("template")).with_columns(
        (pl.col("belief") + _behind()).alias("belief")
    )


def by_belief(found: Findings) -> Findings:
    """Findings whose trials have the names of their beliefs alone, whatever the switches."""
    name = pl.col("belief").str.strip_suffix(_behind())
    run = replace(found.run, trials=found.run.trials.with_columns(name))
    pooled = found.pooled if found.pooled.is_empty() else found.pooled.with_columns(name)
    return replace(found, run=run, pooled=pooled)


def _behind() -> pl.Expr:
    return (", " + pl.col("template")).fill_null("")
