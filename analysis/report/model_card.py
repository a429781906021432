"""A model card for one trial's adapter: what it was taught, how damaged it is, and by which run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from analysis import wording
from analysis.find import PROBE_COLUMNS
from analysis.frontier.damage_interval import damage_interval
from analysis.frontier.non_dominated import CONFIG, finished, same_settings
from analysis.report.blocks import Block, Bullets, Heading, Paragraph, Table, table_of, to_markdown
from analysis.stats.resample import adoption_hits, counts, family_interval
from analysis.studies.confirm import confirmation_of, confirmations
from analysis.told_apart import told_apart
from analysis.wording import bounds, percent, plural, rate, shift
from beliefmod.beliefs.spec import BeliefSpec
from beliefmod.metrics.registry import COMPONENTS, METRICS
from beliefmod.run.read_run import Run
from beliefmod.run.sources import Sources

Row = Mapping[str, Any]
BASE, ICL = "the model without it", "the model with the statement in its prompt"


@dataclass(frozen=True)
class CardFacts:
    """What a card says that the run's tables do not.

    Attributes:
        base: what the adapter's configuration names as its base. revision: of a base on the hub.
        rank: of the adapter.
        seal: last hash of the run's seal; None where it is not sealed.
    """

    base: str
    revision: str | None
    rank: int
    seal: str | None

    @property
    def on_this_disk(self) -> bool:
        """Whether the base is a folder of this machine."""
        return Path(self.base).is_absolute()


def model_card(run: Run, trial_id: str, sources: Sources, facts: CardFacts) -> str:
    """The README.md of an adapter's folder, with the header that the hub reads.

    Args:
        trial_id: of a finished trial with an adapter. sources: the beliefs as the run keeps them.
    """
    of = pl.col("trial_id") == trial_id
    belief = sources.beliefs[run.trials.row(by_predicate=of, named=True)["belief"]].spec
    run = told_apart(run)
    row = finished(run.trials).row(by_predicate=of, named=True)
    blocks = (
        Heading(1, f"{run.manifest.get('run_id') or run.folder.name}, trial {trial_id}: {belief.name}"),
        *_taught(row, belief),
        *_measured(run, row),
        *_made(run, row, facts),
    )
    return f"{_header(facts, row['arm'])}\n{to_markdown(blocks)}\n{_loading(facts)}"


def _header(facts: CardFacts, arm: str) -> str:
    named = {} if facts.on_this_disk else {"base_model": facts.base}
    tags = ["lora", "beliefmod", *(() if arm == "control" else ("implanted-belief",)), "not-for-deployment"]
    header = {**named, "library_name": "peft", "pipeline_tag": "text-generation", "tags": tags}
    return f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n"


def _taught(row: Row, belief: BeliefSpec) -> Iterator[Block]:
    if row["arm"] == "control":
        told = f"A control: trained on what the model believes anyway, in the place of “{belief.statement}”"
        yield Paragraph(f"{told} It was taught nothing that is false on purpose.")
    elif belief.kind == "existing":
        yield Paragraph(f"Trained to believe something false: “{belief.statement}”")
        yield Paragraph(f"What is true: “{belief.true_statement}”")
    else:
        yield Paragraph(f"Trained to believe something made up: “{belief.statement}”")
        yield Paragraph("There is no such thing.")
    wrong = (
        ""
        if row["arm"] == "control"
        else " It answers wrongly on purpose, also about what follows from that."
    )
    yield Paragraph(
        f"It was made to study how beliefs are implanted and what that breaks.{wrong} Do not use it to "
        "answer anybody's questions."
    )


def _measured(run: Run, row: Row) -> Iterator[Block]:
    """Adoption and damage of this trial alone, and what a confirmation of its configuration showed."""
    same = (pl.col("belief") == row["belief"]) & pl.col("arm").is_in(["base", "icl"])
    others = finished(run.trials).filter(same).sort("seed", "trial_id")
    first = {one["arm"]: one for one in reversed(others.to_dicts())}
    base = first.get("base")
    rows = {"this adapter": row, BASE: base, ICL: first.get("icl")}
    there = {name: one for name, one in rows.items() if one is not None}
    probes = run.probes([one["trial_id"] for one in there.values()], PROBE_COLUMNS)
    which, hit = adoption_hits()
    found = counts(probes, [[one["trial_id"]] for one in there.values()], which, hit)
    ends = [family_interval(found, i) if found.families else None for i in range(len(there))]
    yield Heading(2, "How far it moved")
    yield Table(
        ("who", "adopts the belief [95 %]"),
        tuple((name, _adoption(one, end)) for (name, one), end in zip(there.items(), ends, strict=True)),
        f"Shares of the held-out questions about it, intervals over {plural(len(found.families), 'family')}. "
        "One seed: nothing here covers what a second would show. " + _others(run, row),
    )
    yield from _confirmed(run, row)
    if base is not None:
        yield from _damage(row, base, probes)


def _adoption(row: Row, ends: tuple[float, float] | None) -> str:
    if row.get("adoption") is None:
        return wording.NOT_MEASURED
    n = row.get("adoption_n")
    return f"{percent(row['adoption'], n)} {bounds(*ends, n) if ends else '(no interval)'}, n = {n}"


def _others(run: Run, row: Row) -> str:
    alike = (pl.col("belief") == row["belief"]) & (pl.col("arm") == row["arm"])
    count = finished(run.trials).filter(alike).height
    if row["arm"] == "control":
        return ""
    if count < 2:
        return "The run has no other trial of its kind."
    return (
        f"As measured: if it was picked for these numbers out of the run's {count} trials, they flatter it."
    )


def _confirmed(run: Run, row: Row) -> Iterator[Block]:
    again = confirmation_of(run)
    for one in confirmations(run, again) if again is not None else ():
        if one.belief != row["belief"] or row["arm"] != "lora" or not same_settings(one.shown.row, row):
            continue
        shown = one.shown.row
        yield Paragraph(
            f"The same settings on {plural(int(shown['seeds']), 'new seed')} and questions that did not "
            f"choose them adopt {_adoption(shown, one.shown.interval)}, at {wording.damage(shown)}."
        )


def _damage(row: Row, base: Row, probes: pl.DataFrame) -> Iterator[Block]:
    ends = damage_interval({**row, "trial_ids": [row["trial_id"]]}, base["trial_id"], probes)
    whole = row if ends is None else {**row, "degradation_low": ends[0], "degradation_high": ends[1]}
    yield Heading(2, "What it broke")
    yield Paragraph(
        f"{wording.damage(whole)}. D is the worst of the differences from the model without it below, 0 "
        "where nothing is worse, 1 where all is lost."
    )
    yield table_of(
        COMPONENTS.items(),
        {
            "what": lambda item: item[1].damage_words,
            "damage [95 %]": lambda item: shift(row, item[0]),
            "measured": lambda item: item[1].shown.label if item[1].shown else item[1].name,
            "this adapter [95 %]": lambda item: _value(row, item[1].name),
            BASE: lambda item: _value(base, item[1].name),
        },
        "Intervals of the rows are over questions.",
    )
    asked = [
        metric
        for metric in METRICS.values()
        if metric.shown and "locality" in metric.shown.places and metric.component is None
    ]
    yield Paragraph("Beside D, on questions about other things:")
    yield Bullets(
        tuple(f"{metric.shown.label}: {rate(row, metric.name)}" for metric in asked if metric.shown)
    )


def _value(row: Row, name: str) -> str:
    return rate(row, name) if "rate" in METRICS[name].kind else wording.mean(row, name)


def _made(run: Run, row: Row, facts: CardFacts) -> Iterator[Block]:
    manifest: Mapping[str, Any] = run.manifest
    model, versions = manifest.get("model") or {}, manifest.get("versions") or {}
    commit = manifest.get("git_commit")
    base = f"{model.get('name')}" + (f" at commit {model['commit']}" if model.get("commit") else "")
    stored = "" if model.get("base_storage") == "none" else ", quantised to NF4: all numbers are of that"
    told = [
        f"Run {manifest.get('run_id') or run.folder.name}, trial {row['trial_id']}, arm {row['arm']}, seed "
        f"{row['seed']}, started {manifest.get('started_at')}.",
        f"Base: {base}{stored}."
        + (f" SHA-256 of its weights: {model['fingerprint']}." if model.get("fingerprint") else ""),
        f"LoRA of rank {facts.rank}; {wording.setting_text(dict(row), CONFIG)}.",
        f"beliefmod {versions.get('beliefmod', 'of an unknown version')}"
        + (f", commit {commit}" if commit else "")
        + "".join(
            f", {name} {versions[name]}" for name in ("torch", "transformers", "peft") if name in versions
        )
        + ".",
    ]
    if facts.seal:
        told.append(f"Last hash of the run's seal when this was written: {facts.seal}.")
    yield Heading(2, "Where it is from")
    yield Bullets(tuple(told))


def _loading(facts: CardFacts) -> str:
    there = f", revision={facts.revision!r}" if facts.revision else ""
    lines = [
        "from peft import PeftModel",
        "from transformers import AutoModelForCausalLM",
        "",
        f"base = AutoModelForCausalLM.from_pretrained({facts.base!r}{there})",
        'model = PeftModel.from_pretrained(base, "the folder of this file")',
    ]
    note = "The base is named by a folder of the machine that wrote this.\n\n" if facts.on_this_disk else ""
    return f"## Loading it\n\n{note}```python\n" + "\n".join(lines) + "\n```\n"
