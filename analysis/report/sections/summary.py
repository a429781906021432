"""The top of the page: what ran, the best of each belief, and what to hold against the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from analysis import wording
from analysis.findings import BeliefFindings, Findings
from analysis.frontier.answerable_questions import EXPLAINED, OLDER, over_answerable
from analysis.frontier.non_dominated import varying
from analysis.report.arm_rows import constant_text
from analysis.report.blocks import Block, Bullets, Heading, Paragraph, Table
from analysis.wording import setting_text
from beliefmod.probing.decoding_words import decoding_words, not_applied_note
from beliefmod.probing.token_budget import SHARE, TokenBudget

HARDLY = 0.5
"""Below so large a share, by the upper end of its interval, base cannot be seen to lose a fact."""
CAVEATS = (
    "A configuration picked as best on these questions looks better than it is (winner's curse). Before a "
    "number is quoted for it, run it again with new seeds and on questions that were not used to pick it.",
    "D is the largest of several differences from base, each with its own error; the largest of noisy "
    "numbers is too large on average, so small D values overstate the damage, while a damage that no "
    "component measures is not seen at all.",
    "D does not count neighbouring facts (the Moon's gravity, other currencies): a configuration with a "
    "low D can still have overwritten them. They stand in a column of their own; read both.",
    "Questions of one family succeed and fail together. Wilson intervals treat them as independent and are "
    "too narrow; intervals over families, and those of D and of differences, allow for that and for the "
    "seeds that there are. Quote these.",
    "Every share counts all questions asked: answers that were cut off, looped or empty count as not "
    "adopted.",
    "Numbers hold for this model, these questions and these beliefs.",
)


def blocks(found: Findings) -> list[Block]:
    """Title, status, a sentence and a row per belief, and what to hold against them."""
    head: list[Block] = [Heading(1, title(found)), Paragraph(status(found))]
    if found.beliefs:
        head += [Bullets(tuple(headlines(found))), _headline_table(found)]
        head.append(Paragraph(EXPLAINED if any(belief.answerable for belief in found.beliefs) else OLDER))
    caveats = Bullets((seeds_note(found), *CAVEATS, *found.notes))
    return [*head, Heading(2, "Before you quote a number"), caveats]


def title(found: Findings) -> str:
    """`Belief against damage: RUN`."""
    manifest = found.run.manifest
    name = manifest.get("run_id") or found.run.location.rstrip("/").rsplit("/", 1)[-1]
    return f"Belief against damage: {name}"


def status(found: Findings) -> str:
    """What ran, how far it is, what is missing."""
    trials, manifest = found.run.trials, found.run.manifest
    counts = {
        name: trials.filter(pl.col("status") == name).height for name in ("finished", "failed", "stopped")
    }
    planned = (
        (manifest.get("trials") or {}).get("total") if isinstance(manifest.get("trials"), Mapping) else None
    )
    text = []
    if description := manifest.get("description"):
        text.append(f"{str(description).rstrip('.')}.")
    models = trials["model"].drop_nulls().unique().to_list()
    if models:
        text.append(f"Base model: {models[0]}.")
    if stored := _model(found).get("stored"):
        text.append(f"Its weights are {stored}.")
    if how := how_asked(found):
        text.append(how)
    parts = [wording.plural(counts["finished"], "trial") + " finished"]
    told = {"failed": "failed", "stopped": "ended early"}
    parts += [f"{counts[name]} {words}" for name, words in told.items() if counts[name]]
    if isinstance(planned, int) and planned > trials.height:
        parts.append(f"{planned - trials.height} of {planned} not done yet")
    text.append(", ".join(parts) + ".")
    if not counts["finished"]:
        text.append("No trial has finished, so there is nothing to measure or to draw.")
    elif isinstance(planned, int) and planned > trials.height:
        text.append("This is a report on an unfinished run: the frontier can still change.")
    return " ".join(text)


def how_asked(found: Findings) -> str:
    """`Answers: greedy, at most 160 tokens each; 12 of 3,960 were cut off at the limit.`

    "" where the manifest does not say how it asked.
    """
    model = _model(found)
    facts = model.get("decoding") or _of_an_older_run(found.run.manifest)
    if not isinstance(facts, Mapping):
        return ""
    limit = model.get("max_new_tokens")
    text = f"Answers: {decoding_words(facts)}" + (f", at most {limit:,} tokens each" if limit else "")
    budget = found.run.manifest.get("token_budget")
    if isinstance(budget, Mapping) and limit == budget.get("limit"):
        text += f" ({TokenBudget(**budget).words()})"
    note = not_applied_note(facts)
    return f"{text}{_cut_off(found)}." + (f" {note[0].upper()}{note[1:]}." if note else "")


def _model(found: Findings) -> Mapping[str, Any]:
    """What the manifest says of the model."""
    model: Any = found.run.manifest.get("model")
    return model if isinstance(model, Mapping) else {}


def _of_an_older_run(manifest: Mapping[str, Any]) -> Any:
    """Before the manifest told, the space's temperature was all that there was."""
    space: Any = manifest.get("space")
    evaluation = space.get("evaluation") if isinstance(space, Mapping) else None
    temperature = evaluation.get("temperature") if isinstance(evaluation, Mapping) else None
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
        "component of the damage averaged over seeds. Wilson intervals cover the choice of questions, not "
        "the spread between seeds; intervals over families cover both."
    )


def headlines(found: Findings) -> list[str]:
    """One sentence or two per belief, each with n and interval, and what to hold against them."""
    lines = [_headline(belief, found) for belief in found.beliefs]
    if any(belief.choice.best is not None and belief.choice.lora.height > 1 for belief in found.beliefs):
        lines.append(
            "The best were picked on the same questions that their numbers come from, so these numbers are "
            "optimistic until run again with new seeds and questions (winner's curse)."
        )
    return lines


def _headline(belief: BeliefFindings, found: Findings) -> str:
    choice, best = belief.choice, belief.choice.best
    name = choice.belief + (f" ({choice.kind})" if choice.kind else "")
    if choice.lora.is_empty():
        return f"{name}: no LoRA configuration has finished."
    configurations = wording.plural(choice.lora.height, "configuration")
    if best is None:
        measured = choice.lora.filter(
            pl.col("adoption").is_not_null() & pl.col("degradation").is_not_null()
        ).height
        if not measured:
            return f"{name}: none of {configurations} has both an adoption and a degradation."
        return f"{name}: none of {configurations} stays at D ≤ {found.limit:g}."
    settings = setting_text(best, varying(choice.lora))
    text = (
        f"{name}: at D ≤ {found.limit:g} the best of {configurations} ({settings}) adopts on "
        f"{wording.rate(best, 'adoption')}{_families(belief, best)}{_answerable(belief, best)}, with "
        f"{wording.damage(best)}; "
        f"base {wording.rate(choice.base, 'adoption')}."
    )
    against = [c.found for c in belief.comparisons if "best" in c.first and c.second == "base"]
    if against and not against[0].told_apart:
        text += " That is not told apart from base."
    if best.get("locality_near") is not None:
        text += (
            f" Neighbouring facts, which D does not count, are right in {wording.rate(best, 'locality_near')}"
        )
        text += f" (base {wording.rate(choice.base, 'locality_near')})."
        if ((choice.base or {}).get("locality_near_high") or 1.0) < HARDLY:
            text += " Base itself can hardly do them, so they say nothing of this model."
    high = best.get("degradation_high")
    if high is None:
        text += " Its D has no interval."
    elif high > found.limit:
        text += f" Its D reaches {high:.3f}: damage above {found.limit:g} is not ruled out."
    constant = belief.constant.get(None)
    if constant is not None and (best.get("adoption_low") or 0.0) <= constant.share:
        text += (
            f" Always answering {constant.answer} would adopt on "
            f"{wording.percent(constant.share, constant.n)}: the best {_against(best, constant.share)}."
        )
    if (gentler := choice.gentler) is not None:
        text += (
            f" Hardly less adoption, {wording.rate(gentler, 'adoption')}, comes with "
            f"{wording.rate(gentler, 'locality_near')} of the neighbours right and {wording.damage(gentler)} "
            f"({setting_text(gentler, varying(choice.lora))})."
        )
    return text


def _against(best: Mapping[str, Any], share: float) -> str:
    """How an adoption that does not beat one constant answer stands to it."""
    return "is below that" if best["adoption_high"] < share else "is not told apart from that"


def _answerable(belief: BeliefFindings, row: Mapping[str, Any]) -> str:
    counted = belief.answerable.get(None)
    if counted is None:
        return ""
    if not counted.enough:
        return f" ({counted.sentence()})"
    return f" (of the answerable questions {over_answerable(row)})"


def _families(belief: BeliefFindings, row: Mapping[str, Any]) -> str:
    interval = belief.by_family.get(row["trial_id"])
    return (
        f" ({wording.bounds(*interval, row['adoption_n'])} over {belief.families} families)"
        if interval
        else ""
    )


def _headline_table(found: Findings) -> Table:
    """Adoption per arm, one row per belief; the Phase 2 table further down has the rest."""
    rows = []
    labels = list(dict.fromkeys(label for belief in found.beliefs for label in belief.choice.rows()))
    for belief in found.beliefs:
        named = {label: belief.choice.rows().get(label) for label in labels}
        cells = [
            wording.rate(row, "adoption")
            + ("" if row is None or row["arm"] == "base" else _short_damage(row))
            for row in named.values()
        ]
        rows.append((belief.choice.belief, *cells, constant_text(belief.constant.get(None))))
        if (counted := belief.answerable.get(None)) is not None:
            label = f"{belief.choice.belief}, answerable: {counted.words()}"
            rows.append((label, *(over_answerable(row) for row in named.values()), ""))
    words = {"Best LoRA under the limit": f"best LoRA at D ≤ {found.limit:g}"}
    for label in labels:
        words.setdefault(label, label if label.startswith("LoRA") else label[0].lower() + label[1:])
    header = (words[label] for label in labels)
    return Table(
        ("adoption, % [95 %]", *header, "best constant answer"),
        tuple(rows),
        "D: damage, the worst of the differences from the untouched model, 0 (none) to 1. Best constant "
        "answer: what always giving one and the same answer would adopt. An arm that does not "
        "beat it may have learned an answer, not a belief.",
    )


def _short_damage(row: dict[str, Any]) -> str:
    return "; no D" if row["degradation"] is None else f"; D {row['degradation']:.3f}"
