"""When the answer forms inside the model and what carries it there; left out where nobody has looked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import polars as pl

from analysis.findings import Findings
from analysis.read_lens import Lens, read_lens
from analysis.report.blocks import Block, Bullets, CaptionedChart, Figure, Heading, Paragraph, Table, table_of
from analysis.report.charts import (
    inside_channels,
    inside_doses,
    inside_entries,
    inside_internal,
    inside_tokens,
    inside_written,
)
from analysis.report.inside.selections import ARMS, figure_name
from analysis.report.inside.verdicts import verdicts
from analysis.studies.internal_belief import CONTROLS, MEASURES, OUTCOMES, Relation, cells, relations
from analysis.wording import interval, never_share, plural

POSITIONS = {
    "stem": "end of the begun answer",
    "entity": "what the question is about",
    "thinking": "the value in its own thinking",
    "answer": "the value in its own answer",
    "answer_shared": "the value after base's thinking",
    "elsewhere": "end of an answer about other things",
}
# in the order in which they are drawn
CHARTS = (inside_entries, inside_tokens, inside_written, inside_doses, inside_channels, inside_internal)
INTRO = (
    "The state of the model after every layer is read as if it were the last (logit lens). Entry 0 is the "
    "embedding, entry k what block k-1 wrote, the last is what the model says. A difference is the logit of "
    "the target's token less that of its rival: base's value, or, where base knows none, base's likeliest "
    "token. It is read where an answer begun for the model comes to the token in which the two worlds part: "
    "base, in-context and trained arms are compared at the same tokens."
)
CANNOT = (
    "A lens shows where a value can be read off, not where it is kept; which blocks and states carry it is "
    "what the ablations and the patching say.",
    "An answer begun after empty thinking is not how a model that thinks answers: it can adopt although the "
    "begun answer prefers the rival. What it leans to right before a value in its own text stands beside it.",
    "Early entries have differences too, and their sign means nothing: only the contrast between arms does.",
    "Charts show one trained trial per belief, picked on the questions of its adoption: the one that adopts "
    "most under the limit of D, or, where none stays under it, the one that adopts most.",
)


def blocks(found: Findings) -> list[Block]:
    """Verdicts per belief, then charts and tables by question."""
    lens = read_lens(found)
    if lens is None:
        return []
    parts: list[Block] = [Heading(2, "Inside the model"), Paragraph(INTRO), Bullets((*CANNOT, *lens.notes))]
    if not lens.shown:
        parts.append(Paragraph("No finished LoRA trial was looked into, so there is nothing to draw."))
    for shown in lens.shown:
        parts.append(Heading(3, shown.title))
        told = verdicts(lens, shown)
        parts.append(Bullets(tuple(told)) if told else Paragraph("Nothing was measured for this trial."))
    groups: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("When the answer forms", ("entries", "lenses", "tokens")),
        ("Where it is written", ("ablations", "patching")),
        ("The adapter at other strengths", ("doses",)),
        ("Thinking against answer, inside", ("channels", "chain")),
        ("Over the sweep", ("sweep",)),
    )
    tables = {"entries": commitment_table(lens), "sweep": relation_table(relations(cells(lens, found)))}
    for title, kinds in groups:
        names = [name for kind in kinds for name in _names(lens, kind)]
        under = [block for kind in kinds for block in tables.get(kind, [])]
        if names or under:
            parts += [Heading(3, title), *(Figure(name) for name in names), *under]
    return parts


def figures(found: Findings) -> dict[str, CaptionedChart]:
    """The charts for which there are rows; one per belief for those that show an example question."""
    lens = read_lens(found)
    if lens is None:
        return {}
    drawn: dict[str, CaptionedChart] = {}
    for chart in CHARTS:
        drawn |= chart.figures(lens, found)
    return drawn


def _names(lens: Lens, kind: str) -> list[str]:
    """Names that a chart of this kind may have; `compose` leaves out those that were not drawn."""
    if kind in lens.tables and lens.tables[kind].is_empty():
        return []
    if kind in ("tokens", "patching"):
        return [figure_name(kind, shown) for shown in lens.shown]
    return [f"inside-{kind}"]


def commitment_table(lens: Lens) -> list[Block]:
    """Where each arm of the shown trials commits, per position and lens."""
    rows = []
    for shown in lens.shown:
        found = lens.of("commitments", shown).with_columns(
            pl.col("arm").replace_strict({k: i for i, k in enumerate(ARMS)}, default=9).alias("order"),
            pl.col("position")
            .replace_strict({k: i for i, k in enumerate(POSITIONS)}, default=9)
            .alias("place"),
        )
        for row in found.sort("place", "lens", "order", maintain_order=True).iter_rows(named=True):
            rows.append(row)
    if not rows:
        return []
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "belief": lambda row: row["belief"],
        "arm": lambda row: str(ARMS.get(row["arm"], row["arm"])),
        "read at": lambda row: str(POSITIONS.get(row["position"], row["position"])),
        "lens": lambda row: row["lens"] + (f" (fitted on {row['fitted_on']})" if row["fitted_on"] else ""),
        "last difference, logits [95 %]": partial(interval, name="final_diff", sign=True),
        "commits at entry": partial(_entry, name="commit_entry", never="commit_never"),
        "half of the contrast at entry": partial(_entry, name="half_rise_entry", never="half_rise_never"),
        "area of the contrast": partial(interval, name="contrast_area", sign=True),
        "n": lambda row: str(row["n"]),
    }
    return [
        table_of(
            rows,
            columns,
            "Means over n questions, intervals over question families. Never: in that share of the redraws "
            "there is no such entry. The contrast is the difference less base's on the same question, its "
            "area the mean over the entries; own texts differ, so they have none. At an entity's token no "
            "answer is due: what is read there is at hand, not what would be said.",
        )
    ]


def _entry(row: dict, name: str, never: str) -> str:
    share = row[never]
    if row[name] is None:
        return "never" if share is not None else "none"
    return interval(row, name, 0) + (f", never {never_share(share)}" if share else "")


def relation_table(relations: Sequence[Relation]) -> list[Block]:
    """Rank correlations over the sweep, without and with the settings held still, and what they amount to."""
    if not relations:
        return []
    rows = []
    for belief in dict.fromkeys(r.belief for r in relations):
        for measure, words in MEASURES.items():
            pair = [r for r in relations if (r.belief, r.measure) == (belief, measure)]
            cells = pair[0].cells
            rows.append((belief, words, *(cell for r in pair for cell in _cells(r)), str(cells)))
    told = [r for r in relations if r.low is not None and r.high is not None]
    clear = [r for r in told if r.low is not None and r.high is not None and (r.low > 0 or r.high < 0)]
    held = list(dict.fromkeys(name for r in told for name in r.controls))
    loose = [words for name, words in CONTROLS.items() if name not in held]
    text = (
        f"{len(clear)} of {plural(len(told), 'partial correlation')} have an interval without 0; by chance "
        f"about {0.05 * len(told):.1f} would."
        if told
        else "No correlation could be computed; the table says why."
    )
    headers = [f"with {words}{which}" for words in OUTCOMES.values() for which in ("", ", settings held")]
    return [
        Paragraph(text),
        Table(
            ("belief", "inside", *headers, "cells"),
            tuple(rows),
            "Spearman's rank correlation over configurations (seeds pooled) with 95 % intervals; settings "
            f"held: {_list([CONTROLS[name] for name in held])}"
            + (f" (the same everywhere or unknown: {_list(loose)})" if loose else "")
            + ". Configurations that differ in epochs only can be checkpoints of one training, so they are "
            "redrawn together. A scale that is never reached counts as larger than all. The same settings "
            "drive what is inside and outside: read the columns in which they are held.",
        ),
    ]


def _cells(relation: Relation) -> tuple[str, str]:
    if relation.refused is not None:
        return f"refused: {relation.refused}", "refused"
    return _rho(relation.plain, relation.plain_low, relation.plain_high), _rho(
        relation.value, relation.low, relation.high
    )


def _rho(value: float | None, low: float | None, high: float | None) -> str:
    assert value is not None and low is not None and high is not None
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"
