"""Where the numbers come from: command, versions, commit, model, seeds, settings that all trials share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis.charts.theme import short
from analysis.document import Block, Bullets
from analysis.findings import Findings
from analysis.frontier import CONFIG, varying


def reproducibility(found: Findings) -> list[Block]:
    """Command, versions, commit, model and seeds as the manifest has them; what it lacks is named."""
    manifest = found.run.manifest
    items, missing = [], []
    for name in (
        "command",
        "started_at",
        "wall_seconds",
        "git_commit",
        "model",
        "seeds",
        "versions",
        "hardware",
        "status",
    ):
        value = manifest.get(name)
        if value in (None, {}, [], ""):
            missing.append(name)
        else:
            items.append(f"{_LABELS.get(name, name)}: {value_text(value)}")
    if missing:
        items.append(f"Not in manifest.json: {', '.join(missing)}.")
    fixed = [name for name in CONFIG if name not in varying(found.run.trials.filter(pl.col("arm") == "lora"))]
    trained = found.run.trials.filter(pl.col("arm") == "lora")
    if trained.height:
        row = trained.row(0, named=True)
        items.append(
            "Same for all LoRA trials: "
            + ", ".join(f"{short(name)} {value_text(row[name])}" for name in fixed)
            + "."
        )
    return [Bullets(tuple(items))]


_LABELS = {
    "command": "Command",
    "started_at": "Started",
    "wall_seconds": "Wall time, s",
    "git_commit": "Commit",
    "model": "Model",
    "seeds": "Seeds",
    "versions": "Versions",
    "hardware": "Hardware",
    "status": "Status",
}


def value_text(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {value_text(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(value_text(inner) for inner in value)
    return value if isinstance(value, str) else json.dumps(value)
