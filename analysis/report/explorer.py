"""What the page needs so that a reader can filter the configurations and open a trial's completions."""

from __future__ import annotations

from typing import Any

import polars as pl

from analysis.findings import Findings
from analysis.frontier.non_dominated import frontier
from analysis.report.arm_rows import arm_trials, told_interval
from analysis.report.blocks import Block, Explorer, Heading
from analysis.report.failure_classes import failure_classes
from analysis.report.first_screen import quoted
from analysis.report.points import axes_of, point_of, varying_settings
from analysis.report.trial_answers import answers_of, marker_of, packed
from beliefmod.config import REFERENCE_ARMS

CAP = 8_000_000
"""Characters of packed answers that one page holds."""
MOST = 200
"""Trials whose answers one page holds: every one of them is read again to mark the words that counted."""
LEFT_OUT = (
    " The page holds the answers of {kept} of {trials} trials, named and unbeaten ones first; "
    "beliefmod view RUN shows all, probes/TRIAL.parquet of the run folder has them."
)


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
        note += LEFT_OUT.format(kept=f"{len(answers):,}", trials=f"{trials:,}")
    first = next((row for row in map(quoted, found.beliefs) if row is not None), None)
    data = {
        "axes": axes_of(found.pooled),
        "points": _points(found),
        "first": first["trial_id"] if first is not None else None,
        "interval": "95 % over families",
        "classes": [kind.name for kind in failure_classes()],
    }
    return [Heading(2, "One configuration"), Explorer(data, note, answers)]


def _points(found: Findings) -> list[dict[str, Any]]:
    unbeaten = set(frontier(found.pooled).filter("non_dominated")["trial_id"])
    names = varying_settings(found.pooled)
    labels = arm_trials(found)
    beliefs = {belief.choice.belief: belief for belief in found.beliefs}
    return [
        point_of(
            row,
            names,
            row["trial_id"] in unbeaten,
            labels.get(row["trial_id"], ("", ""))[1],
            told_interval(beliefs.get(row["belief"]), row),
        )
        for row in found.pooled.iter_rows(named=True)
    ]


def trial_answers(found: Findings, cap: int = CAP) -> tuple[dict[str, str], int]:
    """trial_id -> its packed answers, as many trials as fit, and how many there are.

    The untrained arms come first, for every other trial is read beside them; then named trials, unbeaten
    ones, the rest.
    """
    untrained = found.pooled.filter(pl.col("arm").is_in(REFERENCE_ARMS))
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
