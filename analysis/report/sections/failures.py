"""How often each failure happens in each arm, and a few answers of the named trials."""

from __future__ import annotations

import polars as pl

from analysis.findings import Findings
from analysis.report import explained
from analysis.report.blocks import Block, Bullets, Heading, Paragraph, Table
from analysis.report.failure_classes import FailureClass, failure_classes
from analysis.report.samples import sample_blocks

ARMS = {
    "lora": "LoRA",
    "full": "full fine-tuning",
    "control": "control",
    "icl": "in context",
    "prompt": "prompt",
    "few_shot": "few-shot",
    "steering": "steering",
    "adapter": "saved adapter",
    "base": "base",
}


def blocks(found: Findings) -> list[Block]:
    """Counts per class and arm, then a few answers of the named trials."""
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
        _counts(asked, classes),
        *_never(asked, classes),
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
        if any(by_arm[arm][f"k{i}"] for arm in arms)
    )
    return Table(("class", "what it is", *(ARMS[arm] for arm in arms)), rows, explained=explained.FAILURES)


def _never(asked: pl.DataFrame, classes: tuple[FailureClass, ...]) -> list[Block]:
    """The classes that no completion is of."""
    names = [kind.name for kind in classes if not asked.select((kind.asked & kind.rule).any()).item()]
    return [Bullets((f"Never occurred in this run: {', '.join(names)}.",))] if names else []
