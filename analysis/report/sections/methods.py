"""What the numbers mean and what to hold against them: how it was asked, seeds, intervals, caveats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis import wording
from analysis.findings import Findings
from analysis.frontier.answerable_questions import OLDER
from analysis.report import explained
from analysis.report.blocks import Block, Bullets, Heading, Paragraph
from analysis.report.taught import taught
from beliefmod.probing.decoding_words import decoding_words, not_applied_note
from beliefmod.probing.token_budget import SHARE, TokenBudget

READING = (
    "How to read every table is said under it in report.html, and by beliefmod docs reading. "
    f"{explained.TABLES}"
)
CAVEATS = (
    "The best was picked on the questions that its number comes from, so it looks better than it is "
    "(winner's curse). Quote what `beliefmod confirm RUN` shows on new seeds and other questions.",
    "D is the worst of several differences from base, each with its own error: small D overstate the damage, "
    "and a damage that no component measures is not seen, nor that of neighbouring facts.",
    "Questions of one family succeed and fail together. Wilson intervals treat them as independent and are "
    "too narrow; quote those over families, of D and of differences, which allow for that and for the seeds.",
    "Answers that were cut off, looped or empty count as not adopted.",
    "Numbers hold for this model, these questions and these beliefs.",
)


def blocks(found: Findings) -> list[Block]:
    """How it was asked, what is counted, the caveats, and what is missing or does not add up."""
    asked = asked_of(found)
    told = [Paragraph(asked)] if asked else []
    told.append(Paragraph(READING))
    for belief, said in taught(found).items():
        truth = f"true is: “{said.truth}”" if said.truth else "there is no such thing."
        told.append(
            Paragraph(
                f"{wording.sentence(belief)}: taught is “{said.statement}” This is {said.kind}; {truth}"
            )
        )
    if found.beliefs:
        told += [] if any(belief.answerable for belief in found.beliefs) else [Paragraph(OLDER)]
        told.append(Paragraph(f"Best: the highest adoption at D ≤ {found.limit:g}."))
    caveats = Bullets((seeds_note(found), *CAVEATS, *found.notes))
    return [Heading(2, "Methods and caveats"), *told, caveats]


def asked_of(found: Findings) -> str:
    """The model, how its weights are stored, and how it was asked."""
    text = []
    models = found.run.trials["model"].drop_nulls().unique().to_list()
    if models:
        text.append(f"Base model: {models[0]}.")
    if stored := model_facts(found).get("stored"):
        text.append(f"Its weights are {stored}.")
    if how := how_asked(found):
        text.append(how)
    return " ".join(text)


def how_asked(found: Findings) -> str:
    """`Answers: greedy, at most 160 tokens each; 12 of 3,960 were cut off at the limit.`

    "" where the manifest does not say how it asked.
    """
    model = model_facts(found)
    facts = model.get("decoding") or _of_an_older_run(found)
    if not isinstance(facts, Mapping):
        return ""
    limit = model.get("max_new_tokens")
    text = f"Answers: {decoding_words(facts)}" + (f", at most {limit:,} tokens each" if limit else "")
    budget = found.run.manifest.get("token_budget")
    if isinstance(budget, Mapping) and limit == budget.get("limit"):
        text += f" ({TokenBudget(**budget).words()})"
    note = not_applied_note(facts)
    return f"{text}{_cut_off(found)}." + (f" {note[0].upper()}{note[1:]}." if note else "")


def model_facts(found: Findings) -> Mapping[str, Any]:
    """What the manifest says of the model."""
    model: Any = found.run.manifest.get("model")
    return model if isinstance(model, Mapping) else {}


def _of_an_older_run(found: Findings) -> Any:
    """Before the manifest told, the space's temperature was all that there was."""
    temperature = found.evaluation("temperature")
    return {"temperature": temperature} if isinstance(temperature, (int, float)) else None


def _cut_off(found: Findings) -> str:
    if found.probes.is_empty():
        return ""
    count = int(found.probes["truncated"].fill_null(False).sum())
    text = f"; {count:,} of {found.probes.height:,} {'was' if count == 1 else 'were'} cut off at the limit"
    base = found.probes.filter(pl.col("arm") == "base")["truncated"].fill_null(False)
    if base.is_empty():
        return text
    cut = int(base.sum())
    few = "" if cut <= SHARE * base.len() else ", so truncation has little room to rise"
    return f"{text}, of base's own {cut:,} of {base.len():,} ({100 * cut / base.len():.1f} %){few}"


def seeds_note(found: Findings) -> str:
    """How many seeds stand behind a configuration, and what that allows."""
    seeds = sorted({int(n) for belief in found.beliefs for n in belief.choice.lora["seeds"]})
    if not seeds:
        return "No LoRA configuration has finished, so no seed has been measured."
    if seeds == [1]:
        return (
            "One seed per configuration: what another initialisation, choice of examples and data order "
            "would give is not known, and nothing here covers what a second seed would show."
        )
    text = f"{seeds[0]} seeds" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    return (
        f"{text} per configuration, pooled: adoption is all successes over all answers, D the worst "
        "component of the damage averaged over seeds."
    )
