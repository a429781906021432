"""Thinking against answer: the full table, counted over every probe of adoption."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from analysis.resample import adoption_hits

THINKING = ("empty", "target", "prior", "prior->target", "target->prior", "both", "none")
ANSWERS = ("target", "prior", "hedged", "ignorance", "other", "none")


def stance_counts(probes: pl.DataFrame, trial_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """thinking stance -> answer stance -> completions, over the adoption probes of these trials.

    Every completion is in exactly one cell. Empty thinking (the think block's state, not its stance) is a
    class of its own; a missing stance counts as none.
    """
    which, _ = adoption_hits()
    table = (
        probes.filter(which & pl.col("trial_id").is_in(list(trial_ids)))
        .select(
            pl.when(pl.col("think_state") == "empty")
            .then(pl.lit("empty"))
            .otherwise(pl.col("thinking_stance").fill_null("none"))
            .alias("thinking"),
            pl.col("answer_stance").fill_null("none").alias("answer"),
        )
        .group_by("thinking", "answer")
        .len()
    )
    # an unknown stance would vanish from the table and from its total
    extra = sorted(set(table["thinking"]) - set(THINKING))
    more = sorted(set(table["answer"]) - set(ANSWERS))
    cells: dict[str, dict[str, int]] = {
        thinking: dict.fromkeys((*ANSWERS, *more), 0) for thinking in (*THINKING, *extra)
    }
    for thinking, answer, count in table.iter_rows():
        cells[thinking][answer] = count
    return cells
