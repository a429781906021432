"""What moves the belief without an optimiser step, beside the best that training gives."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from analysis import wording
from analysis.findings import BeliefFindings, Findings
from analysis.frontier.non_dominated import varying
from analysis.frontier.quoted import Row
from analysis.report import explained
from analysis.report.blocks import Block, Heading, Table, table_of
from analysis.wording import setting_text
from beliefmod.config import Arm

SECTIONS: tuple[tuple[str, tuple[Arm, ...], str, str], ...] = (
    (
        "Without training",
        ("prompt", "few_shot", "steering"),
        "ways without an optimiser step",
        explained.NO_TRAINING,
    ),
    (
        "After training",
        ("adapter",),
        "saved adapters, changed without an optimiser step",
        explained.AFTER_TRAINING,
    ),
)
"""Title, arms, what their rows are, and how to read them."""


def blocks(found: Findings) -> list[Block]:
    """Per belief a row for each configuration without training, the highest adoption first; those of saved
    adapters in tables of their own."""
    done: list[Block] = []
    for title, arms, what, how in SECTIONS:
        tables = [_table(belief, found, arms, what, how) for belief in found.beliefs]
        if shown := [table for table in tables if table is not None]:
            done += [Heading(2, title), *shown]
    return done


def _table(belief: BeliefFindings, found: Findings, arms: Sequence[Arm], what: str, how: str) -> Table | None:
    choice = belief.choice
    of_belief = found.pooled.filter(pl.col("belief") == choice.belief)
    rows = of_belief.filter(pl.col("arm").is_in(arms)).sort(
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
        f"{wording.sentence(choice.belief)}: {what}, and what they are read beside.",
        how,
    )


def _settings(row: Row, rows: pl.DataFrame) -> str:
    """The settings that vary among the configurations of the row's arm."""
    text = setting_text(row, varying(rows.filter(pl.col("arm") == row["arm"])))
    return "" if text == "the only configuration" else text
