"""Where the numbers come from: command, versions, commit, model, seeds, hashes, and how to check them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis import wording
from analysis.findings import Findings
from analysis.fingerprints import completions_hash, ids_hash, source_hashes
from analysis.frontier.non_dominated import CONFIG, finished, varying
from analysis.report.blocks import Block, Bullets, Heading, Paragraph, Table
from analysis.report.sealed_words import seal_items
from analysis.wording import setting_name
from beliefmod.metrics.intervals import wilson
from beliefmod.reading.measured_error import measured_error

LABELS = {
    "command": "Command",
    "started_at": "Started",
    "wall_seconds": "Wall time, s",
    "git_commit": "Commit",
    "model": "Model",
    "seeds": "Seeds",
    "self_tests": "Self-tests",
    "versions": "Versions",
    "hardware": "Hardware",
    "status": "Status",
    "rescored": "Answers read again later",
}
SELDOM = ("rescored",)
"""Entries of the manifest that most runs have no use for, so that they are not missed."""


def blocks(found: Findings) -> list[Block]:
    """Command, versions, commit, model and seeds as the manifest has them, what it lacks, and the hashes."""
    manifest = found.run.manifest
    items, missing = [], []
    for name, label in LABELS.items():
        value = manifest.get(name)
        if value in (None, {}, [], ""):
            missing += [] if name in SELDOM else [name]
        else:
            items.append(f"{label}: {value_text(value)}")
    items += seal_items(found)
    if missing:
        items.append(f"Not in manifest.json: {', '.join(missing)}.")
    lora = found.run.trials.filter(pl.col("arm") == "lora")
    if lora.height:
        row = lora.row(0, named=True)
        # a run from before a setting has no value of it
        fixed = [name for name in CONFIG if name not in varying(lora) and row[name] is not None]
        items.append(
            "Same for all LoRA trials: "
            + ", ".join(f"{setting_name(name)} {value_text(row[name])}" for name in fixed)
            + "."
        )
    return [
        Heading(2, "Reproducing this"),
        Bullets(tuple(items)),
        *_hashes(found),
        Paragraph(_check(found)),
        *reading_error(),
    ]


def reading_error() -> list[Block]:
    """How often the scorer misreads real models, as measured on completions labelled by hand."""
    figures = measured_error()
    if not figures:
        return []

    def share(name: str) -> str:
        hits, n = figures[name]
        low, high = wilson(hits, n)
        return f"{wording.percent(hits / n, n)} {wording.bounds(low, high, n)}, n = {n}"

    parts = [f"{share('answer')} of the answers as labelled"]
    if figures["thinking"][1]:
        parts.append(f"{share('thinking')} of the thinking")
    parts.append(f"{share('false_adoption')} of the answers that are not the target as the target")
    return [
        Paragraph(
            "Answers are read by rules. On completions of real models, labelled by hand, that the rules were "
            "not made on, they read " + ", ".join(parts) + "."
        )
    ]


def _hashes(found: Findings) -> list[Block]:
    done = finished(found.run.trials)["trial_id"].to_list()
    if not done:
        return []
    rows = [*source_hashes(found.run).items()]
    rows.append((f"ids of the {len(done):,} finished trials", ids_hash(done)))
    if not found.probes.is_empty():
        digest, total = completions_hash(found.run, done)
        rows.append((f"{total:,} raw completions of the finished trials", digest))
    return [
        Table(
            ("what", "sha256"),
            tuple(rows),
            "Every number follows from these and from the log-probabilities, losses and drift sums that the "
            "model gave.",
        )
    ]


def _check(found: Findings) -> str:
    name = found.run.manifest.get("run_id") or "RUN"
    return (
        f"beliefmod verify runs/{name} checks every number on this page against the raw completions. The "
        "command and commit above run the sweep again; the same settings have the same trial ids."
    )


def value_text(value: Any) -> str:
    """A manifest's value in words; what is null is unknown."""
    if value is None:
        return "unknown"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {value_text(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(value_text(inner) for inner in value)
    return value if isinstance(value, str) else json.dumps(value)
