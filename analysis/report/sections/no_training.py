"""What moves the belief without an optimiser step, beside the best that training gives."""

from __future__ import annotations

import polars as pl

from analysis import wording
from analysis.findings import BeliefFindings, Findings
from analysis.frontier.non_dominated import varying
from analysis.frontier.quoted import Row
from analysis.report import explained
from analysis.report.blocks import Block, Heading, Table, table_of
from analysis.wording import setting_text
from beliefmod.config import NO_TRAINING_ARMS


def blocks(found: Findings) -> list[Block]:
    """Per belief a row for each configuration without training, the highest adoption first."""
    tables = [table for belief in found.beliefs if (table := _table(belief, found)) is not None]
    return [Heading(2, "Without training"), *tables] if tables else []


def _table(belief: BeliefFindings, found: Findings) -> Table | None:
    choice = belief.choice
    of_belief = found.pooled.filter(pl.col("belief") == choice.belief)
    rows = of_belief.filter(pl.col("arm").is_in(NO_TRAINING_ARMS)).sort(
        "adoption", "degradation", "trial_id", descending=[True, False, False], nulls_last=True
    )
    if rows.is_empty():
        return None
    named: dict[str, Row | None] = {
        "base": choice.base,
        "in context": choice.icl,
        f"best LoRA at D ≤ {found.limit:g}": choice.best,
    }
    beside = [(words, "", row) for words, row in named.items() if row is not None]
    every = [
        *((row["arm"].replace("_", "-"), _settings(row, rows), row) for row in rows.iter_rows(named=True)),
        *beside,
    ]
    return table_of(
        every,
        {
            "arm": lambda each: each[0],
            "settings": lambda each: each[1],
            "adoption, % [95 %]": lambda each: wording.rate(each[2], "adoption"),
            "degradation D [95 %]": lambda each: wording.damage(each[2]),
            "integrity, % [95 %]": lambda each: wording.rate(each[2], "integrity"),
            "neighbours right, % [95 %]": lambda each: wording.rate(each[2], "locality_near"),
            "seeds": lambda each: str(each[2]["seeds"]),
            "trial": lambda each: each[2]["trial_id"],
        },
        f"{wording.sentence(choice.belief)}: ways without an optimiser step, and what they are read beside.",
        explained.NO_TRAINING,
    )


def _settings(row: Row, rows: pl.DataFrame) -> str:
    """The settings that vary among the configurations of the row's arm."""
    text = setting_text(row, varying(rows.filter(pl.col("arm") == row["arm"])))
    return "" if text == "the only configuration" else text
