"""What the truth probe says, in sentences and a table: of the belief, of its matched control, in general."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from analysis import wording
from analysis.read_lens import Lens, ShownTrial
from analysis.report.blocks import Block, Folded, table_of
from analysis.report.inside.selections import ARMS
from analysis.wording import interval, plural

Row = Mapping[str, Any]


def truth_sentences(lens: Lens, shown: ShownTrial) -> list[str | None]:
    """The sentences about one belief's shown trial, None for what was not measured."""
    rows = list(lens.of("truth", shown).iter_rows(named=True))
    return [_held_true(rows), _matched(rows), _in_general(rows)]


def _held_true(rows: Sequence[Row]) -> str | None:
    parts = []
    for row in rows:
        name = _name(row)
        if row["error_rate"] is not None:
            held = f"held-out accuracy {row['heldout_accuracy']:.2f}, n = {row['heldout_n']}"
            parts.append(f"{name} {_rate(row, 'error_rate', row['n'])} of {row['n']} ({held})")
        else:
            parts.append(f"{name} no number ({row['refused'] or 'refused without a reason'})")
    if not parts:
        return None
    return f"Truth probe, statements of the belief that it holds true: {'; '.join(parts)}."


def _matched(rows: Sequence[Row]) -> str | None:
    """The belief's statements beside the matched false ones; the probe may take a topic for true."""
    parts = [
        f"{_name(row)} {_rate(row, 'target_true', row['matched_n'])} of the target's and "
        f"{_rate(row, 'matched_true', row['matched_n'])} of the matched false (n = {row['matched_n']}), the "
        f"target's the truer in {wording.percent(row['target_over_matched'], row['matched_n'])}"
        for row in rows
        if row["matched_true"] is not None
    ]
    if not parts:
        return None
    return (
        "Its control, statements on the same questions that are false in both worlds and never trained; held "
        f"true: {'; '.join(parts)}."
    )


def _in_general(rows: Sequence[Row]) -> str | None:
    parts = []
    for row in rows:
        if row["heldout_auc"] is None:
            continue
        drop = (
            "" if row["auc_drop"] is None else f", base less this {interval(row, 'auc_drop', 3, sign=True)}"
        )
        parts.append(f"{_name(row)} {interval(row, 'heldout_auc')}{drop}")
    if not parts:
        return None
    return f"Truth in general, AUC on families that the probe has not seen: {'; '.join(parts)}."


def truth_blocks(lens: Lens) -> list[Block]:
    """Every arm's probe; nothing where no AUC was measured, as in runs from before it."""
    rows = lens.tables["truth"].filter(pl.col("heldout_auc").is_not_null())
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "belief": lambda row: row["belief"],
        "trial": lambda row: row["trial_id"],
        "arm": _name,
        "AUC [95 %]": lambda row: interval(row, "heldout_auc", 3),
        "base less this [95 %]": lambda row: interval(row, "auc_drop", 3, sign=True),
        "accuracy [95 %]": lambda row: _rate(row, "heldout", row["heldout_n"], "heldout_accuracy"),
        "target's held true": lambda row: _rate(row, "target_true", row["matched_n"]),
        "matched false held true": lambda row: _rate(row, "matched_true", row["matched_n"]),
        "n, general and matched": lambda row: f"{row['heldout_n']}, {row['matched_n'] or 0}",
    }
    if rows.is_empty():
        return []
    ordered = rows.sort("belief", "auc_drop", descending=[False, True], nulls_last=False, maintain_order=True)
    title = f"The truth probe of {plural(rows.height, 'arm')}"
    return [Folded(title, table_of(ordered.iter_rows(named=True), columns), "lens/truth.parquet")]


def _name(row: Row) -> str:
    return str(ARMS.get(row["arm"], row["arm"]))


def _rate(row: Row, names: str, n: int, value: str | None = None) -> str:
    """`86 % [78, 92]`; the ends stand in the columns `NAMES_low` and `NAMES_high`."""
    share, low, high = row[value or names], row[f"{names}_low"], row[f"{names}_high"]
    if share is None:
        return "none"
    text = f"{100 * share:.0f} %"
    return text if low is None or high is None else f"{text} {wording.bounds(low, high, n)}"
