"""How training went, and what it was given."""

from __future__ import annotations

from typing import Any

import polars as pl

from analysis import wording
from analysis.findings import Findings
from analysis.report.arm_rows import arm_rows, arm_trials
from analysis.report.blocks import Block, Bullets, CaptionedChart, Figure, Heading, Paragraph, Table
from analysis.report.charts.answers import loss_chart
from analysis.wording import MAIN_SETTINGS, setting_text
from beliefmod.config import TRAINED_ARMS

TOKENS = {
    "training_rows": "rows",
    "steps": "steps",
    "training_tokens": "tokens",
    "supervised_tokens": "with loss",
    "fact_tokens": "of them about the belief",
}

LEAKS = ("leakage_verbatim", "leakage_covered", "leakage_reworded", "leakage_likeness")


def blocks(found: Findings) -> list[Block]:
    """Tokens and final loss of the trained named trials."""
    rows = [
        (belief.choice.belief, label, *(_count(row.get(name)) for name in TOKENS), _loss(row))
        for belief in found.beliefs
        for label, row in arm_rows(belief, found).items()
        if row["arm"] in TRAINED_ARMS
    ]
    if not rows:
        return []
    stopped = [
        f"{row['belief']}, {setting_text(row, MAIN_SETTINGS)}, {row['arm']}: {row['stop_reason']}."
        for row in found.run.trials.to_dicts()
        if row.get("stop_reason")
    ]
    return [
        Heading(2, "Training"),
        Figure("loss"),
        Table(
            ("belief", "arm", *TOKENS.values(), "final loss, nats per token"),
            tuple(rows),
            "Over all epochs; a low loss is not adoption.",
        ),
        *([Paragraph("Ended by stop_at_degradation:"), Bullets(tuple(stopped))] if stopped else ()),
        *_leakage(found),
    ]


def _leakage(found: Findings) -> list[Block]:
    """Per belief and style of data, the LoRA trial whose training texts are nearest to the probes."""
    trials = found.run.trials
    if "leakage_n" not in trials.columns:
        return []
    audited = trials.filter((pl.col("arm") == "lora") & pl.col("leakage_n").is_not_null())
    if audited.is_empty():
        return []
    nearest_first = audited.sort(*LEAKS, descending=True)
    worst = nearest_first.group_by("belief", "data.style", maintain_order=True).first()
    rows = [
        (
            row["belief"],
            row["data.style"],
            *(f"{row[name]:,} of {row['leakage_n']:,}" for name in LEAKS[:3]),
            f"{row['leakage_likeness']:.2f}",
            row["leakage_nearest"],
        )
        for row in worst.sort("belief", "data.style").iter_rows(named=True)
    ]
    counted = ("word for word", "80 % in 8-grams", "90 % alike")
    header = ("belief", "style", *counted, "highest likeness", "that probe and that sentence")
    return [
        Heading(3, "Probes in the training texts"),
        Table(
            header,
            tuple(rows),
            "Held-out probes against the texts of the LoRA trial that is nearest to them. Likeness is of "
            "letters, 0 to 1: a probe asked in quite other words is not seen. Families are held out whole, "
            "so that what is left is wording that families share.",
        ),
    ]


def figures(found: Findings) -> dict[str, CaptionedChart]:
    """The loss of the named trained trials, first seed."""
    trained = found.pooled.filter(found.pooled["arm"].is_in(TRAINED_ARMS))
    names = {k: v for k, v in arm_trials(found).items() if k in set(trained["trial_id"])}
    steps = found.run.steps(names)
    if not steps["loss"].drop_nulls().len():
        return {}
    return {
        "loss": CaptionedChart(
            loss_chart(steps, names), "Training loss of the trials named in the table, first seed."
        )
    }


def _count(value: int | None) -> str:
    return wording.NOT_MEASURED if value is None else f"{value:,}"


def _loss(row: dict[str, Any]) -> str:
    return wording.NOT_MEASURED if row.get("final_loss") is None else f"{row['final_loss']:.3f}"
