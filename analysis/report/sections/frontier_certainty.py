"""How sure the frontier is: its band, whom to take under the budget, and which adoption is beyond chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from analysis import wording
from analysis.findings import BeliefFindings, Findings
from analysis.frontier.against_base import against_base
from analysis.frontier.certainty import FEWEST, Certainty, Recommended, Span
from analysis.frontier.non_dominated import varying
from analysis.report import explained
from analysis.report.blocks import (
    Block,
    Bullets,
    CaptionedChart,
    Explained,
    Figure,
    Heading,
    Paragraph,
    table_of,
)
from analysis.report.charts.certainty import band_chart
from analysis.stats.resample import FEW, paired
from analysis.wording import setting_text

LONGEST = 15  # configurations listed against base
COMPONENT_WORDS = {"nll": "NLL on neutral text", "kl": "KL on neutral text"}


def blocks(found: Findings) -> list[Block]:
    """Per belief: the recommendation and how sure it is, the hypervolume, adjusted p-values against base."""
    beliefs = [belief for belief in found.beliefs if belief.choice.lora.height]
    if not beliefs:
        return []
    parts: list[Block] = [Heading(2, "How sure the frontier is")]
    if any(belief.certainty is not None for belief in beliefs):
        parts += [Paragraph(_method(beliefs)), Explained(explained.CERTAINTY), Figure("frontier-band")]
    for belief in beliefs:
        parts += [Heading(3, belief.choice.belief), *_belief(belief, found)]
    return parts


def figures(found: Findings) -> dict[str, CaptionedChart]:
    """The band of every belief that could be redrawn."""
    certain = {b.choice.belief: b.certainty for b in found.beliefs if b.certainty is not None}
    if not certain:
        return {}
    caption = "Best adoption among the LoRA configurations with D up to the value on the axis."
    return {"frontier-band": CaptionedChart(band_chart(certain, found.limit), caption)}


def _method(beliefs: list[BeliefFindings]) -> str:
    draws = max(b.certainty.draws for b in beliefs if b.certainty is not None)
    seeds = max(b.certainty.seeds[1] for b in beliefs if b.certainty is not None)
    return (
        f"{draws:,} redraws of the questions: how stable the choice is, not how probable it is that it is "
        "right."
        + ("" if seeds > 1 else " With one seed per configuration nothing covers what another would give.")
    )


def _belief(belief: BeliefFindings, found: Findings) -> list[Block]:
    sure = belief.certainty
    if sure is None:
        text = "Base's probe files or complete components of D are missing, so the frontier was not redrawn."
        return [Paragraph(text), *_against(belief, found)]
    lines = [_recommendation(belief, sure, found.limit), _volume(sure)]
    if sure.absent:
        names = ", ".join(COMPONENT_WORDS.get(name, name) for name in sure.absent)
        lines.append(f"Not measured in this run, so not in D here: {names}.")
    if sure.incomplete:
        lines.append(
            f"{wording.plural(sure.incomplete, 'configuration')} left out: a component of D that others "
            "have is missing there."
        )
    if FEWEST <= sure.families < FEW:
        lines.append(f"There are only {sure.families} question families, so these intervals are too narrow.")
    return [Bullets(tuple(lines)), *_against(belief, found)]


def _recommendation(belief: BeliefFindings, sure: Certainty, limit: float) -> str:
    lora, pick = belief.choice.lora, sure.pick
    if isinstance(pick, str):
        return pick
    row = lora.row(pick.row, named=True)
    text = (
        f"Highest adoption with D ≤ {limit:g}: {setting_text(row, varying(lora))} (trial {row['trial_id']}), "
        f"{wording.percent(pick.adoption.value)} {_span(pick.adoption)} at D {pick.damage.value:.3f} "
        f"[{pick.damage.low:.3f}, {pick.damage.high:.3f}] over redraws. It keeps the limit in "
        f"{wording.percent(pick.keeps)} of redraws and nobody under the limit is better in "
        f"{wording.percent(pick.best)}"
    )
    text += f"; {_rivals(pick)}."
    if pick.refusal is not None:
        text += f" Do not rely on it: {pick.refusal}"
    return text


def _rivals(pick: Recommended) -> str:
    if not pick.rivals:
        return "no other configuration is the best in 5 % of them"
    are = "is" if pick.rivals == 1 else "are"
    others = "one other" if pick.rivals == 1 else f"{pick.rivals} others"
    return f"{others} {are} the best in at least 5 % of them"


def _span(span: Span) -> str:
    return f"[{100 * span.low:.0f}, {100 * span.high:.0f}]"


def _volume(sure: Certainty) -> str:
    volume = sure.volume
    return (
        f"Hypervolume: {volume.value:.3f}, redraws [{volume.low:.3f}, {volume.high:.3f}]. "
        f"Question families that carry adoption: {sure.families}."
    )


def _against(belief: BeliefFindings, found: Findings) -> list[Block]:
    lora, base = belief.choice.lora, belief.choice.base
    if base is None:
        return [Paragraph("Without base's answers no configuration can be compared with it.")]
    table = against_base(found.probes, lora["trial_ids"].to_list(), base["trial_id"])
    tested = table.filter(pl.col("p").is_not_null())
    if tested.is_empty():
        return [Paragraph("No question was put both to a configuration and to base, so none was tested.")]
    shown = (
        lora.select("trial_id", "trial_ids", *varying(lora))
        .join(tested, on="trial_id")
        .sort("p", "difference", "trial_id", descending=[False, True, False])
    )
    holm, bh = (tested.filter(pl.col(name) < 0.05).height for name in ("holm", "bh"))
    several = bool((tested["seeds"] > 1).any())
    test = "sign flips of families (several seeds)" if several else "exact McNemar"
    caption = (
        f"All {wording.plural(tested.height, 'configuration')} against base on the same questions ({test}); "
        f"below 5 %: {holm} after Holm, {bh} after Benjamini-Hochberg. "
    )
    if tested.height > LONGEST:
        caption += f"The {LONGEST} with the smallest p."
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "configuration": lambda row: setting_text(row, varying(lora)),
        "difference, points": lambda row: f"{100 * row['difference']:+.0f}",
        "won / lost": lambda row: f"{row['won']:g} / {row['lost']:g}",
        "n": lambda row: str(row["n"]),
        "p": lambda row: p_text(row["p"]),
        "p, Holm": lambda row: p_text(row["holm"]),
        "p, BH": lambda row: p_text(row["bh"]),
        "smallest seen, points": lambda row: _smallest(row, found.probes, base["trial_id"], tested.height),
        "trial": lambda row: row["trial_id"],
    }
    rows = shown.head(LONGEST).iter_rows(named=True)
    return [table_of(rows, columns, caption.strip(), explained.AGAINST_BASE)]


def _smallest(row: dict[str, Any], probes: pl.DataFrame, base: str, tried: int) -> str:
    """The difference that a configuration would have been seen by, where it was not; else nothing."""
    if row["holm"] < 0.05:
        return ""
    found = paired(probes, row["trial_ids"], [base])
    return "" if found is None else f"{100 * found.picked_from(tried).smallest_seen:.0f}"


def p_text(p: float) -> str:
    """`< 0.001`, `0.012`, `0.34`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
