"""The interval of a configuration's D over question families and seeds, which the report quotes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from analysis.frontier.quoted import Choice
from analysis.stats.family_rates import difference_interval
from analysis.stats.resample import answered_by_both, won_and_lost
from beliefmod.metrics.registry import COMPONENTS

Row = Mapping[str, Any]
Ends = tuple[float, float]


def damage_interval(row: Row, base: str, probes: pl.DataFrame) -> Ends | None:
    """95 % interval of D: from the lower end of the component that set it to the largest upper end of any.

    Components of answers: the difference from base on the same questions, over families and seeds
    (`difference_interval`). Of drift: the row's own, a t interval over passages. None where a component that
    D counts has no interval.

    Args:
        row: a pooled row (`pool_seeds`). base: trial_id of base. probes: verdicts of both, with the columns
            that the components of D look at.
    """
    if row.get("degradation") is None:
        return None
    no_room = str(row.get("degradation_no_room") or "").split(",")
    ends: dict[str, Ends] = {}
    for name, metric in COMPONENTS.items():
        if name in no_room or row.get(f"{name}_damage") is None:
            continue
        if metric.table == "drift":
            low, high = row.get(f"{name}_damage_low"), row.get(f"{name}_damage_high")
            if low is None or high is None:
                return None
            ends[name] = (low, high)
            continue
        which, hit = metric.expressions()
        both = answered_by_both(probes.filter(which), row["trial_ids"], [base], hit)
        if both.is_empty():
            return None
        _, low, high = difference_interval(*won_and_lost(both))
        ends[name] = (-high, -low) if metric.better == "higher" else (low, high)
    if not ends:
        return None
    by = row.get("degradation_by")
    low = ends[by][0] if by in ends and row["degradation"] > 0 else 0.0
    return max(0.0, low), max(0.0, *(high for _, high in ends.values()))


def with_damage_intervals(choice: Choice, probes: pl.DataFrame) -> Choice:
    """The choice with D's interval over families in its named rows and on its frontier."""
    if choice.base is None:
        return choice
    base = choice.base["trial_id"]
    named = [row for row in (*choice.rows().values(), choice.gentler) if row and row["arm"] != "base"]
    found: dict[str, Ends] = {}
    for row in (*named, *choice.on_frontier.iter_rows(named=True)):
        if row["trial_id"] not in found and (ends := damage_interval(row, base, probes)) is not None:
            found[row["trial_id"]] = ends
    if not found:
        return choice
    return replace(
        choice,
        lora=_in_table(choice.lora, found),
        icl=_in_row(choice.icl, found),
        control=_in_row(choice.control, found),
        other_controls=tuple(_in_rows(choice.other_controls, found)),
        phase2=_in_row(choice.phase2, found),
        best=_in_row(choice.best, found),
        least=_in_row(choice.least, found),
        most=_in_row(choice.most, found),
        gentler=_in_row(choice.gentler, found),
        d_over_families=frozenset(found),
    )


def _in_row(row: dict[str, Any] | None, found: Mapping[str, Ends]) -> dict[str, Any] | None:
    if row is None or (ends := found.get(row["trial_id"])) is None:
        return row
    return row | {"degradation_low": ends[0], "degradation_high": ends[1]}


def _in_rows(rows: Iterable[dict[str, Any]], found: Mapping[str, Ends]) -> list[dict[str, Any]]:
    return [new for row in rows if (new := _in_row(row, found)) is not None]


def _in_table(table: pl.DataFrame, found: Mapping[str, Ends]) -> pl.DataFrame:
    ends = pl.DataFrame(
        [(trial, *pair) for trial, pair in found.items()],
        schema={"trial_id": pl.String, "_low": pl.Float64, "_high": pl.Float64},
        orient="row",
    )
    return (
        table.join(ends, on="trial_id", how="left", maintain_order="left")
        .with_columns(
            pl.coalesce(f"_{end}", f"degradation_{end}").alias(f"degradation_{end}")
            for end in ("low", "high")
        )
        .drop("_low", "_high")
    )
