"""Adoption per tier: how far the belief reaches beyond the questions it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from analysis.report.charts.marks_per_row import marks_chart, schema


def tier_rows(named: Mapping[str, Mapping[str, Mapping[str, Any]]], tiers: Mapping[str, str]) -> pl.DataFrame:
    """One row per belief, named arm and tier that was measured, in percent.

    Args:
        named: belief -> label -> row with the columns `adoption_TIER`.
        tiers: tier -> its words, in order.
    """
    rows = [
        {
            "belief": belief,
            "tier": words,
            "arm": label,
            "percent": 100 * row[f"adoption_{tier}"],
            **{
                end: None
                if row.get(f"adoption_{tier}_{end}") is None
                else 100 * row[f"adoption_{tier}_{end}"]
                for end in ("low", "high")
            },
            "n": row.get(f"adoption_{tier}_n"),
        }
        for belief, arms in named.items()
        for label, row in arms.items()
        for tier, words in tiers.items()
        if row.get(f"adoption_{tier}") is not None
    ]
    return pl.DataFrame(rows, schema=schema("tier"))


def tier_chart(rows: pl.DataFrame, tiers: Sequence[str]) -> Any:
    """One panel per belief, a row of marks per tier, a colour per arm."""
    return marks_chart(
        rows,
        "tier",
        tiers,
        "adoption, % of the tier's questions",
        "How far the belief reaches",
        ["Each mark is one arm on one tier; the bar is its 95 % Wilson interval."],
    )
