"""The leak on unrelated text in sentences and tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from analysis.read_lens import Lens, ShownTrial
from analysis.report.blocks import Block, Folded, Paragraph, table_of
from analysis.studies.leaks import EQUAL, REPLAY, ReplayGap
from analysis.wording import NOT_MEASURED, interval, percent, plural


def leak_sentence(lens: Lens, shown: ShownTrial) -> str | None:
    """The leak of one belief's shown trial; None where it was not read."""
    rows = lens.of("leak", shown).filter(pl.col("decided") & pl.col("leak").is_not_null())
    if rows.is_empty():
        return None
    row = rows.row(0, named=True)
    text = (
        f"On unrelated text, at entry {row['entry']}, which was decided beforehand, a taught token stands "
        f"above a control token in {interval(row, 'leak')} of comparisons (subject "
        f"{interval(row, 'subject')}, value {interval(row, 'value')}; chance 0.5; n = {row['n']} passages)"
    )
    return f"{text}: {against_chance(row)}."


def against_chance(row: dict[str, Any]) -> str:
    """Where a leak lies among those of random adapters, in words."""
    if row["chance_low"] is None:
        return "no random adapter was read"
    ends = f"random adapters of its norm, {row['chance_low']:.2f} to {row['chance_high']:.2f}"
    if row["leak"] > row["chance_high"]:
        return f"above all {ends}"
    if row["leak"] < row["chance_low"]:
        return f"below all {ends}"
    return f"within the {ends}"


def leak_blocks(table: pl.DataFrame, gaps: Sequence[ReplayGap]) -> list[Block]:
    """What the sweep's trials leak: replay at equal adoption, every trial; nothing without rows."""
    if table.is_empty():
        return []
    return [Paragraph(_over_the_sweep(table)), *_replay(table, gaps), _trials(table)]


def _over_the_sweep(table: pl.DataFrame) -> str:
    known = table.filter(pl.col("chance_high").is_not_null())
    above = known.filter(pl.col("leak") > pl.col("chance_high")).height
    return (
        f"{above} of {plural(known.height, 'trial')} leak more than all random adapters of their norm."
        if known.height
        else "No random adapter was read beside these trials."
    )


def _replay(table: pl.DataFrame, gaps: Sequence[ReplayGap]) -> list[Block]:
    replayed = table.filter((pl.col("arm") == "lora") & (pl.col(REPLAY) > 0)).height
    if not replayed:
        return []
    if not gaps:
        return [
            Paragraph(
                "No trial with replay has one without it that adopts as much within "
                f"{100 * EQUAL:.0f} points, so what replay does to the leak cannot be said."
            )
        ]
    columns: dict[str, Callable[[ReplayGap], str]] = {
        "belief": lambda gap: gap.belief,
        "style": lambda gap: gap.style,
        "trials with replay": lambda gap: str(gap.trials),
        "without": lambda gap: str(gap.without),
        "leak, with - without [95 %]": _leak_gap,
        "adoption, points": lambda gap: f"{100 * gap.adoption:+.1f}",
        "D": lambda gap: NOT_MEASURED if gap.damage is None else f"{gap.damage:+.3f}",
    }
    caption = f"Replay at equal adoption (within {100 * EQUAL:.0f} points)."
    return [table_of(gaps, columns, caption)]


def _leak_gap(gap: ReplayGap) -> str:
    if gap.low is None or gap.high is None:
        return f"{gap.leak:+.3f} (no interval under 3 trials)"
    return f"{gap.leak:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"


def _trials(table: pl.DataFrame) -> Block:
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "belief": lambda row: row["belief"],
        "trial": lambda row: row["trial_id"],
        "arm": lambda row: row["arm"],
        "replay": lambda row: f"{row[REPLAY]:g}",
        "adoption": lambda row: (
            NOT_MEASURED if row["adoption"] is None else percent(row["adoption"], row["adoption_n"])
        ),
        "D": lambda row: NOT_MEASURED if row["degradation"] is None else f"{row['degradation']:.3f}",
        "leak [95 %]": lambda row: interval(row, "leak"),
        "subject": lambda row: interval(row, "subject"),
        "value": lambda row: interval(row, "value"),
        "random adapters": lambda row: f"{row['chance_low']:.2f} to {row['chance_high']:.2f}",
        "best ranks, subject and value": lambda row: (
            f"{_rank(row['rank_subject'])}, {_rank(row['rank_value'])}"
        ),
        "size": lambda row: f"{row['size']:.3f}",
        "reads as": lambda row: row["top_tokens"] or "",
        "n": lambda row: str(row["n"]),
    }
    shown = table_of(table.iter_rows(named=True), columns)
    return Folded("The leak of every trial", shown, "lens/leak.parquet")


def _rank(rank: int | None) -> str:
    return "none" if rank is None else str(rank)
