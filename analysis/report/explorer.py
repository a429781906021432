"""What the page needs so that a reader can filter the configurations and open a trial's completions."""

from __future__ import annotations

from typing import Any

import polars as pl

from analysis import wording
from analysis.findings import Findings
from analysis.frontier.non_dominated import CONFIG, frontier, varying
from analysis.report.arm_rows import arm_trials
from analysis.report.blocks import Block, Explorer, Heading
from analysis.report.failure_classes import failure_classes
from analysis.report.first_screen import quoted
from analysis.report.sections.tiers import TIERS
from analysis.report.trial_answers import answers_of, marker_of, packed
from analysis.wording import setting_name, setting_text, setting_value
from beliefmod.config import UNTRAINED_ARMS
from beliefmod.metrics.registry import COMPONENTS, listed

CAP = 8_000_000
"""Characters of packed answers that one page holds."""
MOST = 200
"""Trials whose answers one page holds: every one of them is read again to mark the words that counted."""
LISTED = 12
"""A setting with more values than this is filtered by a range."""
NUMBERS = listed("page")


def explorer(found: Findings, cap: int = CAP) -> list[Block]:
    """The explorer's block; nothing when no trial has finished."""
    if found.pooled.is_empty():
        return []
    answers, trials = trial_answers(found, cap)
    note = (
        "Open a configuration here, or by a click on its mark: its settings, tiers and damage, then all its "
        "answers beside base's and in context's, with the words marked that the scorer used."
    )
    if len(answers) < trials:
        note += (
            f" The page holds the answers of {len(answers):,} of {trials:,} trials, named and unbeaten ones "
            "first; probes/TRIAL.parquet of the run folder has all."
        )
    first = next((row for row in map(quoted, found.beliefs) if row is not None), None)
    data = {
        "axes": _axes(found),
        "points": _points(found),
        "first": first["trial_id"] if first is not None else None,
        "classes": [kind.name for kind in failure_classes()],
    }
    return [Heading(2, "One configuration"), Explorer(data, note, answers)]


def _axes(found: Findings) -> list[dict[str, Any]]:
    """What can be filtered: belief, arm, and every setting that varies among the trained configurations."""
    trained = found.pooled.filter(~pl.col("arm").is_in(UNTRAINED_ARMS))
    axes: list[dict[str, Any]] = []
    for name, rows in (("belief", found.pooled), ("arm", found.pooled)):
        axes.append({"name": name, "label": name, "values": _texts(rows[name])})
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


def _points(found: Findings) -> list[dict[str, Any]]:
    lora = frontier(found.pooled)
    unbeaten = set(lora.filter("non_dominated")["trial_id"])
    names = varying(found.pooled.filter(~pl.col("arm").is_in(UNTRAINED_ARMS)))
    labels = arm_trials(found)
    points = []
    for row in found.pooled.iter_rows(named=True):
        trained = row["arm"] not in UNTRAINED_ARMS
        used = [name for name in names if row["arm"] != "full" or not name.startswith("lora.")]
        points.append(
            {
                "id": row["trial_id"],
                "trials": row["trial_ids"],
                "belief": row["belief"],
                "arm": row["arm"],
                "name": labels.get(row["trial_id"], ("", ""))[1],
                "unbeaten": row["trial_id"] in unbeaten,
                "text": setting_text(row, used) if trained else "no training",
                # texts to compare with the listed values, numbers to compare with ranges
                "settings": {
                    name: [setting_value(row[name]), row[name]] for name in used if row[name] is not None
                }
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
                "adoption": wording.rate(row, "adoption"),
                "damage": wording.damage(row),
                "numbers": [
                    [words, wording.rate(row, name)]
                    for name, words in NUMBERS.items()
                    if row.get(name) is not None
                ],
            }
        )
    return points


def trial_answers(found: Findings, cap: int = CAP) -> tuple[dict[str, str], int]:
    """trial_id -> its packed answers, as many trials as fit, and how many there are.

    The untrained arms come first, for every other trial is read beside them; then named trials, unbeaten
    ones, the rest.
    """
    untrained = found.pooled.filter(pl.col("arm").is_in(UNTRAINED_ARMS))
    order = untrained["trial_ids"].explode().drop_nulls().to_list() + list(arm_trials(found))
    order += frontier(found.pooled).filter("non_dominated")["trial_ids"].explode().drop_nulls().to_list()
    order += found.pooled["trial_ids"].explode().drop_nulls().to_list()
    there = set(found.probes["trial_id"]) if found.probes.height else set()
    trials = [trial_id for trial_id in dict.fromkeys(order) if trial_id in there]
    kept: dict[str, str] = {}
    used = 0
    for trial_id, rows in answers_of(found.run, trials[:MOST], marker_of(found.run)):
        text = packed(rows)
        if used + len(text) > cap:
            break
        used += len(text)
        kept[trial_id] = text
    return kept, len(trials)
