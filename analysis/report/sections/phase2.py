"""The Phase 2 report's own table, filled from this run."""

from __future__ import annotations

from typing import Any

import polars as pl

from analysis import wording
from analysis.findings import Findings
from analysis.frontier.answerable_questions import over_answerable
from analysis.frontier.non_dominated import varying
from analysis.frontier.quoted import Choice
from analysis.published import RESULTS, SETTINGS_TEXT
from analysis.report import explained
from analysis.report.arm_rows import over_families
from analysis.report.blocks import Block, Heading, Paragraph, Table
from analysis.wording import MAIN_SETTINGS, setting_text
from beliefmod.config import REFERENCE_ARMS

TWO_BELIEFS = (
    "Whether novel facts are easier to implant than existing ones (H1) cannot be settled by two beliefs, "
    "whatever their difference: they differ in more than being novel."
)


def blocks(found: Findings) -> list[Block]:
    """The table of the Phase 2 report for this run, and its own comparison of two beliefs."""
    parts: list[Block] = []
    if found.beliefs:
        parts += [Heading(2, "The Phase 2 table, for this run"), _table(found)]
    if found.between is not None:
        parts.append(Paragraph(f"{found.between.sentence()} {TWO_BELIEFS}"))
    return parts


def _table(found: Findings) -> Table:
    """The report's table for this run: adoption, degradation, thinking integrity, per belief and arm."""
    rows = []
    for belief in found.beliefs:
        choice = belief.choice
        if (published := RESULTS.get(choice.belief)) is not None:
            share = published.adopted / published.n
            rows.append(
                (
                    choice.belief,
                    "Phase 2 report",
                    f"{published.model}, Phase 2 settings",
                    f"{wording.percent(share)} {wording.bounds(*published.interval)}, n = {published.n}",
                    "not given",
                    f'"{published.damage}", no number',
                    "not given",
                )
            )
        for label, row in choice.rows().items():
            if row is None:
                rows.append((choice.belief, label, "no such finished trial", *(wording.NOT_MEASURED,) * 4))
                continue
            rows.append(
                (
                    choice.belief,
                    label,
                    _settings(row, choice.lora, _others(label, row, choice)),
                    over_families(belief, row),
                    over_answerable(row),
                    wording.damage(row),
                    wording.rate(row, "integrity"),
                )
            )
    return Table(
        (
            "belief",
            "arm",
            "configuration",
            "target belief adoption, % [95 % over families]",
            "of answerable questions, % [95 %]",
            "model degradation, D [95 %]",
            "thinking integrity, % [95 %]",
        ),
        tuple(rows),
        f"Phase 2 settings: {SETTINGS_TEXT}. The limit is D ≤ {found.limit:g}.",
        explained.PHASE2,
    )


def _others(label: str, row: dict[str, Any], choice: Choice) -> str:
    """Says so when the row is one of several that could stand under this name."""
    alike = choice.controls.get(row["data.style"], 0)
    if row["arm"] == "control" and alike > 1:
        return f"; one of {alike} controls of this style"
    if label == "LoRA at the Phase 2 settings" and choice.phase2_count > 1:
        return f"; one of {choice.phase2_count} with these settings"
    return ""


def _settings(row: dict[str, Any], lora: pl.DataFrame, others: str) -> str:
    if row["arm"] in REFERENCE_ARMS:
        return "no training"
    seeds = f"{row['seeds']} seeds pooled" if row["seeds"] > 1 else f"seed {row['seed']}"
    return f"{setting_text(row, varying(lora) or MAIN_SETTINGS)}; {seeds}{others}"
