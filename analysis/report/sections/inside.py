"""When the answer forms inside the model and what carries it there; left out where nobody has looked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import polars as pl

from analysis.findings import Findings
from analysis.read_lens import Lens, read_lens
from analysis.report import explained
from analysis.report.blocks import (
    Block,
    Bullets,
    CaptionedChart,
    Explained,
    Figure,
    Folded,
    Heading,
    Paragraph,
    Table,
    table_of,
)
from analysis.report.charts import (
    inside_channels,
    inside_doses,
    inside_entries,
    inside_internal,
    inside_leak,
    inside_tokens,
    inside_truth,
    inside_written,
)
from analysis.report.inside.leak_words import leak_blocks
from analysis.report.inside.selections import ARMS, figure_name
from analysis.report.inside.truth_words import truth_blocks
from analysis.report.inside.verdicts import verdicts
from analysis.studies.internal_belief import CONTROLS, MEASURES, OUTCOMES, Relation, cells, relations
from analysis.studies.leaks import leaks, replay_gaps
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
CHARTS = (
    inside_entries,
    inside_tokens,
    inside_written,
    inside_doses,
    inside_channels,
    inside_internal,
    inside_truth,
    inside_leak,
)


def blocks(found: Findings) -> list[Block]:
    """Verdicts per belief, then charts and tables by question."""
    lens = read_lens(found)
    if lens is None:
        return []
    parts: list[Block] = [Heading(2, "Inside the model"), Explained(explained.INSIDE)]
    parts += [Bullets(tuple(lens.notes))] if lens.notes else []
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
        ("Truth in general", ("truth",)),
        ("What shows on unrelated text", ("leak",)),
    )
    leaked = leaks(lens, found)
    told_of_leaks = leak_blocks(leaked, replay_gaps(leaked))
    tables = {
        "entries": commitment_table(lens),
        "sweep": relation_table(relations(cells(lens, found))),
        "truth": truth_blocks(lens),
        "leak": [Explained(explained.LEAK), *told_of_leaks] if told_of_leaks else [],
    }
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
    table = table_of(rows, columns, explained=explained.COMMITMENTS)
    return [Folded("Every arm at every place", table, "lens/commitments.parquet")]


def _entry(row: dict, name: str, never: str) -> str:
    share = row[never]
    if row[name] is None:
        return "never" if share is not None else "none"
    return interval(row, name, 0) + (f", never {never_share(share)}" if share else "")


def relation_table(relations: Sequence[Relation]) -> list[Block]:
    """Rank correlations over the sweep, without and with the settings held still, and what they amount to."""
    if not relations:
        return []
    rows, refused = [], dict[str, list[str]]()
    for belief in dict.fromkeys(r.belief for r in relations):
        for measure, words in MEASURES.items():
            pair = [r for r in relations if (r.belief, r.measure) == (belief, measure)]
            if not pair:
                continue
            if all(r.refused for r in pair):
                why = "; ".join(dict.fromkeys(str(r.refused) for r in pair))
                refused.setdefault(why, []).append(f"{belief}, {words}")
            else:
                rows.append((belief, words, *(cell for r in pair for cell in _cells(r)), str(pair[0].cells)))
    told = [r for r in relations if r.low is not None and r.high is not None]
    clear = [r for r in told if r.low is not None and r.high is not None and (r.low > 0 or r.high < 0)]
    held = list(dict.fromkeys(name for r in told for name in r.controls))
    loose = [words for name, words in CONTROLS.items() if name not in held]
    text = (
        f"{len(clear)} of {plural(len(told), 'partial correlation')} have an interval without 0; by chance "
        f"about {0.05 * len(told):.1f} would."
        if told
        else "No correlation could be computed."
    )
    text += "".join(f" Refused ({why}): {'; '.join(names)}." for why, names in refused.items())
    headers = [f"with {words}{which}" for words in OUTCOMES.values() for which in ("", ", settings held")]
    if not rows:
        return [Paragraph(text)]
    return [
        Paragraph(text),
        Table(
            ("belief", "inside", *headers, "cells"),
            tuple(rows),
            f"Settings held: {_list([CONTROLS[name] for name in held])}"
            + (f" (the same everywhere or unknown: {_list(loose)})" if loose else "")
            + ".",
            explained.RELATIONS,
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
