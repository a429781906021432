"""A configuration as the page's scripts read it, and what configurations can be filtered by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from analysis import wording
from analysis.frontier.non_dominated import CONFIG, varying
from analysis.report.sections.tiers import TIERS
from analysis.wording import setting_name, setting_text, setting_value
from beliefmod.config import REFERENCE_ARMS
from beliefmod.metrics.registry import COMPONENTS, listed

LISTED = 12
"""A setting with more values than this is filtered by a range."""
NUMBERS = listed("page")


def varying_settings(pooled: pl.DataFrame) -> list[str]:
    """The settings that vary among the trained configurations."""
    return varying(pooled.filter(~pl.col("arm").is_in(REFERENCE_ARMS)))


def axes_of(pooled: pl.DataFrame) -> list[dict[str, Any]]:
    """What can be filtered: belief, arm, and every setting that varies among the trained configurations."""
    trained = pooled.filter(~pl.col("arm").is_in(REFERENCE_ARMS))
    axes: list[dict[str, Any]] = []
    for name in ("belief", "arm"):
        axes.append({"name": name, "label": name, "values": _texts(pooled[name])})
    for name in varying(trained):
        values = trained[name].drop_nulls().unique().sort()
        axis: dict[str, Any] = {"name": name, "label": setting_name(name)}
        if values.dtype.is_numeric() and len(values) > LISTED:
            axis |= {"low": values.min(), "high": values.max()}
        else:
            axis["values"] = _texts(trained[name])
        axes.append(axis)
    return axes


def _texts(values: pl.Series) -> list[str]:
    return [setting_value(value) for value in values.drop_nulls().unique().sort()]


def point_of(
    row: dict[str, Any],
    names: Sequence[str],
    unbeaten: bool,
    label: str,
    told: tuple[str, str] | None = None,
) -> dict[str, Any]:
    """One configuration: its settings, and its numbers as texts with their intervals.

    Args:
        row: of `pool_seeds`.
        names: the settings that vary in the run.
        unbeaten: no other configuration has more adoption at no more damage.
        label: what the report calls it, such as "Best LoRA under the limit"; empty for most.
        told: its adoption and D as the report quotes them; None: with the row's intervals, over questions.
    """
    adoption, damage = told or (wording.rate(row, "adoption"), wording.damage(row))
    trained = row["arm"] not in REFERENCE_ARMS
    used = [name for name in names if row["arm"] != "full" or not name.startswith("lora.")]
    return {
        "id": row["trial_id"],
        "trials": row["trial_ids"],
        "belief": row["belief"],
        "arm": row["arm"],
        "name": label,
        "unbeaten": unbeaten,
        "text": setting_text(row, used) if trained else "no training",
        # texts to compare with the listed values, numbers to compare with ranges
        "settings": {name: [setting_value(row[name]), row[name]] for name in used if row[name] is not None}
        if trained
        else None,
        "whole": setting_text(row, CONFIG) if trained else "no training",
        "tiers": {
            words: wording.rate(row, f"adoption_{tier}")
            for tier, words in TIERS.items()
            if row.get(f"adoption_{tier}") is not None
        },
        "parts": {
            metric.damage_words: wording.shift(row, name)
            for name, metric in COMPONENTS.items()
            if row.get(f"{name}_damage") is not None
        },
        "adoption": adoption,
        "damage": damage,
        "numbers": [
            [words, wording.rate(row, name)] for name, words in NUMBERS.items() if row.get(name) is not None
        ],
    }
