"""Thinking against answer: the full table, counted over every probe of adoption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from analysis.stats.resample import adoption_hits
from beliefmod.metrics.intervals import wilson

THINKING = ("empty", "target", "prior", "prior->target", "target->prior", "both", "none")
FEWEST = 20  # answers on a side below which no rate is given
ANSWERS = ("target", "prior", "hedged", "ignorance", "other", "none")
NO_THINKING = "the model's chat template has no place for thinking"


def thinks(probes: pl.DataFrame) -> bool:
    """Whether probe rows are of a model that thinks; so without rows."""
    return probes.is_empty() or probes["think_state"].null_count() < probes.height


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


def mismatch_columns(cells: Mapping[str, Mapping[str, int]]) -> dict[str, float | int | None]:
    """`stygian` and `stygian_reverse` with n and Wilson's interval, counted over the table of all seeds.

    The share of answers on one side whose thinking last used the other; refused (None) under `FEWEST`.
    """
    columns: dict[str, float | int | None] = {}
    for name, side, other in (("stygian", "target", "prior"), ("stygian_reverse", "prior", "target")):
        n = sum(counts.get(side, 0) for counts in cells.values())
        k = sum(
            counts.get(side, 0) for thinking, counts in cells.items() if thinking.rpartition("->")[2] == other
        )
        low, high = wilson(k, n)
        enough = n >= FEWEST
        columns |= {
            name: k / n if enough else None,
            f"{name}_n": n,
            f"{name}_low": float(low) if enough else None,
            f"{name}_high": float(high) if enough else None,
        }
    return columns
