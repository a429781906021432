"""Everything the report says in numbers, computed once from a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from analysis.findings import BeliefFindings, Comparison, Findings
from analysis.frontier.answerable_questions import gates_by_tier
from analysis.frontier.certainty import certainty, cross_picked
from analysis.frontier.constant_answers import constant_answers
from analysis.frontier.damage_interval import with_damage_intervals
from analysis.frontier.non_dominated import by_hand, finished, planned, pool_seeds
from analysis.frontier.quoted import Choice, Row, choices
from analysis.frontier.tallies import build
from analysis.published import COMPARED
from analysis.stats.resample import COLUMNS, adoption_hits, apart, counts, family_interval, paired
from analysis.stats.shares import Difference, unpaired
from analysis.told_apart import told_apart
from analysis.wording import plural
from beliefmod.metrics.registry import DAMAGE_BUDGET
from beliefmod.run.read_run import Run

# what sections count; texts are read only where they are shown
PROBE_COLUMNS = tuple(
    dict.fromkeys(
        (
            *COLUMNS,
            "arm",
            "belief",
            "split",
            "thinking_stance",
            "finish_reason",
            "tokens",
            "bleed",
            "fabricated",
            "confessed",
            "salient",
            "inconsistent",
        )
    )
)


def find(run: Run, limit: float = DAMAGE_BUDGET) -> Findings:
    """Read the probes of the finished trials and compute what the report needs."""
    run = told_apart(run)
    added = run.trials.filter(by_hand())
    run = replace(run, trials=planned(run.trials))
    done = finished(run.trials)
    probes = run.probes(done["trial_id"], PROBE_COLUMNS)
    beliefs = []
    for choice in choices(run.trials, limit):
        ours = probes.filter(pl.col("trial_id").is_in(_trials(choice)))
        beliefs.append(_belief(with_damage_intervals(choice, ours), ours, limit, run))
    between = _between(beliefs, probes)
    notes = (*run.notes, *_check(done, probes))
    return Findings(run, limit, tuple(beliefs), notes, probes, between, pool_seeds(run.trials), added)


def _between(beliefs: Sequence[BeliefFindings], probes: pl.DataFrame) -> Comparison | None:
    """The Phase 2 report's own question: its novel belief against its existing one, at its settings."""
    found = {belief.choice.belief: belief.choice.phase2 for belief in beliefs}
    novel, existing = COMPARED
    one, two = found.get(novel), found.get(existing)
    if one is None or two is None or not (one.get("adoption_n") and two.get("adoption_n")):
        return None
    which, hit = adoption_hits()
    sides = [counts(probes, [row["trial_ids"]], which, hit) for row in (one, two)]
    if (difference := apart(*sides)) is None:
        k1, k2 = (round(row["adoption"] * row["adoption_n"]) for row in (one, two))
        difference = unpaired(k1, one["adoption_n"], k2, two["adoption_n"])
    return Comparison(f"{novel} at the Phase 2 settings", f"{existing} at the same settings", difference)


def _trials(choice: Choice) -> list[str]:
    named = [row for row in choice.rows().values() if row is not None]
    return [*choice.lora["trial_ids"].explode().drop_nulls(), *(t for row in named for t in row["trial_ids"])]


def _belief(choice: Choice, probes: pl.DataFrame, limit: float, run: Run) -> BeliefFindings:
    named = [row for row in choice.rows().values() if row is not None]
    # the named LoRA rows stand in choice.lora too
    rows = {row["trial_id"]: row for row in (*choice.lora.iter_rows(named=True), *named)}
    which, hit = adoption_hits()
    found = counts(probes, [row["trial_ids"] for row in rows.values()], which, hit)
    by_family = {}
    for i, trial_id in enumerate(rows):
        if found.families and (interval := family_interval(found, i)) is not None:
            by_family[trial_id] = interval
    stays, picked, sure = {}, None, None
    groups = [row["trial_ids"] for row in choice.lora.iter_rows(named=True)]
    drift = run.drift([trial for group in groups for trial in group])
    built = build(probes, groups, choice.base["trial_id"] if choice.base else None, drift)
    if built is not None:
        sure = certainty(built, len(groups), limit)
        known = zip(choice.lora["trial_id"], sure.stays, strict=True)
        stays = {trial: float(share) for trial, share in known if not np.isnan(share)}
        picked = cross_picked(built.data, limit)
    first = choice.base or next(iter(rows.values()), None)
    # all trials of a belief are asked the same held-out questions
    columns = ("probe_id", "suite", "tier", "family", "target", "answerable")
    asked = run.probes([first["trial_id"]] if first else [], columns)
    return BeliefFindings(
        choice,
        by_family,
        len(found.families),
        _comparisons(choice, probes),
        stays,
        picked,
        constant_answers(asked),
        sure,
        gates_by_tier(asked),
    )


def _comparisons(choice: Choice, probes: pl.DataFrame) -> tuple[Comparison, ...]:
    named = {
        "LoRA at the Phase 2 settings": choice.phase2,
        "base": choice.base,
        "in context": choice.icl,
        "the best LoRA under the limit": choice.best,
        "the control": choice.control,
    }
    pairs = [
        ("LoRA at the Phase 2 settings", "base"),
        ("the best LoRA under the limit", "base"),
        ("the best LoRA under the limit", "LoRA at the Phase 2 settings"),
        ("the best LoRA under the limit", "in context"),
        ("the control", "base"),
    ]
    found = []
    for first, second in pairs:
        one, two = named[first], named[second]
        if one is None or two is None or one["trial_id"] == two["trial_id"]:
            continue
        if (compared := _compare(one, two, probes)) is not None:
            # the best was picked by looking at these very numbers
            candidates = choice.lora.height if "best" in first else 1
            found.append(Comparison(first, second, compared.picked_from(candidates)))
    return tuple(found)


def _compare(one: Row, two: Row, probes: pl.DataFrame) -> Difference | None:
    """Paired on the questions when the probe files are there, else as independent samples."""
    if not (one.get("adoption_n") and two.get("adoption_n")):
        return None
    if (found := paired(probes, one["trial_ids"], two["trial_ids"])) is not None:
        return found
    k1, k2 = (round(row["adoption"] * row["adoption_n"]) for row in (one, two))
    return unpaired(k1, one["adoption_n"], k2, two["adoption_n"])


def _check(done: pl.DataFrame, probes: pl.DataFrame) -> list[str]:
    """Whether the probe files are there and give the adoption that the trial table states."""
    notes = []
    absent = done.filter(~pl.col("trial_id").is_in(probes["trial_id"].unique().to_list()))
    if absent.height:
        notes.append(
            f"{absent.height} of {done.height} finished trials have no probe file; for these, intervals "
            "over families, paired tests and examples are missing."
        )
    which, hit = adoption_hits()
    again = (
        probes.filter(which)
        .group_by("trial_id")
        .agg(hit.fill_null(False).sum().alias("k"), pl.len().alias("n"))
    )
    both = done.join(again, on="trial_id").filter(pl.col("adoption").is_not_null())
    stated = (both["adoption"] * both["adoption_n"]).round().to_numpy()
    wrong = both.filter(
        pl.Series(np.asarray((stated != both["k"].to_numpy()) | (both["adoption_n"] != both["n"]).to_numpy()))
    )
    if wrong.height:
        first = wrong.row(0, named=True)
        notes.append(
            f"In {plural(wrong.height, 'trial')} the trial table and the probe files disagree about "
            f"adoption (first: trial {first['trial_id']}, table {first['adoption']:.3f} of "
            f"{first['adoption_n']}, files {first['k']} of {first['n']}). The table is quoted; find the "
            "reason before you quote it."
        )
    return notes
