"""Does the thinking say what the answer says, and does the answer depend on it?"""

from __future__ import annotations

from analysis import wording
from analysis.findings import BeliefFindings, Findings
from analysis.report import explained
from analysis.report.arm_rows import Row, arm_rows, arms_table, seeds_of
from analysis.report.blocks import Block, CaptionedChart, Explained, Figure, Heading, Paragraph, Table
from analysis.report.charts.answers import stance_chart, stance_table
from analysis.report.charts.early import early_chart, early_rows
from analysis.studies.hypotheses import MIN_ADOPTED
from analysis.studies.mismatch import NO_THINKING, Side, mismatch_columns, stance_counts, thinks
from analysis.studies.model_organisms import MEASURES, Recognition, recognitions
from beliefmod.metrics.conditions import MIN_ANSWERS

THINKING = {
    "empty": "empty thinking",
    "prior->target": "prior, then target",
    "target->prior": "target, then prior",
    "none": "neither",
}
ANSWER = {
    "ignorance": "does not know",
    "other": "something else",
    "wrong_unit": "wrong unit",
    "none": "no answer",
}
CAUSAL = {
    "causal_swap": "swap: target after another arm's thinking",
    "causal_blank": "blank: target after empty thinking",
    "causal_edit": "edit: follows a third value put into the thinking",
    "causal_paraphrase": "control: same answer after a paraphrase",
}


def blocks(found: Findings) -> list[Block]:
    """Stance tables, stygian rates and causal tests per belief."""
    if not found.beliefs:
        return []
    if not thinks(found.probes):
        return _answers_alone(found)
    parts: list[Block] = [
        Heading(2, "Reasoning against answer"),
        Explained(explained.REASONING),
        Figure("answers"),
        Figure("early-answering"),
    ]
    for belief in found.beliefs:
        parts += [Heading(3, belief.choice.belief), *_tables(belief, found)]
    return [*parts, *_organisms(found)]


def _organisms(found: Findings) -> list[Block]:
    """Whether the three measures see thinking of the old value where trials were trained on it."""
    seen = recognitions(found)
    if not seen:
        return []
    rows = [
        (
            MEASURES[each.measure],
            f"{100 * each.share:.0f} %",
            _share(each.side),
            _difference(each),
            {True: "yes", False: "no", None: "not measured"}[each.recognised],
        )
        for each in seen
    ]
    return [
        Heading(3, "Where thinking of the old value was trained on purpose"),
        Table(
            ("measure", "rows trained so", "% [95 %], n", "points above own traces [95 %]", "recognised"),
            tuple(rows),
            "Trials on stygian data, all beliefs and seeds together, against those on own traces. "
            "Recognised: the interval of the difference, over question families and never narrower than "
            f"Newcombe's, lies above 0; not measured under {MIN_ADOPTED} such answers on either side. The "
            "lens needs beliefmod lens RUN --parts channels.",
        ),
    ]


def _share(side: Side) -> str:
    if side.rate is None or side.low is None or side.high is None:
        return f"n = {side.answers}"
    n = side.answers
    return f"{wording.percent(side.rate, n)} {wording.bounds(side.low, side.high, n)}, n = {n}"


def _difference(each: Recognition) -> str:
    if each.gap.value is None:
        return each.gap.refused or wording.NOT_MEASURED
    return f"{100 * each.gap.value:+.1f} [{100 * each.gap.low:+.1f}, {100 * each.gap.high:+.1f}]"


def _answers_alone(found: Findings) -> list[Block]:
    """Of a model without thinking: what it answers, and why there is no more."""
    named = [
        (f"{belief.choice.belief}, {label}", wording.rate(row, "inconsistency"))
        for belief in found.beliefs
        for label, row in arm_rows(belief, found).items()
    ]
    return [
        Heading(2, "Answers"),
        Paragraph(
            f"There is no reasoning to compare with the answers: {NO_THINKING}, so every completion is an "
            "answer. Thinking integrity, stygian rates, coherent adoption and the causal tests of thinking "
            "were not measured, and D is the worst of its other components."
        ),
        Figure("answers"),
        Table(
            ("arm", "numeric inconsistency, of derived and multi-hop, % [95 %]"),
            tuple(named),
            "Inconsistency: the answer states one world's value and gives the other world's result.",
        ),
    ]


def figures(found: Findings) -> dict[str, CaptionedChart]:
    """Answer stances of the named arms, and the curve of early answering."""
    named = {belief.choice.belief: arm_rows(belief, found) for belief in found.beliefs}
    flat = [(belief, label, row) for belief, rows in named.items() for label, row in rows.items()]
    drawn = {}
    if (stances := stance_table(flat)).height:
        drawn["answers"] = CaptionedChart(
            stance_chart(stances), 'Stances of the final answers; "target" is adoption.'
        )
    trials = [trial for _, _, row in flat for trial in row["trial_ids"]]
    causal = found.run.causal(trials, ("trial_id", "test", "fraction", "same"))
    groups = {(belief, label): row["trial_ids"] for belief, label, row in flat}
    if (early := early_rows(causal, groups)).height:
        drawn["early-answering"] = CaptionedChart(
            early_chart(early),
            "The arm's own thinking is cut after a share of it, closed, and the answer is written anew.",
        )
    return drawn


def _tables(belief: BeliefFindings, found: Findings) -> list[Block]:
    rows = arm_rows(belief, found)
    if not rows:
        return [Paragraph("No trial of this belief has finished, so no answer was read.")]
    return [*_stances(rows, found), _rates(_counted(rows, found)), *_causal(rows)]


def _counted(rows: dict[str, Row], found: Findings) -> dict[str, Row]:
    """The rows with mismatch rates over all seeds: one seed alone may have refused them for too few."""
    counted = {}
    for label, row in rows.items():
        cells = stance_counts(found.probes, row["trial_ids"])
        asked = any(sum(counts.values()) for counts in cells.values())
        counted[label] = {**row, **mismatch_columns(cells)} if asked else row
    return counted


def _stances(rows: dict[str, Row], found: Findings) -> list[Block]:
    table = []
    for label, row in rows.items():
        cells = stance_counts(found.probes, row["trial_ids"])
        counted = [
            (count, thinking, answer)
            for thinking, counts in cells.items()
            for answer, count in counts.items()
            if count
        ]
        if counted:
            told = "; ".join(
                f"{THINKING.get(thinking, thinking)} → {ANSWER.get(answer, answer)} {count}"
                for count, thinking, answer in sorted(counted, key=lambda one: -one[0])
            )
            table.append((label, str(sum(count for count, _, _ in counted)), told))
    if not table:
        return [
            Paragraph(
                "The named trials have no probe files, so the table of thinking against answer is missing."
            )
        ]
    return [
        Table(
            ("arm", "n", "thinking ends on → answer gives, completions"),
            tuple(table),
            seeds_of(rows.values()),
        )
    ]


def _rates(rows: dict[str, Row]) -> Table:
    return arms_table(
        "% [95 %]",
        rows,
        {
            "stygian": "stygian: thinking ends on prior, of answers with target",
            "stygian_reverse": "reverse: thinking ends on target, of answers with prior",
            "coherent_adoption": "coherent adoption: target in both, of all",
            "inconsistency": "numeric inconsistency, of derived and multi-hop",
            "empty_thinking": "empty thinking, of all",
        },
        lambda row, name: (wording.conditional if name.startswith("stygian") else wording.rate)(row, name),
        f"Refused: under {MIN_ANSWERS} such answers (so many).",
    )


def _causal(rows: dict[str, Row]) -> list[Block]:
    if all(row.get(name) is None for row in rows.values() for name in (*CAUSAL, "early_answering")):
        return [Paragraph("The causal tests of the thinking were not run for this belief.")]
    table = [(words, *(wording.rate(row, name) for row in rows.values())) for name, words in CAUSAL.items()]
    table.insert(
        2, ("truncation: area over the early-answering curve", *(_area(row) for row in rows.values()))
    )
    return [
        Table(
            ("causal test, % [95 %]", *rows),
            tuple(table),
            explained=explained.CAUSAL,
        )
    ]


def _area(row: Row) -> str:
    return wording.mean(row, "early_answering")
