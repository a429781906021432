"""The report's tables: Phase 2 table, frontier, failures, reproducibility."""

from __future__ import annotations

from typing import Any

import polars as pl

from analysis import wording
from analysis.findings import BeliefFindings, Findings
from analysis.frontier.constant_answers import Constant
from analysis.frontier.non_dominated import CONFIG, finished, varying
from analysis.frontier.quoted import Choice
from analysis.published import RESULTS, SETTINGS_TEXT
from analysis.report.blocks import Block, Paragraph, Table
from analysis.report.stopped import stopped_note
from analysis.wording import setting_text
from beliefmod.config import ADAPTER_ARMS, UNTRAINED_ARMS

LONGEST_FAILURES = 40


def headline_table(found: Findings) -> Table:
    """Adoption per arm, one row per belief; the Phase 2 table further down has the rest."""
    rows = []
    for belief in found.beliefs:
        named = belief.choice.rows()
        cells = [
            wording.rate(row, "adoption")
            + ("" if row is None or row["arm"] == "base" else _short_damage(row))
            for row in named.values()
        ]
        rows.append((belief.choice.belief, *cells, constant_text(belief.constant.get(None))))
    header = ("adoption, % [95 %]", "base", "LoRA at the Phase 2 settings", "in context", "control")
    return Table(
        (*header, f"best LoRA at D ≤ {found.limit:g}", "best constant answer"),
        tuple(rows),
        "Best constant answer: what always giving one and the same answer would adopt. An arm that does not "
        "beat it may have learned an answer, not a belief.",
    )


def constant_text(found: Constant | None) -> str:
    """`12 % (50 N)`, the baseline of luck."""
    if found is None:
        return wording.NOT_MEASURED
    return f"{wording.percent(found.share, found.n)} ({found.answer})"


def _short_damage(row: dict[str, Any]) -> str:
    return "; no D" if row["degradation"] is None else f"; D {row['degradation']:.3f}"


def phase2_table(found: Findings) -> Table:
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
                    f"{published.model}, {SETTINGS_TEXT}",
                    f"{wording.percent(share)} {wording.bounds(*published.interval)}, n = {published.n}",
                    "not given",
                    f'"{published.damage}", no number',
                    "not given",
                    "not given",
                )
            )
        for label, row in choice.rows().items():
            if row is None:
                rows.append((choice.belief, label, "no such finished trial", *(wording.NOT_MEASURED,) * 5))
                continue
            interval = belief.by_family.get(row["trial_id"])
            rows.append(
                (
                    choice.belief,
                    label,
                    _settings(row, choice.lora, _others(label, choice)),
                    wording.rate(row, "adoption"),
                    wording.bounds(*interval, row["adoption_n"]) if interval else wording.NOT_MEASURED,
                    wording.damage(row),
                    wording.rate(row, "integrity"),
                    wording.rate(row, "locality_near"),
                )
            )
    return Table(
        (
            "belief",
            "arm",
            "configuration",
            "target belief adoption, % [95 %]",
            "over families, 95 %",
            "model degradation, D [95 %]",
            "thinking integrity, % [95 %]",
            "neighbouring facts right, % [95 %]",
        ),
        tuple(rows),
        f"Phase 2 settings: {SETTINGS_TEXT}. The limit is D ≤ {found.limit:g}. Adoption, integrity and "
        "neighbouring facts (which D does not count): Wilson intervals. D: from the lower end of the "
        "component that sets it to the largest upper end of any component. Control: the same training on "
        "what the model already believes.",
    )


def _others(label: str, choice: Choice) -> str:
    """Says so when the row is one of several that could stand under this name."""
    if label == "Control" and choice.controls > 1:
        return f"; one of {choice.controls} controls"
    if label == "LoRA at the Phase 2 settings" and choice.phase2_count > 1:
        return f"; one of {choice.phase2_count} with these settings"
    return ""


def _settings(row: dict[str, Any], lora: pl.DataFrame, others: str) -> str:
    if row["arm"] in UNTRAINED_ARMS:
        return "no training"
    seeds = f"{row['seeds']} seeds pooled" if row["seeds"] > 1 else f"seed {row['seed']}"
    return f"{setting_text(row, varying(lora) or list(CONFIG[:4]))}; {seeds}{others}"


def frontier_table(belief: BeliefFindings, found: Findings) -> list[Block]:
    """The configurations that no other beats, least damage first, or a sentence why there is none."""
    rows, lora = belief.choice.on_frontier, belief.choice.lora
    if lora.is_empty():
        return [Paragraph("No LoRA configuration of this belief has finished, so there is no frontier.")]
    if rows.is_empty():
        return [
            Paragraph(
                "No finished configuration has both an adoption and a degradation, so there is no frontier."
            )
        ]
    names = varying(lora)
    table = []
    for row in rows.iter_rows(named=True):
        stays, interval = belief.stays.get(row["trial_id"]), belief.by_family.get(row["trial_id"])
        table.append(
            (
                setting_text(row, names),
                wording.rate(row, "adoption"),
                wording.bounds(*interval, row["adoption_n"]) if interval else wording.NOT_MEASURED,
                wording.damage(row),
                wording.rate(row, "integrity"),
                wording.rate(row, "locality_near"),
                wording.percent(stays) if stays is not None else wording.NOT_MEASURED,
                str(row["seeds"]),
                row["trial_id"],
            )
        )
    beaten = lora.filter(pl.col("adoption").is_null() | pl.col("degradation").is_null()).height
    caption = (
        f"The {wording.plural(rows.height, 'configuration')} of {lora.height} that no other beats: none "
        "adopts more at less or equal damage. Stays: the share of 2,000 redrawn question sets (families with "
        "replacement) in which it is still unbeaten. A low share says that its place is luck of the "
        "questions; a high one does not prove it, the redraws start from the answers that put it there."
    )
    if beaten:
        caption += f" {wording.plural(beaten, 'configuration')} without adoption or D left out."
    return [
        Table(
            (
                "configuration",
                "adoption, % [95 %]",
                "over families, 95 %",
                "degradation D [95 %]",
                "integrity, % [95 %]",
                "neighbours right, % [95 %]",
                "stays",
                "seeds",
                "trial",
            ),
            tuple(table),
            caption,
        )
    ]


def failures(found: Findings) -> list[Block]:
    """Every trial that is not finished, with its reason."""
    trials = found.run.trials
    rest = trials.filter(pl.col("status") != "finished").sort(
        "status", "belief", "arm", "trial_id", nulls_last=True
    )
    note = stopped_note(found.run)
    blank = finished(trials).filter(pl.col("adoption").is_null() | pl.col("degradation").is_null())
    blocks: list[Block] = [Paragraph(note)] if note else []
    if rest.is_empty():
        blocks.append(
            Paragraph(
                "None: every trial in the table has finished."
                if trials.height
                else "The trial table is empty."
            )
        )
    else:
        names = varying(trials.filter(pl.col("arm").is_in(["lora", "control"])))
        table = tuple(
            (
                row["status"],
                row["trial_id"],
                row["belief"],
                row["arm"],
                setting_text(row, names) if row["arm"] in ADAPTER_ARMS else "no training",
                "unknown" if row["seed"] is None else str(row["seed"]),
                row["error"]
                or (_ended_early(row) if row["status"] == "stopped" else "no reason was written"),
            )
            for row in rest.head(LONGEST_FAILURES).iter_rows(named=True)
        )
        more = rest.height - LONGEST_FAILURES
        blocks.append(
            Table(
                ("status", "trial", "belief", "arm", "configuration", "seed", "reason"),
                table,
                f"{more} more in trials.parquet."
                if more > 0
                else "They are in no rate, no interval and no picture.",
            )
        )
    if blank.height:
        blocks.append(
            Paragraph(
                f"{wording.plural(blank.height, 'finished trial')} without adoption or degradation, not "
                "drawn: " + ", ".join(blank["trial_id"].head(LONGEST_FAILURES)) + "."
            )
        )
    return blocks


def _ended_early(row: dict[str, Any]) -> str:
    after = f" after {row['steps']:,} steps" if row["steps"] is not None else ""
    return f"ended by the scheduler{after}"
