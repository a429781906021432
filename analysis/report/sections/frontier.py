"""Adoption against damage: the picture, who is not beaten, and what the comparisons carry."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import polars as pl

from analysis import wording
from analysis.findings import BeliefFindings, Findings
from analysis.frontier.answerable_questions import over_answerable
from analysis.frontier.non_dominated import frontier, varying
from analysis.published import RESULTS, SETTINGS_TEXT
from analysis.report import explained
from analysis.report.arm_rows import over_families
from analysis.report.blocks import (
    Block,
    Bullets,
    CaptionedChart,
    Explained,
    Heading,
    Paragraph,
    file_name,
    table_of,
)
from analysis.report.charts.frontier import frontier_chart
from analysis.report.charts.heat_map import has_grid, heat_map
from analysis.studies.headline import headline
from analysis.studies.matched import style_gaps
from analysis.wording import setting_text

ON_THE_PAGE = " Point at a mark for its configuration, click it for its completions."
"""What the figure's caption says that is of no use on paper."""
HARDLY = 0.5
"""Below so large a share, by the upper end of its interval, base cannot be seen to lose a fact."""


def blocks(found: Findings) -> list[Block]:
    """Per belief the comparisons and the configurations that no other beats."""
    if not found.beliefs:
        return []
    parts: list[Block] = [
        Heading(2, "Frontier"),
        Explained(f"{explained.FRONTIER_FIGURE} {explained.STYLE_GAPS} {explained.HEAT_MAP}"),
    ]
    for belief in found.beliefs:
        parts += _belief(belief, found)
    return parts


def figures(found: Findings) -> dict[str, CaptionedChart]:
    """The frontier, and one heat map of the settings per belief that has a grid."""
    lora = frontier(found.pooled)
    drawn: dict[str, CaptionedChart] = {}
    if (picture := frontier_picture(found.pooled, found.limit)) is not None:
        drawn["frontier"] = CaptionedChart(picture, _caption(found))
    for belief in sorted(lora["belief"].unique()):
        part = lora.filter((pl.col("belief") == belief) & pl.col("adoption").is_not_null())
        if part.height and has_grid(part):
            drawn[f"settings-{file_name(belief)}"] = CaptionedChart(
                heat_map(lora, belief),
                f"{belief}: adoption over the settings.",
            )
    return drawn


def frontier_picture(pooled: pl.DataFrame, limit: float) -> Any:
    """The altair chart of adoption against damage; None where no LoRA configuration has both.

    Args:
        pooled: one row per arm, belief and configuration (`pool_seeds`).
        limit: the damage at which "best under the limit" is read.
    """
    lora = frontier(pooled)
    if lora.filter(pl.col("adoption").is_not_null() & pl.col("degradation").is_not_null()).is_empty():
        return None
    return frontier_chart(lora, pooled.filter(pl.col("arm") != "lora"), limit)


def _caption(found: Findings) -> str:
    text = f"Adoption against damage D; black: the arms that they are read beside.{ON_THE_PAGE}"
    if any(belief.choice.belief in RESULTS for belief in found.beliefs):
        text += " Grey: the Phase 2 report's six prompts of another model, without a D."
    return text


def _belief(belief: BeliefFindings, found: Findings) -> list[Block]:
    choice = belief.choice
    blocks: list[Block] = [Heading(3, choice.belief)]
    told = _beside(belief)
    told += [c.sentence() for c in belief.comparisons]
    told += _published_note(belief, found)
    told += [
        f"Thinking integrity: {gap.first} is above {gap.second} in {gap.higher} of "
        f"{wording.plural(gap.pairs, 'pair')} of configurations that differ in nothing else, median "
        f"{100 * gap.median:+.1f} points (from {100 * gap.low:+.1f} to {100 * gap.high:+.1f}): no test."
        for gap in style_gaps(choice.lora)
    ]
    if (picked := belief.picked) is not None:
        first = headline(belief, [])
        corrected = (
            f" Corrected for that, the best adopts on {first.number}; as measured {first.measured}."
            if first is not None and first.measured
            else ""
        )
        told.append(
            f"What picking costs: the best at D ≤ {found.limit:g} on a random half of the families promises "
            f"{wording.percent(picked.promised)} and shows {wording.percent(picked.shown)} at D "
            f"{picked.shown_damage:.3f} on the other, where {wording.percent(picked.broke_limit)} of "
            f"{picked.splits} break the limit (same seeds).{corrected}"
        )
    if belief.families and belief.families < 10:
        told.append(
            f"Only {belief.families} question families: intervals over families are themselves too narrow "
            "below about 10."
        )
    if told:
        blocks.append(Bullets(tuple(told)))
    blocks += _table(belief, found)
    return blocks


def _beside(belief: BeliefFindings) -> list[str]:
    """What stands beside the best's adoption: answerable questions, neighbours, and who spares those."""
    choice, best = belief.choice, belief.choice.best
    if best is None:
        return []
    told = []
    if (counted := belief.answerable.get(None)) is not None:
        told.append(
            f"The best under the limit, of the answerable questions: {over_answerable(best)}."
            if counted.enough
            else f"{wording.sentence(counted.sentence())}."
        )
    if best.get("locality_near") is not None:
        text = (
            f"Neighbouring facts, which D does not count, are right in {wording.rate(best, 'locality_near')} "
            f"(base {wording.rate(choice.base, 'locality_near')})."
        )
        if ((choice.base or {}).get("locality_near_high") or 1.0) < HARDLY:
            text += " Base itself can hardly do them, so they say nothing of this model."
        told.append(text)
    if (gentler := choice.gentler) is not None:
        told.append(
            f"Hardly less adoption, {wording.rate(gentler, 'adoption')}, comes with "
            f"{wording.rate(gentler, 'locality_near')} of the neighbours right and {wording.damage(gentler)} "
            f"({setting_text(gentler, varying(choice.lora))})."
        )
    return told


def _published_note(belief: BeliefFindings, found: Findings) -> list[str]:
    published, row = RESULTS.get(belief.choice.belief), belief.choice.phase2
    if published is None:
        return []
    low, high = published.interval
    quoted = (
        f"The Phase 2 report had {published.adopted} of {published.n} ({wording.bounds(low, high)} %) on "
        f"{published.model}, the damage {published.damage} without a number."
    )
    if row is None:
        return [
            f"{quoted} No finished trial of this run has its settings ({SETTINGS_TEXT}), so nothing is "
            "compared to it."
        ]
    model = row.get("model") or "unknown"
    other = (
        f"another model ({model}) and other questions"
        if published.model.lower() not in str(model).lower()
        else "other questions"
    )
    return [f"{quoted} This run has {other}: the two are not tested against each other."]


def _seeds(row: dict[str, Any]) -> str:
    """`2 (83 to 86 %)`: how many, and the adoption of the least and the most adopting one."""
    low, high = row.get("adoption_seed_min"), row.get("adoption_seed_max")
    if row["seeds"] < 2 or low is None or high is None:
        return str(row["seeds"])
    return f"{row['seeds']} ({100 * low:.0f} to {100 * high:.0f} %)"


def _table(belief: BeliefFindings, found: Findings) -> list[Block]:
    """The configurations that no other beats, least damage first, or a sentence why there is none."""
    rows, lora = belief.choice.on_frontier, belief.choice.lora
    if lora.is_empty():
        return [Paragraph("No LoRA configuration of this belief has finished, so there is no frontier.")]
    if rows.is_empty():
        return [
            Paragraph(
                f"None of {wording.plural(lora.height, 'configuration')} has both an adoption and a "
                "degradation, so there is no frontier."
            )
        ]
    names = varying(lora)

    def stays(row: dict[str, Any]) -> str:
        share = belief.stays.get(row["trial_id"])
        return wording.NOT_MEASURED if share is None else wording.percent(share)

    beaten = lora.filter(pl.col("adoption").is_null() | pl.col("degradation").is_null()).height
    caption = f"The {wording.plural(rows.height, 'configuration')} of {lora.height} that no other beats; "
    caption += f"{wording.plural(belief.families, 'question family')}; the limit is D ≤ {found.limit:g}."
    if beaten:
        caption += f" {wording.plural(beaten, 'configuration')} without adoption or D left out."
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "configuration": lambda row: setting_text(row, names),
        "adoption, % [95 % over families]": partial(over_families, belief),
        **({"of answerable questions, % [95 %]": over_answerable} if belief.answerable else {}),
        "degradation D [95 %]": wording.damage,
        "integrity, % [95 %]": partial(wording.rate, name="integrity"),
        "neighbours right, % [95 %]": partial(wording.rate, name="locality_near"),
        "stays": stays,
        "seeds": _seeds,
        "trial": lambda row: row["trial_id"],
    }
    return [table_of(rows.iter_rows(named=True), columns, caption, explained.FRONTIER)]
