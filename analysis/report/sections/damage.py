"""What broke, component by component: arm, base, difference; then drift, locality and fabrication."""

from __future__ import annotations

from typing import Any

import polars as pl

from analysis import wording
from analysis.findings import BeliefFindings, Findings
from analysis.report.arm_rows import Row, arm_rows, arms_table, seeds_of
from analysis.report.blocks import Block, CaptionedChart, Figure, Heading, Paragraph, Table
from analysis.report.charts.damage import component_chart, component_table, integrity_chart
from analysis.studies.matched import matched_styles
from beliefmod.config import switches_words
from beliefmod.metrics.registry import COMPONENTS, DAMAGE_BUDGET, METRICS, listed
from beliefmod.run.sources import picks, read_pick

DRIFT, LOCAL, BESIDE = listed("drift"), listed("locality"), listed("completions")


def blocks(found: Findings) -> list[Block]:
    """Components of D, drift and locality per belief, one row per named arm."""
    if not found.beliefs:
        return []
    parts: list[Block] = [
        Heading(2, "Degradation, component by component"),
        Paragraph(
            "Damage is the difference from base, positive is worse; D is the worst component, never their "
            "mean. NLL and KL are in nats per token; as damage they are 1 - exp(-rise), so 0.1 nat is about "
            "0.1 and nothing exceeds 1."
        ),
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
            "The components of D. Damage is a difference of shares: 0.3 means that 30 more of 100 answers "
            "are broken than in base; of NLL and KL it is 1 - exp(-rise in nats per token).",
        )
    if matched_styles(lora).height:
        drawn["integrity"] = CaptionedChart(
            integrity_chart(lora, found.pooled.filter(pl.col("arm") == "base")),
            "Share of answers with an intact think block, for settings trained on more than one style of "
            "data.",
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
    speaks = Paragraph(_with_room(next(iter(trained.values()))))
    return [speaks, _components(trained, rows.get("Base")), *_drift(trained), _locality(rows), *_beside(rows)]


def _with_room(row: Row) -> str:
    """Which components can show damage of this model, and which cannot because base leaves no room."""
    measured = [name for name in COMPONENTS if row.get(f"{name}_damage") is not None]
    out = wording.no_room(row)
    words = {name: COMPONENTS[name].damage_words for name in measured}
    counted = ", ".join(words[name] for name in measured if name not in out) or "none"
    if not out:
        return f"Components that can show damage of this model: {counted}."
    of_base = ", ".join(f"{_measured(name)} (base {_of_base(row, name)})" for name in out)
    return (
        f"Components that can show damage of this model: {counted}. Without a part in D: {of_base}. There "
        "base itself is so near to the worst value that even an arm that lost all that is left could not be "
        f"told from base by more than {DAMAGE_BUDGET:g}."
    )


def _measured(name: str) -> str:
    """What the numbers of a component are shares of; where more is better that is not the damage."""
    metric = COMPONENTS[name]
    if metric.better != "higher" or metric.shown is None:
        return metric.damage_words
    return metric.shown.label


def _components(rows: dict[str, Row], base: Row | None) -> Table:
    note = "" if base else " Base has not finished, so nothing can be compared to it."
    one = next(iter(rows.values()))
    table = [
        (_measured(name), _of_base(one, name), *(_cell(row, name) for row in rows.values()))
        for name in COMPONENTS
    ]
    return Table(
        ("component, damage against base [95 %]", "base", *rows),
        tuple(table),
        "The arm's own value, then its damage. NLL: the rise above base in nats per token, and base's own "
        "value. KL: KL(base ∥ arm). Intervals of shares: paired Newcombe; of NLL and KL: t over passages, "
        f"mapped through the same function.{seeds_of(rows.values())}{note}",
    )


def _cell(row: Row, name: str) -> str:
    """`93.8 %, n = 226: +0.009 [-0.054, +0.057], sets D`."""
    if row.get(f"{name}_damage") is None:
        return wording.NOT_MEASURED
    sets = _sets(row, name)
    return f"{_value(row, name)}: {wording.shift(row, name)}" + (f", {sets}" if sets else "")


def _value(row: Row, name: str) -> str:
    """The arm's own value; its interval is that of the damage beside it."""
    metric = COMPONENTS[name]
    value, n = row.get(metric.name), row.get(f"{metric.name}_n")
    if value is None:
        return wording.NOT_MEASURED
    text = f"{value:.2g} {metric.unit}" if metric.kind == "mean" else wording.percent(value, n)
    return f"{text}, n = {n}" if n is not None else text


def _of_base(row: Row, name: str) -> str:
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
    return [
        arms_table(
            "drift, nats per token [95 %]",
            rows,
            DRIFT,
            wording.mean,
            "Means over passages with t intervals. Base's traces are its own thinking and answers to "
            "questions that have nothing to do with the belief. Without any change it is exactly 0.",
        )
    ]


def _locality(rows: dict[str, Row]) -> Table:
    return arms_table(
        "locality, % [95 %]",
        rows,
        LOCAL,
        wording.rate,
        "Retained: right, of the questions that base answers right. Bleed: near facts, right in base, that "
        "are answered with the implanted value. Salience: far and general answers that mention the new fact. "
        "Fabrication: confident answers about entities that do not exist. D counts fabrication, not the "
        f"others.{seeds_of(rows.values())}",
    )


def _beside(rows: dict[str, Row]) -> list[Block]:
    """What else the completions show; nothing for runs that are older than these metrics."""
    if all(row.get(name) is None for row in rows.values() for name in BESIDE):
        return []
    meanings = " ".join(f"{label.capitalize()}: {METRICS[name].meaning}." for name, label in BESIDE.items())
    caption = f"D does not count these. {meanings}{seeds_of(rows.values())}"
    return [arms_table("completions, % [95 %]", rows, BESIDE, wording.rate, caption)]
