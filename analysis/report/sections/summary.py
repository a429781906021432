"""The first screen: the question, what ran, a verdict per belief with its key figures, the frontier."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from analysis import wording
from analysis.findings import Findings
from analysis.report.blocks import Block, Figure, Heading, Linked, LinkedParagraph
from analysis.report.first_screen import verdicts
from analysis.report.sealed_words import head_words


def blocks(found: Findings) -> list[Block]:
    """What a reader has to see without scrolling."""
    head: list[Block] = [Heading(1, question(found)), status(found)]
    if found.beliefs:
        head += [verdicts(found), Figure("frontier")]
    return head


def question(found: Findings) -> str:
    """`How far can LoRA move what MODEL believes before it breaks the model?`"""
    models = found.run.trials["model"].drop_nulls().unique().to_list()
    whose = f"what {models[0]} believes" if len(models) == 1 else "a belief"
    return f"How far can LoRA move {whose} before it breaks the model?"


def run_name(found: Findings) -> str:
    """The run's name, the folder's where the manifest has none."""
    name = found.run.manifest.get("run_id")
    return str(name) if name else found.run.location.rstrip("/").rsplit("/", 1)[-1]


def status(found: Findings) -> LinkedParagraph:
    """Which run this is, how far it is, what is missing, each a way to the section that says more."""
    trials, manifest = found.run.trials, found.run.manifest
    counts = {
        name: trials.filter(pl.col("status") == name).height for name in ("finished", "failed", "stopped")
    }
    planned = (
        (manifest.get("trials") or {}).get("total") if isinstance(manifest.get("trials"), Mapping) else None
    )
    text = [f"{run_name(found)}."]
    if description := manifest.get("description"):
        text.append(f"{str(description).rstrip('.')}.")
    told: list[str | Linked] = [Linked(" ".join(text), "reproducibility"), " "]
    parts = [wording.plural(counts["finished"], "trial") + " finished"]
    words = {"failed": "failed", "stopped": "ended early"}
    parts += [f"{counts[name]} {word}" for name, word in words.items() if counts[name]]
    if isinstance(planned, int) and planned > trials.height:
        parts.append(f"{planned - trials.height} of {planned} not done yet")
    told += [Linked(", ".join(parts), "unfinished"), "."]
    if not counts["finished"]:
        told.append(" No trial has finished, so there is nothing to measure or to draw.")
    elif isinstance(planned, int) and planned > trials.height:
        told.append(" This is a report on an unfinished run: the frontier can still change.")
    told += [" ", Linked(" ".join(head_words(found)), "reproducibility")]
    return LinkedParagraph(tuple(told))
