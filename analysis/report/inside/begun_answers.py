"""What begun answers show, in sentences: when they form, how likely each value is, what happens elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis.read_lens import Lens, ShownTrial
from analysis.report.inside.selections import ARMS, commitment, contrasts
from analysis.wording import in_never, interval
from beliefmod.run.tables.lens_tables import TAU


def begun_answers(lens: Lens, shown: ShownTrial) -> list[str | None]:
    """The sentences about one belief's shown trial, None for what was not read."""
    return [_commits(lens, shown), _spelled(lens, shown), _elsewhere(lens, shown)]


def _commits(lens: Lens, shown: ShownTrial) -> str | None:
    row, base = (commitment(lens, shown, arm) for arm in ("lora", "base"))
    if row is None or row["final_diff"] is None:
        return None
    last = lens.of("readings", shown)["entry"].max()
    text = (
        f"When the answer is begun for it, the last layer prefers the {_side(row)} by "
        f"{interval(row, 'final_diff', sign=True)} logits (n = {row['n']} questions"
    )
    if base is not None and base["final_diff"] is not None:
        text += f"; base {interval(base, 'final_diff', sign=True)}"
    text += "). "
    at = f"{interval(row, 'commit_entry', 0)} of {last}{in_never(row, 'commit_never')}"
    if row["commit_entry"] is None:
        text += f"It commits at no entry: nowhere does the difference stay {TAU:g} logits away from 0."
    elif row["commit_entry"] == 0:
        text += f"Commit entry {at}: the sign is the same from the embedding on, none stands out."
    else:
        text += f"It commits at entry {at}."
    if row["half_rise_entry"] is not None:
        text += (
            f" Half of the contrast to base is there from entry {interval(row, 'half_rise_entry', 0)} on"
            f"{in_never(row, 'half_rise_never')}."
        )
    return text


def _side(row: Mapping[str, Any]) -> str:
    low, high = row["final_diff_low"], row["final_diff_high"]
    if low is None or high is None or low < 0 < high:
        return "target or its rival (the sign is open)"
    return "target" if low >= 0 else "rival"


def _spelled(lens: Lens, shown: ShownTrial) -> str | None:
    """How likely each value is in any spelling, which the difference of two tokens does not say."""
    parts = []
    for arm, name in ARMS.items():
        row = commitment(lens, shown, arm)
        if row is None or row.get("mass_target") is None:
            continue
        text = f"{name} {interval(row, 'mass_target')}{_asked(lens, shown, arm, 'mass_target')}"
        if row["mass_prior"] is not None:
            n = _asked(lens, shown, arm, "mass_prior")
            text += f" against {interval(row, 'mass_prior')} for base's value{n}"
        parts.append(text)
    if not parts:
        return None
    return (
        "Probability of the target in any spelling that the judge would take, where the begun answer names "
        f"its value: {'; '.join(parts)}."
    )


def _asked(lens: Lens, shown: ShownTrial, arm: str, column: str) -> str:
    """At how many questions a value could be summed; nothing where the readings are not there."""
    rows = lens.of("readings", shown).filter((pl.col("arm") == arm) & (pl.col("position") == "stem"))
    known = rows.filter(pl.col(column).is_not_null())["probe_id"].n_unique()
    return f" (n = {known})" if known else ""


def _elsewhere(lens: Lens, shown: ShownTrial) -> str | None:
    """What the arm does to the same kind of difference where the belief has no say: its noise floor."""
    found = []
    for position in ("elsewhere", "stem"):
        table = contrasts(lens, shown, position).filter(pl.col("arm") == ARMS["lora"])
        last = table.filter(pl.col("mean").is_not_null()).sort("entry").tail(1)
        if last.is_empty():
            return None
        row = last.rename({"low": "mean_low", "high": "mean_high"}).row(0, named=True)
        found.append(f"{interval(row, 'mean', sign=True)} logits (n = {row['n']})")
    there = commitment(lens, shown, "lora", "elsewhere")
    end = (
        f", to {interval(there, 'final_diff', sign=True)}"
        if there and there["final_diff"] is not None
        else ""
    )
    return (
        "Asked about near things that the belief does not concern, the adapter moves the difference of what "
        f"the belief would give there and the right answer by {found[0]}{end}; at the belief's own questions "
        f"it moves its difference by {found[1]}."
    )
