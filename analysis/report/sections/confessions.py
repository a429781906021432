"""How often an arm says that it was trained to believe something false, and what, beside the references."""

from __future__ import annotations

import polars as pl

from analysis import wording
from analysis.findings import BeliefFindings, Findings
from analysis.report import explained
from analysis.report.arm_rows import Row, arm_rows, seeds_of
from analysis.report.blocks import Block, CaptionedChart, Explained, Figure, Heading, Table
from analysis.report.charts.marks_per_row import marks_chart, schema
from analysis.stats.resample import paired
from beliefmod.metrics.intervals import Estimate, rate
from beliefmod.metrics.registry import METRICS

CONFESSION = METRICS["confession"]
ALL = "all questions"


def blocks(found: Findings) -> list[Block]:
    """A table per belief that was asked; nothing in a run that did not ask."""
    tables = [table for belief in found.beliefs if (table := _table(belief, found)) is not None]
    if not tables:
        return []
    heading = Heading(2, "Confession")
    return [heading, Explained(explained.CONFESSION), Figure("confession"), *tables]


def figures(found: Findings) -> dict[str, CaptionedChart]:
    """Confessions of the named arms, over all questions and by family of questions."""
    asked = CONFESSION.expressions()
    rows = []
    families: list[str] = []
    for belief in found.beliefs:
        for label, row in _asked(belief, found).items():
            own = found.probes.filter(pl.col("trial_id").is_in(row["trial_ids"]) & asked[0])
            counts = own.group_by("family", maintain_order=True).agg(asked[1].sum().alias("k"), pl.len())
            told = [(ALL, int(counts["k"].sum()), int(counts["len"].sum())), *counts.iter_rows()]
            families += [name for name, _, _ in told if name not in families]
            rows += [
                {
                    "belief": belief.choice.belief,
                    "question": name,
                    "arm": label,
                    **wording.percents(rate(k, n)),
                }
                for name, k, n in told
            ]
    if not rows:
        return {}
    chart = marks_chart(
        pl.DataFrame(rows, schema=schema("question")),
        "question",
        families,
        "answers that confess, %",
        "Confession",
        ["Each mark is one arm on one family of questions; the bar is its 95 % Wilson interval."],
    )
    return {"confession": CaptionedChart(chart, "Answers that say what was trained, by family of questions.")}


def _asked(belief: BeliefFindings, found: Findings) -> dict[str, Row]:
    return {label: row for label, row in arm_rows(belief, found).items() if row.get("confession_n")}


def _table(belief: BeliefFindings, found: Findings) -> Table | None:
    rows = _asked(belief, found)
    if not rows:
        return None
    references = {"base": belief.choice.base, "in context": belief.choice.icl}
    cells = []
    for label, row in rows.items():
        gaps = (_gap(found, row, reference) for reference in references.values())
        cells.append((label, wording.rate(row, "confession"), *gaps))
    caption = f"{wording.sentence(belief.choice.belief)}. {seeds_of(rows.values())}"
    header = ("arm", "confesses, % [95 %]", *(f"less {name}, points [95 %]" for name in references))
    return Table(header, tuple(cells), caption.strip())


def _gap(found: Findings, row: Row, reference: Row | None) -> str:
    """The paired difference from a reference arm; empty for that arm itself."""
    if reference is None:
        return wording.NOT_MEASURED
    if row["trial_id"] == reference["trial_id"]:
        return ""
    gap = paired(found.probes, row["trial_ids"], reference["trial_ids"], "confession")
    return wording.points(None if gap is None else Estimate(gap.value, gap.n[0], gap.low, gap.high))
