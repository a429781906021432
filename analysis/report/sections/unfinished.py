"""Trials that gave no number: failed, ended early, or not measured; never passed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis import wording
from analysis.findings import Findings
from analysis.frontier.non_dominated import CONFIG, finished, planned, varying
from analysis.report.blocks import Block, Heading, Paragraph, table_of
from analysis.wording import setting_text
from beliefmod.config import ADAPTER_ARMS
from beliefmod.run.read_run import Run
from beliefmod.space.search import spelled_out

LONGEST_FAILURES = 40
NOT_FINISHED = {"failed": "failed", "stopped": "ended early"}
NOWHERE = "They are in no rate, no interval and no picture."


def blocks(found: Findings) -> list[Block]:
    """Every trial that is not finished, with its reason."""
    trials = found.run.trials
    rest = trials.filter(pl.col("status") != "finished").sort(
        "status", "belief", "arm", "trial_id", nulls_last=True
    )
    note = stopped_note(found.run)
    blank = finished(trials).filter(pl.col("adoption").is_null() | pl.col("degradation").is_null())
    parts: list[Block] = [Heading(2, "Trials that gave no number")]
    parts += [Paragraph(f"{counted(found.run)}.")] if rest.height or left_of(found.run) else []
    parts += [Paragraph(note)] if note else []
    if rest.is_empty():
        parts.append(
            Paragraph(
                f"None: all {wording.plural(trials.height, 'planned trial')} in the table have finished."
                if trials.height and not found.added.is_empty()
                else f"None: all {wording.plural(trials.height, 'trial')} in the table have finished."
                if trials.height
                else "The trial table is empty."
            )
        )
    else:
        names = varying(trials.filter(pl.col("arm").is_in(["lora", "control"])))
        more = rest.height - LONGEST_FAILURES
        parts.append(
            table_of(
                rest.head(LONGEST_FAILURES).iter_rows(named=True),
                {
                    "status": lambda row: row["status"],
                    "trial": lambda row: row["trial_id"],
                    "belief": lambda row: row["belief"],
                    "arm": lambda row: row["arm"],
                    "configuration": lambda row: (
                        setting_text(row, names) if row["arm"] in ADAPTER_ARMS else "no training"
                    ),
                    "seed": lambda row: "unknown" if row["seed"] is None else str(row["seed"]),
                    "reason": reason,
                },
                (f"{more} more in trials.parquet. " if more > 0 else "") + NOWHERE,
            )
        )
    if blank.height:
        parts.append(
            Paragraph(
                f"{wording.plural(blank.height, 'finished trial')} without adoption or degradation, not "
                "drawn: " + ", ".join(blank["trial_id"].head(LONGEST_FAILURES)) + "."
            )
        )
    return parts


def counted(run: Run) -> str:
    """`12 trials finished, 4 ended early, 3 of 19 not done yet`."""
    counts = {
        name: run.trials.filter(pl.col("status") == name).height for name in ("finished", *NOT_FINISHED)
    }
    parts = [wording.plural(counts["finished"], "trial") + " finished"]
    parts += [f"{counts[name]} {word}" for name, word in NOT_FINISHED.items() if counts[name]]
    if left := left_of(run):
        parts.append(f"{left} of {left + run.trials.height} not done yet")
    return ", ".join(parts)


def left_of(run: Run) -> int:
    """Planned trials that the table does not have yet; 0 where nothing says how many were planned."""
    trials: Any = run.manifest.get("trials")
    if not isinstance(trials, Mapping) or not isinstance(trials.get("total"), int):
        return 0
    return max(0, trials["total"] - trials.get("added", 0) - planned(run.trials).height)


def reason(row: dict[str, Any]) -> str:
    """Why a trial gave no number."""
    if row["error"] or row["status"] != "stopped":
        return row["error"] or "no reason was written"
    by_hand = row["by_hand"]
    after = f" after {row['steps']:,} steps" if row["steps"] is not None else ""
    return f"{by_hand or 'ended by the scheduler'}{after}"


def stopped_note(run: Run) -> str | None:
    """How many were ended, by which rule, and what that does to the numbers; None where none was."""
    stopped = run.trials.filter((pl.col("status") == "stopped") & pl.col("by_hand").is_null())
    if stopped.is_empty():
        return None
    steps = stopped["steps"].drop_nulls()
    after = f", after {steps.min():,} to {steps.max():,} steps" if steps.len() else ""
    count = wording.plural(stopped.height, "trial")
    text = (
        f"{count} ended early by the scheduler{_rule(run.manifest)}{after}: without adoption and D, so in no "
        "rate, no interval and no picture. What would have become of them is not known; the frontier is one "
        "of trials that kept up with the others."
    )
    key = ["arm", "belief", *CONFIG]
    done = run.trials.filter(pl.col("status") == "finished")
    if parted := done.join(stopped, on=key, how="semi", nulls_equal=True).unique(key).height:
        text += (
            f" Of {wording.plural(parted, 'configuration')} some seeds were ended and others finished: those "
            "numbers are of the seeds that did better early on, and flatter."
        )
    return text


def _rule(manifest: Mapping[str, Any]) -> str:
    space: Any = manifest.get("space")
    scheduler = spelled_out(space)["scheduler"] if isinstance(space, Mapping) else {}
    metric = scheduler.get("metric", {"name": "loss"})
    return "" if scheduler.get("name", "none") == "none" else f" ({scheduler['name']}, by {metric['name']})"
