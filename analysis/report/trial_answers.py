"""All answers of a trial as the page's browser reads them."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator, Sequence
from typing import Any

from analysis.report.blocks import visible
from analysis.report.failure_classes import failure_classes
from analysis.report.page import embedded_json
from analysis.report.scorer_marks import Marker
from beliefmod.errors import UserError
from beliefmod.run.read_run import Run
from beliefmod.run.sources import Sources, read_sources

LONGEST = 8000
"""Characters of one text that the page holds; the parquet file has all of them."""
COLUMNS = (
    *("trial_id", "arm", "belief", "suite", "tier", "probe_id", "question", "first_turn", "prompt"),
    *("completion", "thinking", "answer", "target", "prior", "answer_stance", "thinking_stance"),
    *("think_state", "loop", "truncated", "inconsistent", "fabricated", "bleed", "salient", "tokens"),
)
SHOWN = ("suite", "tier", "probe_id", "question", "first_turn", "prompt", "completion", "thinking", "answer")
SHOWN += ("target", "prior", "answer_stance", "thinking_stance", "think_state", "tokens")


def marker_of(run: Run) -> Marker:
    """What marks a run's answers; one that marks nothing where the run's own questions cannot be read."""
    try:
        return Marker(read_sources(run.folder))
    except (UserError, OSError):
        return Marker(Sources({}, (), {}, ()))


def answers_of(
    run: Run, trial_ids: Sequence[str], marker: Marker
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """trial_id and its answers, by suite, tier and question; trials without a probe file are left out.

    An answer has the columns of SHOWN, the names of its failure classes, and the scorer's marks in `marks`.
    """
    classes = failure_classes()
    named = [(kind.asked & kind.rule).fill_null(False).alias(f"class {i}") for i, kind in enumerate(classes)]
    for trial_id in trial_ids:
        table = run.probes([trial_id], COLUMNS).with_columns(named)
        if table.is_empty():
            continue
        rows = []
        for row in table.sort("suite", "tier", "probe_id", nulls_last=True).iter_rows(named=True):
            shown: dict[str, Any] = {name: _cut(row[name]) for name in SHOWN if row[name] is not None}
            shown["classes"] = [kind.name for i, kind in enumerate(classes) if row[f"class {i}"]]
            shown["marks"] = _inside(marker.marks(row), shown)
            rows.append(shown)
        yield trial_id, rows


def packed(rows: list[dict[str, Any]]) -> str:
    """Answers as base64 of gzip of JSON; the same bytes for the same answers."""
    return base64.b64encode(gzip.compress(embedded_json(rows).encode(errors="replace"), 9, mtime=0)).decode()


def _inside(marks: dict[str, list[Any]], shown: dict[str, Any]) -> dict[str, list[Any]]:
    """The marks that lie in what is shown, of texts that hold no hidden characters."""
    return {
        name: [mark for mark in found if mark[1] <= LONGEST]
        for name, found in marks.items()
        if name in shown and visible(shown[name]) == shown[name]
    }


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST:
        return f"{value[:LONGEST]}\n[... {len(value) - LONGEST:,} of {len(value):,} characters left out ...]"
    return value
