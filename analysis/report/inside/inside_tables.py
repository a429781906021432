"""The tables of the section "Inside the model"."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from analysis.read_lens import Lens
from analysis.report.blocks import Block, Paragraph, Table
from analysis.report.inside.phrases import interval, never_share
from analysis.report.inside.selections import ARMS
from analysis.studies.internal_belief import CONTROLS, MEASURES, OUTCOMES, Relation
from analysis.wording import plural

POSITIONS = {
    "stem": "end of the begun answer",
    "entity": "what the question is about",
    "thinking": "the value in its own thinking",
    "answer": "the value in its own answer",
    "answer_shared": "the value after base's thinking",
    "elsewhere": "end of an answer about other things",
}


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
            lens_name = row["lens"] + (f" (fitted on {row['fitted_on']})" if row["fitted_on"] else "")
            rows.append(
                (
                    shown.belief,
                    ARMS.get(row["arm"], row["arm"]),
                    POSITIONS.get(row["position"], row["position"]),
                    lens_name,
                    interval(row, "final_diff", sign=True),
                    _entry(row, "commit_entry", "commit_never"),
                    _entry(row, "half_rise_entry", "half_rise_never"),
                    interval(row, "contrast_area", sign=True),
                    str(row["n"]),
                )
            )
    if not rows:
        return []
    return [
        Table(
            (
                "belief",
                "arm",
                "read at",
                "lens",
                "last difference, logits [95 %]",
                "commits at entry",
                "half of the contrast at entry",
                "area of the contrast",
                "n",
            ),
            tuple(rows),
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
