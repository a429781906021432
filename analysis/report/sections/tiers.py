"""How far the belief generalises: every tier by itself, depth, the best constant answer, belief margins."""

from __future__ import annotations

from analysis import wording
from analysis.findings import BeliefFindings, Findings
from analysis.frontier.answerable_questions import Gates, over_answerable
from analysis.report import explained
from analysis.report.arm_rows import (
    Row,
    arm_rows,
    constant_text,
    instead_of_best,
    over_families,
    seeds_of,
)
from analysis.report.blocks import Block, CaptionedChart, Figure, Heading, Paragraph, Table
from analysis.report.charts.tiers import tier_chart, tier_rows
from analysis.studies.mismatch import thinks

TIERS = {
    "trained": "trained on",
    "paraphrase": "paraphrase",
    "format": "other form (choice, cloze)",
    "derived": "derived",
    "multi_hop": "multi-hop",
    "reverse": "reverse",
    "robustness": "robustness (pushed against)",
}

UNCERTAIN = {
    "adoption_upper": "adoption if every unread answer were the target's",
    "stance_unread": "unread: not understood, may be either value",
    "stance_wrong_unit": "a side's number in a wrong unit, counted as neither",
}


def blocks(found: Findings) -> list[Block]:
    """One table per belief: a row per tier, a column per named arm."""
    if not found.beliefs:
        return []
    parts: list[Block] = [
        Heading(2, "Generalisation, tier by tier"),
        Figure("tiers"),
    ]
    for belief in found.beliefs:
        parts += [Heading(3, belief.choice.belief), *_tables(belief, found)]
    return parts


def figures(found: Findings) -> dict[str, CaptionedChart]:
    """Adoption per tier and arm, with intervals; nothing when no tier was measured."""
    rows = tier_rows({b.choice.belief: arm_rows(b, found) for b in found.beliefs}, TIERS)
    if rows.is_empty():
        return {}
    caption = "Adoption per tier, with Wilson intervals that take questions as independent."
    return {"tiers": CaptionedChart(tier_chart(rows, list(TIERS.values())), caption)}


def _tables(belief: BeliefFindings, found: Findings) -> list[Block]:
    rows = arm_rows(belief, found)
    if not rows:
        return [Paragraph("No trial of this belief has finished, so no tier was measured.")]
    constant = belief.constant
    table = [
        (
            words,
            constant_text(constant.get(tier)),
            *(wording.rate(row, f"adoption_{tier}") for row in rows.values()),
        )
        for tier, words in TIERS.items()
    ]
    table.append(("depth [simultaneous 95 %]", "", *(_depth(row) for row in rows.values())))
    table.append(
        (
            "adoption (held out, without robustness) [95 % over families]",
            constant_text(constant.get(None)),
            *(over_families(belief, row) for row in rows.values()),
        )
    )
    table += [
        (words, "", *(wording.rate(row, name) for row in rows.values()))
        for name, words in UNCERTAIN.items()
        if _differs(rows, name)
    ]
    table.append(("normalised adoption", "", *(_normalised(row) for row in rows.values())))
    tiers = Table(
        ("tier, % adopting [95 %]", "best constant answer", *rows),
        tuple(table),
        f"{instead_of_best(belief, found.limit)} {seeds_of(rows.values())}".strip(),
        explained.TIERS,
    )
    return [tiers, *not_understood(rows), *_answerable(belief, rows), *_margins(rows, thinks(found.probes))]


def _differs(rows: dict[str, Row], name: str) -> bool:
    """Whether this way of being uncertain has anything to add to adoption."""
    without = "adoption" if name == "adoption_upper" else None
    return any(row.get(name) not in (None, row.get(without, 0) if without else 0) for row in rows.values())


def not_understood(rows: dict[str, Row]) -> list[Block]:
    """What unread answers leave open; nothing where the run knows of none."""
    known = {label: row for label, row in rows.items() if row.get("stance_unread") is not None}
    if not known:
        return []
    label, row = max(known.items(), key=lambda named: named[1]["stance_unread"])
    if not row["stance_unread"]:
        return [Paragraph("Every answer of these arms was understood.")]
    unread, low, high = (
        wording.percent(row[name], row["adoption_n"])
        for name in ("stance_unread", "adoption", "adoption_upper")
    )
    return [
        Paragraph(
            f"Not understood were at most {unread} of an arm's answers ({label}); its adoption lies between "
            f"{low}, if none of them is the target's, and {high}, if all are."
        )
    ]


def _answerable(belief: BeliefFindings, rows: dict[str, Row]) -> list[Block]:
    """Adoption over the questions that this model can answer, tier by tier; margins where it can too few."""
    if not belief.answerable:
        return []
    if all(gates.either == gates.asked for gates in belief.answerable.values()):
        return [Paragraph("Every question is answerable, so adoption over those is the same.")]

    def cells(tier: str | None, gates: Gates, suffix: str) -> tuple[str, ...]:
        if gates.enough:
            return tuple(over_answerable(row, f"adoption_answerable{suffix}") for row in rows.values())
        return tuple(f"margin {wording.mean(row, f'belief_margin{suffix}', 'nat')}" for row in rows.values())

    tiers = {**TIERS, None: "adoption (held out, without robustness)"}
    table = [
        (
            words,
            gates.words(),
            f"{gates.in_context} of {gates.asked}",
            "no prior" if belief.choice.kind == "novel" else f"{gates.prior} of {gates.asked}",
            *cells(tier, gates, f"_{tier}" if tier else ""),
        )
        for tier, words in tiers.items()
        if (gates := belief.answerable.get(tier)) is not None
    ]
    header = ("tier, % adopting of answerable questions [95 %]", "answerable", "in context gives the target")
    whole = (*header, "base gives the prior", *rows)
    return [Table(whole, tuple(table), explained=explained.ANSWERABLE)]


def _margins(rows: dict[str, Row], thinking: bool) -> list[Block]:
    empty = ", thinking empty" if thinking else ""
    names = {"belief_margin": f"margin{empty}, nats"}
    if thinking:
        names["belief_margin_own"] = "margin, own thinking, nats"
    if all(row.get(name) is None for row in rows.values() for name in names):
        return [Paragraph("Belief margins were not measured in this run.")]
    table = [(words, *(wording.mean(row, name) for row in rows.values())) for name, words in names.items()]
    table.append(
        (
            f"target likelier than prior{empty}",
            *(wording.rate(row, "margin_adoption") for row in rows.values()),
        )
    )
    return [
        Table(
            ("belief margin [95 %]", *rows),
            tuple(table),
            explained=explained.MARGINS,
        )
    ]


def _depth(row: Row) -> str:
    if row.get("depth") is None:
        return wording.NOT_MEASURED
    low, high = row.get("depth_low"), row.get("depth_high")
    return wording.percent(row["depth"]) + (
        f" {wording.bounds(low, high)}" if low is not None and high is not None else " (no interval)"
    )


def _normalised(row: Row) -> str:
    value = row.get("normalised_adoption")
    return "not given" if value is None else f"{value:.2f}"
