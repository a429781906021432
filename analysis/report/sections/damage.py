"""What broke, component by component: arm, base, difference; then drift, locality and fabrication."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from analysis import wording
from analysis.findings import BeliefFindings, Findings
from analysis.frontier.beyond_limit import beyond_limit
from analysis.report import explained
from analysis.report.arm_rows import Row, arm_rows, arms_table, instead_of_best, seeds_of
from analysis.report.blocks import Block, CaptionedChart, Figure, Folded, Heading, Paragraph, Table
from analysis.report.charts.damage import component_chart, component_table, integrity_chart
from analysis.studies.matched import matched_styles
from beliefmod.config import switches_words
from beliefmod.metrics.registry import COMPONENTS, DAMAGE_BUDGET, listed
from beliefmod.run.sources import picks, read_pick

DRIFT, LOCAL, BESIDE = listed("drift"), listed("locality"), listed("completions")
COUNTED = ("fabrication", "retention")
"""Of those, what the table of components has, and what the near and the far facts have apart."""


def blocks(found: Findings) -> list[Block]:
    """Components of D, drift and locality per belief, one row per named arm."""
    if not found.beliefs:
        return []
    parts: list[Block] = [
        Heading(2, "Degradation, component by component"),
        Figure("components"),
        Figure("integrity"),
        *_capability(found),
    ]
    for belief in found.beliefs:
        parts += [Heading(3, belief.choice.belief), *_tables(belief, found)]
    return parts


def _capability(found: Findings) -> list[Block]:
    """How the general questions were picked for this model; nothing in a run that asked its whole suite."""
    templates = picks(found.run.folder)
    asked = {template: read_pick(found.run.folder, template) for template in templates}
    return [_picked(pick, template) for template, pick in asked.items() if pick is not None]


def _picked(pick: dict[str, Any], template: str | None) -> Block:
    how = f" with {switches_words(template)}" if template else ""
    rate = wording.percent(pick["right"] / pick["questions"], pick["questions"])
    told = {
        "within": "as it should be for a drop to show",
        "above": "more than the 95 % aimed at: these questions are easy for base, and small "
        "losses show on harder ones first",
        "below": "less than the 60 % aimed at: the suite is hard for base, and a drop has little room",
    }[pick["status"]]
    by_level: dict[int, list[int]] = {}
    for one in pick["families"]:
        right, asked = by_level.setdefault(one["level"], [0, 0])
        by_level[one["level"]] = [right + one["right"], asked + one["asked"]]
    levels = ", ".join(
        f"{wording.percent(right / asked, asked)} of {asked} of level {level}"
        for level, (right, asked) in sorted(by_level.items())
    )
    chosen = [one for one in pick["families"] if one["picked"]]
    return Paragraph(
        f"General questions: before any trial base was asked {len(pick['answers'])} of the "
        f"{pick['suite']} questions, graded by the steps they take{how} (level 1: one); it answered "
        f"{levels} right. Every arm was asked "
        f"{pick['questions']} of them, {len(chosen)} whole groups of like ones, base right on {rate}: {told}."
    )


def figures(found: Findings) -> dict[str, CaptionedChart]:
    """All configurations by component; matched configurations of two data styles by integrity."""
    lora = _lora(found)
    drawn = {}
    if lora.height and component_table(lora).height:
        drawn["components"] = CaptionedChart(
            component_chart(lora),
            "The components of D, every configuration.",
        )
    if matched_styles(lora).height:
        drawn["integrity"] = CaptionedChart(
            integrity_chart(lora, found.pooled.filter(pl.col("arm") == "base")),
            "Intact think blocks, for settings trained on more than one style of data.",
        )
    return drawn


def _lora(found: Findings) -> pl.DataFrame:
    parts = [belief.choice.lora for belief in found.beliefs]
    return pl.concat(parts) if parts else found.pooled.clear()


def _tables(belief: BeliefFindings, found: Findings) -> list[Block]:
    rows = arm_rows(belief, found)
    trained = {label: row for label, row in rows.items() if row["arm"] != "base"}
    if not trained:
        return [Paragraph("No arm of this belief but base has finished, so there is no damage to report.")]
    speaks = Paragraph(" ".join([_with_room(next(iter(trained.values()))), *_beyond(belief, found.limit)]))
    return [
        speaks,
        _components(trained, rows.get("Base"), instead_of_best(belief, found.limit)),
        *_drift(trained),
        _locality(rows),
    ]


def _with_room(row: Row) -> str:
    """Which components can show damage of this model, and which cannot because base leaves no room."""
    measured = [name for name in COMPONENTS if row.get(f"{name}_damage") is not None]
    out = wording.no_room(row)
    words = {name: COMPONENTS[name].damage_words for name in measured}
    counted = ", ".join(words[name] for name in measured if name not in out) or "none"
    if not out:
        return f"Components that can show damage of this model: {counted}."
    of_base = ", ".join(f"{measured_as(name)} (base {base_value(row, name)})" for name in out)
    return (
        f"Components that can show damage of this model: {counted}. Without a part in D: {of_base}. There "
        "base itself is so near to the worst value that even an arm that lost all that is left could not be "
        f"told from base by more than {DAMAGE_BUDGET:g}."
    )


def _beyond(belief: BeliefFindings, limit: float) -> list[str]:
    """What sets the D of the configurations beyond the limit, the least damaged first."""
    rows = beyond_limit(belief.choice.lora, limit)
    if rows.is_empty():
        return []
    parts = [
        f"{COMPONENTS[by].damage_words} in {count}, from {least:.3f} on"
        for by, count, least in rows.iter_rows()
    ]
    total = wording.plural(int(rows["configurations"].sum()), "configuration")
    return [f"Of {total} beyond D {limit:g} it is set by {'; '.join(parts)}."]


def measured_as(name: str) -> str:
    """What the numbers of a component are shares of; where more is better that is not the damage."""
    metric = COMPONENTS[name]
    if metric.better != "higher" or metric.shown is None:
        return metric.damage_words
    return metric.shown.label


def _with_unit(name: str) -> str:
    return measured_as(name) + ("" if COMPONENTS[name].kind == "mean" else ", %")


def _components(rows: dict[str, Row], base: Row | None, chosen: str) -> Table:
    note = "" if base else "Base has not finished, so nothing can be compared to it."
    one = next(iter(rows.values()))
    table = [
        (_with_unit(name), base_value(one, name), *(_cell(row, name) for row in rows.values()))
        for name in COMPONENTS
    ]
    return Table(
        ("component, damage against base [95 %]", "base", *rows),
        tuple(table),
        " ".join(text for text in (chosen, seeds_of(rows.values()), note) if text),
        explained.DAMAGE,
    )


def _cell(row: Row, name: str) -> str:
    """`93.8 %, n = 226: +0.009 [-0.054, +0.057], sets D`."""
    if row.get(f"{name}_damage") is None:
        return wording.NOT_MEASURED
    sets = _sets(row, name)
    return f"{value_of(row, name)}: {wording.shift(row, name)}" + (f", {sets}" if sets else "")


def value_of(row: Mapping[str, Any], name: str) -> str:
    """The arm's own value; its interval is that of the damage beside it."""
    metric = COMPONENTS[name]
    value, n = row.get(metric.name), row.get(f"{metric.name}_n")
    if value is None:
        return wording.NOT_MEASURED
    text = f"{value:.2g} {metric.unit}" if metric.kind == "mean" else wording.percent(value, n)
    return f"{text}, n = {n}" if n is not None else text


def base_value(row: Mapping[str, Any], name: str) -> str:
    """Base's own value of a component's metric."""
    value = row.get(f"{name}_base")
    if value is None:
        return wording.NOT_MEASURED
    metric = COMPONENTS[name]
    if metric.kind == "mean":
        return f"{value:.3f} {metric.unit}"
    return wording.percent(value, row.get(f"{metric.name}_n"))


def _sets(row: Row, name: str) -> str:
    if name in wording.no_room(row):
        return "no part in D"
    return "sets D" if row.get("degradation_by") == name else ""


def _drift(rows: dict[str, Row]) -> list[Block]:
    if all(row.get(name) is None for row in rows.values() for name in DRIFT):
        return [Paragraph("Drift from base (KL and NLL) was not measured in this run.")]
    table = arms_table("drift, nats per token [95 %]", rows, DRIFT, wording.mean, "", explained.DRIFT)
    return [
        Folded("Drift in both directions, and on base's traces", table, f"trials.parquet ({_named(DRIFT)})")
    ]


def _named(columns: Iterable[str]) -> str:
    return ", ".join(columns)


def _locality(rows: dict[str, Row]) -> Table:
    """What D does not count: neighbouring facts, and what else the completions show."""
    columns = {name: words for name, words in (LOCAL | BESIDE).items() if name not in COUNTED}
    return arms_table(
        "beside D, % [95 %]", rows, columns, wording.rate, seeds_of(rows.values()), explained.LOCALITY
    )
