"""What people did to the sweep while it ran: trials that they stopped, and trials that they added."""

from __future__ import annotations

from typing import Any

import polars as pl

from analysis import wording
from analysis.findings import Findings
from analysis.report.blocks import Block, Heading, Paragraph, table_of
from analysis.report.sections.unfinished import reason
from beliefmod.run.by_hand import STOPPED

APART = (
    "They were not planned: somebody chose them, perhaps by what others gave. So they are in no frontier, no "
    "pooled seeds, no best configuration, no test and no picture of this report; each stands for itself."
)


def blocks(found: Findings) -> list[Block]:
    """Both kinds, each with who did it and when; left out where nobody did anything."""
    stopped = found.run.trials.filter(pl.col("by_hand").fill_null("").str.contains(STOPPED))
    added = found.added
    if stopped.is_empty() and added.is_empty():
        return []
    parts: list[Block] = [Heading(2, "Done by hand"), Paragraph(counted(found))]
    if not added.is_empty():
        parts.append(
            table_of(
                added.sort("belief", "trial_id").iter_rows(named=True),
                {
                    "trial": lambda row: row["trial_id"],
                    "belief": lambda row: row["belief"],
                    "arm": lambda row: row["arm"],
                    "what was done": lambda row: row["by_hand"],
                    "status": _status,
                    "adoption": _adoption,
                    "D": lambda row: wording.damage(row) if row["status"] == "finished" else "",
                },
                APART,
            )
        )
    return parts


def counted(found: Findings) -> str:
    """`Not as planned: 1 trial was stopped by hand (42acb27435), 2 trials were added by hand (...).`"""
    stopped = found.run.trials.filter(pl.col("by_hand").fill_null("").str.contains(STOPPED))
    told = []
    for rows, what in ((stopped, "stopped"), (found.added, "added")):
        if not rows.is_empty():
            were = "was" if rows.height == 1 else "were"
            names = ", ".join(sorted(rows["trial_id"]))
            told.append(f"{wording.plural(rows.height, 'trial')} {were} {what} by hand ({names})")
    return f"Not as planned: {', '.join(told)}."


def _status(row: dict[str, Any]) -> str:
    """How it ended, and why where it did not finish."""
    return row["status"] if row["status"] == "finished" else f"{row['status']}: {reason(row)}"


def _adoption(row: dict[str, Any]) -> str:
    return wording.rate(row, "adoption") if row["status"] == "finished" else ""
