"""The methods paragraph of a paper, from what the manifest and the tables of a run say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from analysis import wording
from analysis.findings import BeliefFindings, Findings
from analysis.frontier.non_dominated import CONFIG, varying
from analysis.report.explained import NO_HALVES
from analysis.report.sections.confirmed import procedure
from analysis.report.sections.methods import how_asked, model_facts, seeds_note
from analysis.studies.confirm import confirmation_of
from beliefmod.config import DataConfig
from beliefmod.metrics.registry import COMPONENTS, DAMAGE_BUDGET

STORED = {
    "dequantized": "quantised to NF4 and unpacked once",
    "nf4": "quantised to NF4 and kept packed",
    "none": "not quantised",
}
REFERENCES = {
    "base": "the model as it is",
    "icl": "the model with the statement in its prompt",
    "control": "adapters trained the same way on what the model already believes",
    "full": "full fine-tuning",
    "prompt": "the statement in other places of the prompt",
    "few_shot": "solved examples in the prompt",
    "steering": "a vector added to the residual stream",
    "adapter": "saved adapters, scaled, cut to layers or merged",
}
SOFTWARE = (
    "beliefmod",
    "python",
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "ray",
    "scipy",
    "statsmodels",
)
FEW = 6
"""So many values of a setting are named one by one, more by their ends."""


def methods_paragraph(found: Findings) -> str:
    """What was trained on what, how it was asked and measured, and with which software.

    Plain text, to be escaped; what the run's files do not say is left out.
    """
    asked = how_asked(found)
    told = (_model(found), *_trained(found), _references(found), asked, *map(_questions, found.beliefs),
            _damage(found), INTERVALS, _confirmed(found), *_made(found))  # fmt: skip
    return " ".join(part for part in told if part)


def _model(found: Findings) -> str:
    facts = model_facts(found)
    names = found.run.trials["model"].drop_nulls().unique().sort().to_list()
    name = facts.get("name") or wording.listed(names)
    if not name:
        return ""
    of = [f"revision {facts['revision']}"] if facts.get("revision") else []
    told = {"commit": "commit", "fingerprint": "SHA-256 of its weights"}
    of += [f"{words} {short(facts[fact])}" for fact, words in told.items() if facts.get(fact)]
    text = f"The model is {name}" + (f" ({', '.join(of)})" if of else "")
    if (storage := facts.get("base_storage")) in STORED:
        layers = facts.get("quantized_layers")
        whose = f"its {layers:,} linear layers" if layers and storage != "none" else "its weights"
        text += f", {whose} {STORED[storage]}"
    if facts.get("stored"):
        text += f" ({facts['stored']})"
    return text + (f", computed in {facts['dtype']}." if facts.get("dtype") else ".")


def _trained(found: Findings) -> Iterator[str]:
    """What LoRA was trained to believe, with which settings, on what, over which seeds."""
    lora = found.pooled.filter(pl.col("arm") == "lora") if found.pooled.height else found.pooled
    if lora.is_empty():
        return
    beliefs = [_implanted(belief) for belief in found.beliefs]
    moving = varying(lora)
    text = f"LoRA adapters were trained to implant {wording.listed(beliefs)}"
    if moving:
        text += ", in configurations that differ in " + wording.listed(
            [_values(lora, name) for name in moving]
        )
    fixed = [name for name in CONFIG if name not in moving and lora[name][0] is not None]
    yield f"{text}; all had {wording.setting_text(lora.row(0, named=True), fixed)}."
    styles = _styles()
    data = [f"{style} is {styles[style]}" for style in sorted(set(lora["data.style"])) if style in styles]
    if data:
        yield f"Training data: {'; '.join(data)}."
    if seeds := found.run.manifest.get("seeds"):
        yield f"Planned seeds: {', '.join(map(str, seeds))}."
    yield seeds_note(found)


def _implanted(belief: BeliefFindings) -> str:
    """`gravity (existing, 8 configurations)`."""
    facts = (belief.choice.kind, wording.plural(belief.choice.lora.height, "configuration"))
    return f"{belief.choice.belief} ({', '.join(one for one in facts if one)})"


def _values(lora: pl.DataFrame, name: str) -> str:
    """`learning rate (2e-4, 1e-3)`: what a setting was, over all configurations."""
    values = lora[name].drop_nulls().unique().sort().to_list()
    texts = [wording.setting_value(value) for value in values]
    shown = ", ".join(texts) if len(texts) <= FEW else f"{len(texts):,} values from {texts[0]} to {texts[-1]}"
    return f"{wording.setting_name(name)} ({shown})"


def _styles() -> dict[str, str]:
    """What the rows of each style are, as the setting describes itself; without its asides."""
    described = str(DataConfig.model_fields["style"].description)
    parts = (part.partition(": ") for part in described.split("; "))
    return {name: re.sub(r" \([^)]*\)", "", words) for name, _, words in parts}


def _references(found: Findings) -> str:
    arms = set(found.pooled["arm"]) if found.pooled.height else set()
    there = [words for arm, words in REFERENCES.items() if arm in arms]
    return f"Beside them stand {wording.listed(there)}." if there else ""


def _questions(belief: BeliefFindings) -> str:
    base = belief.choice.base
    if not base or not base.get("adoption_n"):
        return ""
    of = f" in {belief.families} families" if belief.families else ""
    return (
        f"Adoption of {belief.choice.belief} is the share of {base['adoption_n']} held-out questions{of} "
        "that are answered with the implanted belief."
    )


def _damage(found: Findings) -> str:
    names = wording.listed([metric.damage_words for metric in COMPONENTS.values()])
    return (
        f"Damage D is the largest difference from the model as it is over {names}; the best configuration is "
        f"the one that adopts most at D ≤ {found.limit:g}."
    )


INTERVALS = (
    "Intervals are at 95 %. Those of adoption over families are the posterior of the mean of beta-binomial "
    "families, widened where seeds differ by more than the noise of their answers; differences and D allow "
    "for families and seeds too; other rates have Wilson's over questions, means have t intervals."
)


def _confirmed(found: Findings) -> str:
    """How finalists were confirmed, from what the confirmation's own manifest says it was begun with."""
    again = confirmation_of(found.run)
    if again is None:
        return "No configuration was confirmed on new seeds and other questions."
    asked = again.manifest.get("confirmation") or {}
    told = procedure(again, float(asked.get("limit", DAMAGE_BUDGET)), asked.get("top"))
    lora = again.trials.filter(pl.col("arm") == "lora")
    done = lora.filter(pl.col("status") == "finished").height
    trained = f"{wording.plural(done, 'adapter')} of {wording.plural(lora.height, 'trial')} finished."
    return f"Confirmation: {told[0].lower()}{told[1:]} {NO_HALVES} {trained}"


def _made(found: Findings) -> Iterator[str]:
    """With which software and by which command."""
    manifest: Mapping[str, Any] = found.run.manifest
    versions = manifest.get("versions")
    if isinstance(versions, Mapping):
        known = [
            f"{name} {versions[name]}"
            for name in SOFTWARE
            if versions.get(name) not in (None, "not installed")
        ]
        if known:
            yield f"Software: {', '.join(known)}."
    if commit := manifest.get("git_commit"):
        yield f"Commit of beliefmod: {short(commit)}."
    if command := manifest.get("command"):
        yield f"Command: {command}"


def short(digest: str) -> str:
    """The first 12 digits of a hash, with a mark such as +dirty behind it: longer ones break no line."""
    digits, plus, mark = digest.partition("+")
    return f"{digits[:12]}{plus}{mark}"
