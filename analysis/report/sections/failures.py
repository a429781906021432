"""How often each failure happens in each arm, and one example of every class with its raw text."""

from __future__ import annotations

import polars as pl

from analysis.findings import Findings
from analysis.report.blocks import Block, Bullets, Heading, Paragraph, Table
from analysis.report.failure_classes import FailureClass, failure_classes
from analysis.report.samples import TEXTS, sample, sample_blocks
from beliefmod.config import TRAINED_ARMS

ARMS = {
    "lora": "LoRA",
    "full": "full fine-tuning",
    "control": "control",
    "icl": "in context",
    "base": "base",
}


def blocks(found: Findings) -> list[Block]:
    """Counts per class and arm, the first example of every class, then a few answers of the named trials."""
    if found.probes.is_empty():
        return [
            Heading(2, "Raw completions"),
            Paragraph("No probe file is there, so no completion is shown."),
        ]
    asked = found.probes.filter((pl.col("tier") != "trained") | pl.col("tier").is_null())
    # of a model that does not think no think block is looked at
    classes = tuple(kind for kind in failure_classes() if asked.select(kind.asked.any()).item())
    return [
        Heading(2, "Raw completions"),
        Heading(3, "Every failure class"),
        Paragraph(
            "Picked by rule, not by eye: of each class the first completion by probe name, then by trial, "
            "among the trained arms (LoRA, full fine-tuning, control); only where these have none, among all "
            "others. A completion may be in several classes."
        ),
        _counts(asked, classes),
        *_examples(found, asked, classes),
        *_named(found),
    ]


def _named(found: Findings) -> list[Block]:
    blocks = sample_blocks(found)
    return [Heading(3, "Answers of the named trials"), *blocks] if blocks else []


def _counts(asked: pl.DataFrame, classes: tuple[FailureClass, ...]) -> Table:
    arms = [arm for arm in ARMS if arm in set(asked["arm"])]
    sums = asked.group_by("arm").agg(
        *(kind.rule.fill_null(False).and_(kind.asked.fill_null(False)).sum().alias(f"k{i}") for i, kind in
          enumerate(classes)),
        *(kind.asked.fill_null(False).sum().alias(f"n{i}") for i, kind in enumerate(classes)),
    )  # fmt: skip
    by_arm = {row["arm"]: row for row in sums.iter_rows(named=True)}
    rows = tuple(
        (
            kind.name,
            kind.meaning,
            *(f"{by_arm[arm][f'k{i}']:,} of {by_arm[arm][f'n{i}']:,}" for arm in arms),
        )
        for i, kind in enumerate(classes)
    )
    return Table(
        ("class", "what it is", *(ARMS[arm] for arm in arms)),
        rows,
        "Completions of all finished trials together, good and bad configurations alike: counts to judge "
        "the detectors by, not rates to quote.",
    )


def _examples(found: Findings, asked: pl.DataFrame, classes: tuple[FailureClass, ...]) -> list[Block]:
    order = [~pl.col("arm").is_in(TRAINED_ARMS), "probe_id", "trial_id"]
    first = {
        kind.name: asked.filter(kind.asked & kind.rule).sort(order).head(1).to_dicts() for kind in classes
    }
    picked = [rows[0] for rows in first.values() if rows]
    texts = {}
    for trial_id in dict.fromkeys(row["trial_id"] for row in picked):
        wanted = [row["probe_id"] for row in picked if row["trial_id"] == trial_id]
        table = found.run.probes([trial_id], ("trial_id", "probe_id", "suite", "tier", *TEXTS))
        for row in table.filter(pl.col("probe_id").is_in(wanted)).iter_rows(named=True):
            texts[row["trial_id"], row["probe_id"], row["tier"]] = row
    blocks: list[Block] = []
    never = []
    for kind in classes:
        if not first[kind.name]:
            never.append(kind.name)
            continue
        [row] = first[kind.name]
        blocks.append(
            sample(
                f"{kind.name} ({kind.meaning})", row | texts[row["trial_id"], row["probe_id"], row["tier"]]
            )
        )
    if never:
        blocks.append(Bullets((f"Never occurred in this run: {', '.join(never)}.",)))
    return blocks
