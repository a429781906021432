"""What the page needs so that a reader can filter the configurations and open a trial's completions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from analysis import wording
from analysis.findings import Findings
from analysis.frontier.non_dominated import CONFIG, frontier, varying
from analysis.report.arm_rows import arm_trials
from analysis.report.blocks import Block, Explorer, Heading
from analysis.report.failure_classes import failure_classes
from analysis.report.page import embedded_json
from analysis.report.samples import COLUMNS, TEXTS, cut, thought
from analysis.stats.resample import adoption_hits
from analysis.wording import setting_name, setting_text, setting_value
from beliefmod.config import UNTRAINED_ARMS
from beliefmod.metrics.registry import listed

PER_TRIAL = 12  # completions of one trial, at most
LONGEST = 3000  # characters of one completion
CAP = 8_000_000  # bytes of completions in one page
LISTED = 12  # a setting with more values than this is filtered by a range
BATCH = 32  # trials whose texts are in memory at once
NUMBERS = listed("page")


def explorer(found: Findings, cap: int = CAP) -> list[Block]:
    """The explorer's block; nothing when no trial has finished."""
    if found.pooled.is_empty():
        return []
    samples, left_out = trial_samples(found, cap)
    shown = sum(len(rows) for rows in samples.values())
    note = (
        "Filter the configurations, then open one, here or by a click on its mark, to see its settings, its "
        "numbers and some of its completions: by rule the first adopting, the first not adopting and the "
        f"first of every failure class by probe name, at most {PER_TRIAL} of a trial. The page holds "
        f"{shown:,} completions, each cut to {LONGEST:,} characters, in at most {cap / 1e6:g} MB together."
    )
    if left_out:
        note += f" {left_out:,} that the rule picked did not fit."
    note += " All completions are in probes/TRIAL.parquet of the run folder."
    data = {"axes": _axes(found), "points": _points(found), "samples": samples}
    return [Heading(2, "One configuration"), Explorer(data, note)]


def _axes(found: Findings) -> list[dict[str, Any]]:
    """What can be filtered: belief, arm, and every setting that varies among the trained configurations."""
    trained = found.pooled.filter(~pl.col("arm").is_in(UNTRAINED_ARMS))
    axes: list[dict[str, Any]] = []
    for name, rows in (("belief", found.pooled), ("arm", found.pooled)):
        axes.append({"name": name, "label": name, "values": _texts(rows[name])})
    for name in varying(trained):
        values = trained[name].drop_nulls().unique().sort()
        axis: dict[str, Any] = {"name": name, "label": setting_name(name)}
        if values.dtype.is_numeric() and len(values) > LISTED:
            axis |= {"low": values.min(), "high": values.max()}
        else:
            axis["values"] = _texts(trained[name])
        axes.append(axis)
    return axes


def _texts(values: pl.Series) -> list[str]:
    return [setting_value(value) for value in values.drop_nulls().unique().sort()]


def _points(found: Findings) -> list[dict[str, Any]]:
    lora = frontier(found.pooled)
    unbeaten = set(lora.filter("non_dominated")["trial_id"])
    names = varying(found.pooled.filter(~pl.col("arm").is_in(UNTRAINED_ARMS)))
    labels = arm_trials(found)
    points = []
    for row in found.pooled.iter_rows(named=True):
        trained = row["arm"] not in UNTRAINED_ARMS
        used = [name for name in names if row["arm"] != "full" or not name.startswith("lora.")]
        points.append(
            {
                "id": row["trial_id"],
                "trials": row["trial_ids"],
                "belief": row["belief"],
                "arm": row["arm"],
                "name": labels.get(row["trial_id"], ("", ""))[1],
                "unbeaten": row["trial_id"] in unbeaten,
                "text": setting_text(row, used) if trained else "no training",
                # texts to compare with the listed values, numbers to compare with ranges
                "settings": {
                    name: [setting_value(row[name]), row[name]] for name in used if row[name] is not None
                }
                if trained
                else None,
                "whole": setting_text(row, CONFIG) if trained else "no training",
                "adoption": wording.rate(row, "adoption"),
                "damage": wording.damage(row),
                "numbers": [
                    [words, wording.rate(row, name)]
                    for name, words in NUMBERS.items()
                    if row.get(name) is not None
                ],
            }
        )
    return points


def trial_samples(found: Findings, cap: int = CAP) -> tuple[dict[str, list[dict[str, Any]]], int]:
    """trial_id -> completions picked by rule, and how many of the picked did not fit under `cap` bytes.

    Room is given by rank: every trial's first adopting answer, then every first not adopting one, then the
    failure classes in their order; within a rank named trials first, then unbeaten ones, then the rest.
    """
    picks = _picks(found)
    order = list(arm_trials(found))
    lora = frontier(found.pooled)
    order += lora.filter("non_dominated")["trial_ids"].explode().drop_nulls().to_list()
    order += found.pooled["trial_ids"].explode().drop_nulls().to_list()
    place = {trial_id: i for i, trial_id in enumerate(dict.fromkeys(order))}
    rows = []
    there = set(picks["trial_id"])
    trials = [trial for trial in place if trial in there]
    key = ("trial_id", "suite", "tier", "probe_id")
    for start in range(0, len(trials), BATCH):
        batch = trials[start : start + BATCH]
        table = found.run.probes(batch, tuple(dict.fromkeys((*COLUMNS, *TEXTS))))
        rows += table.join(picks, on=key, nulls_equal=True).to_dicts()
    rows.sort(key=lambda row: (row["rank"], place[row["trial_id"]], row["probe_id"]))
    samples: dict[str, list[dict[str, Any]]] = {}
    used, left_out = 0, 0
    for row in rows:
        shown = _shown(row)
        size = len(embedded_json(shown).encode(errors="replace"))
        if used + size > cap:
            left_out += 1
            continue
        used += size
        samples.setdefault(row["trial_id"], []).append(shown)
    return samples, left_out


def _picks(found: Findings) -> pl.DataFrame:
    """trial_id, suite, tier, probe_id, rank, labels of the completions to show."""
    held_out = (pl.col("tier") != "trained") | pl.col("tier").is_null()
    which, hit = adoption_hits()
    rules: list[tuple[str, pl.Expr]] = [
        ("first adopting", which & hit),
        ("first not adopting", which & ~hit.fill_null(False)),
        *((kind.name, kind.asked & kind.rule) for kind in failure_classes()),
    ]
    asked = found.probes.filter(held_out).sort("trial_id", "probe_id")
    key = ["trial_id", "suite", "tier", "probe_id"]
    parts = [
        asked.filter(rule)
        .unique("trial_id", keep="first", maintain_order=True)
        .select(*key, pl.lit(label).alias("label"), pl.lit(rank).alias("rank"))
        for rank, (label, rule) in enumerate(rules)
    ]
    merged = pl.concat(parts).group_by(key).agg(pl.col("rank").min(), pl.col("label").alias("labels"))
    return (
        merged.sort("trial_id", "rank", "probe_id").group_by("trial_id", maintain_order=True).head(PER_TRIAL)
    )


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    facts: Sequence[str] = [
        f"{row['suite']}/{row['tier']}",
        f"answer: {row['answer_stance'] or 'no stance'}",
        *thought(row),
        f"{row['tokens']} tokens",
        f"probe {row['probe_id']}",
    ]
    shown = {
        "labels": ", ".join(row["labels"]),
        "facts": "; ".join(facts),
        "question": cut(row["question"] or "", LONGEST),
        "prompt": cut(row["prompt"] or "", 800),
        "completion": cut(row["completion"] or "", LONGEST),
    }
    return shown | ({"first_turn": cut(row["first_turn"], LONGEST)} if row["first_turn"] else {})
