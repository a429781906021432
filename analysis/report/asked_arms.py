"""What was measured of the named arms on questions that they were asked again, for sections of the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import polars as pl

from analysis.findings import Findings
from analysis.report.arm_rows import Row, arm_rows
from analysis.report.blocks import Block, Heading, Paragraph
from analysis.studies.mismatch import NO_THINKING, thinks

Measured = TypeVar("Measured")


def asked_arms(
    found: Findings, columns: Sequence[str], measure: Callable[[pl.DataFrame, Sequence[str]], Measured | None]
) -> dict[str, dict[str, tuple[Row, Measured]]]:
    """Belief -> label -> row and what was measured, of the arms of which there is anything.

    Args:
        columns: of the table of causal tests, what `measure` reads.
        measure: from that table and the trials of an arm's seeds; nothing where they were not asked.
    """
    named = {belief.choice.belief: arm_rows(belief, found) for belief in found.beliefs}
    trials = [trial for rows in named.values() for row in rows.values() for trial in row["trial_ids"]]
    causal = found.run.causal(trials, columns)
    told: dict[str, dict[str, tuple[Row, Measured]]] = {}
    for belief, rows in named.items():
        for label, row in rows.items():
            if measured := measure(causal, row["trial_ids"]):
                told.setdefault(belief, {})[label] = (row, measured)
    return told


def without_thinking(found: Findings, setting: str, heading: Heading, what: str) -> list[Block]:
    """Why there is nothing, of a model without thinking whose space asks for it; else no section.

    Args:
        setting: of the evaluation, which asks for it. what: `The thinking is not sampled anew`.
    """
    if thinks(found.probes) or not found.evaluation(setting):
        return []
    return [heading, Paragraph(f"{what}: {NO_THINKING}.")]
