"""A trial's verdicts and metrics once more, from its raw completions. Pure: rows in, rows out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beliefmod.beliefs import Belief, Question, counterfactual, third_value
from beliefmod.config import TrialConfig
from beliefmod.metrics.registry import COMPONENTS, METRICS
from beliefmod.probing.probes import Probe, probe_row, probes_for
from beliefmod.reading.causal_verdicts import cut_thinking, debate_verdicts, first_part, score_causal
from beliefmod.reading.rewording import edit_value, paraphrase
from beliefmod.reading.sentence_cuts import count_sentences, cut_sentences
from beliefmod.run.seal.raw import RAW_PROBE
from beliefmod.run.sources import Sources
from beliefmod.space.chat_format import ThinkingKind
from beliefmod.space.space import AnsweringEngine

Row = Mapping[str, Any]
TOLERANCE = 1e-9
_NOT_SAMPLED = {"kept_sentences": None, "sample": None}


@dataclass(frozen=True)
class Difference:
    """A stored value that is not the recomputed one. `where`: column, with what it belongs to."""

    where: str
    stored: Any
    again: Any

    def __str__(self) -> str:
        return f"{self.where}: stored {_short(self.stored)}, recomputed {_short(self.again)}"


def metric_columns() -> tuple[str, ...]:
    """Every column of a trial's row that follows from its probe, causal and drift rows."""
    names = [column for metric in METRICS.values() for column in metric.columns]
    names += ["normalised_adoption", "depth", "depth_low", "depth_high"]
    names += ["degradation", "degradation_low", "degradation_high", "degradation_by"]
    names += ["degradation_status", "degradation_no_room"]
    for name in COMPONENTS:
        names += [f"{name}_base", f"{name}_damage", f"{name}_damage_low", f"{name}_damage_high"]
    return tuple(names)


def comparable(stored: Row, again: Row) -> list[str]:
    """The metric columns in which a stored row must agree with the recomputed one.

    In a run from before components without room were left out of D, D is compared only where there are none.
    """
    names = list(metric_columns())
    if stored.get("degradation_status") is None:
        older = "degradation" if again["degradation_no_room"] else "degradation_status"
        names = [name for name in names if not name.startswith(older)]
    return names


def later_metrics(row: Row) -> tuple[str, ...]:
    """Metrics that a finished trial's row has nothing of, not even an n of 0: newer than the trial."""
    return tuple(
        name for name, metric in METRICS.items() if all(row.get(column) is None for column in metric.columns)
    )


def same(one: Any, two: Any) -> bool:
    """Equal; floats within 1e-9, absolute or relative."""
    if isinstance(one, float) and isinstance(two, (int, float)) and not isinstance(two, bool):
        return math.isclose(one, two, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return one == two


def differences(stored: Row, again: Row, columns: Iterable[str], prefix: str = "") -> Iterator[Difference]:
    """The columns in which two rows differ; an absent value is null."""
    for name in columns:
        if not same(stored.get(name), again.get(name)):
            yield Difference(f"{prefix}{name}", stored.get(name), again.get(name))


def expected_probes(
    belief: Belief, sources: Sources, template: str | None = None
) -> dict[tuple[str, str], Probe]:
    """The probes that every arm of a belief is asked, by suite and name; training questions are apart.

    Args:
        template: the switches of the chat template that the arms have (`TrialConfig.template`).
    """
    probes = probes_for(
        belief,
        sources.capability(template),
        (),
        trained_probes=0,
        margin_probes=0,
        fabrication=sources.fabrication,
        confession=sources.confession,
    )
    return {(probe.question.suite, probe.question.probe_id): probe for probe in probes}


def probe_again(
    row: Row,
    probe: Probe,
    config: TrialConfig,
    belief: Belief,
    opened_by: ThinkingKind = "prompt",
    engine: AnsweringEngine = "ours",
) -> dict[str, Any]:
    """A probe row written again: raw measurements as stored, everything else from question and completion.

    Args:
        engine: that the run's space has answers written by; rows older than the column say nothing of it.
    """
    again = probe_row(
        config,
        belief,
        probe,
        prompt=row["prompt"],
        completion=row["completion"],
        token_ids=row["token_ids"],
        finish_reason=row["finish_reason"],
        first_turn=row["first_turn"],
        opened_by=opened_by,
        engine=None if row.get("engine") is None else engine,
    )
    return {**again, **{name: row[name] for name in RAW_PROBE}}


def debate_again(
    row: Row, question: Question, belief: Belief, own: Row, opened_by: ThinkingKind = "prompt"
) -> dict[str, Any]:
    """A debate's row written again: argument and completion as stored, the verdicts on them anew.

    Args:
        own: the arm's probe row of the question. opened_by: who opens the model's thinking.
    """
    verdicts = debate_verdicts(
        question,
        belief.spec,
        row["completion"],
        row["argument"],
        own,
        finish_reason=row["finish_reason"],
        opened_by=opened_by,
    )
    about = {"family": question.family, "tier": question.tier, "question": question.text}
    return {**row, **about, "thinking": None, "edited_to": None, "fraction": None, **_NOT_SAMPLED, **verdicts}


def causal_again(row: Row, question: Question, belief: Belief, own: Row, other: Row | None) -> dict[str, Any]:
    """A causal row written again: the thinking that was put in, and the verdicts on what followed.

    Args:
        own: the arm's probe row of the question.
        other: the probe row whose thinking a swap puts in: base's, for base the in-context arm's.
    """
    spec, test = belief.spec, row["test"]
    rival, edited_to = None, None
    fraction = row["fraction"] if test == "truncate" else None
    if test == "edit":
        value = third_value(spec)
        rival = None if value is None else counterfactual(spec, question, value)
        edited_to = None if value is None else value.bare()
        thinking = None if value is None else edit_value(own["thinking"], spec, value)
    elif test == "truncate":
        thinking = cut_thinking(own["thinking"], row["fraction"])
    elif test == "paraphrase":
        thinking = paraphrase(own["thinking"])
    elif test == "swap":
        thinking = None if other is None else other["thinking"]
    elif test == "less_think":
        thinking = first_part(own["thinking"])
    elif test == "resample":
        thinking, fraction = _kept(own["thinking"], row["kept_sentences"])
    else:
        thinking = "" if test in ("blank", "zero_think") else None
    before = row["thinking"] or ""
    # these are left open, for the model to go on with
    opened = test in ("edit", "resample")
    whole = f"{before}{row['completion']}" if opened else f"{before}\n</think>\n\n{row['completion']}"
    verdict = score_causal(question, spec, whole, own, finish_reason=row["finish_reason"], rival=rival)
    return {
        **row,
        "family": question.family,
        "tier": question.tier,
        "question": question.text,
        "thinking": thinking,
        "edited_to": edited_to,
        "fraction": fraction,
        **(_NOT_SAMPLED if test != "resample" else {}),
        **verdict,
    }


def effort(probes: Sequence[Row], causal: Sequence[Row], steps: Sequence[Row]) -> dict[str, Any]:
    """Counts of a trial's row that its tables show: generated tokens, optimiser steps, last loss."""
    found: dict[str, Any] = {"generated_tokens": sum(row["tokens"] for row in (*probes, *causal))}
    if steps:
        found |= {"steps": len(steps), "final_loss": max(steps, key=lambda row: row["step"])["loss"]}
    return found


def _kept(thinking: str, kept: int | None) -> tuple[str | None, float | None]:
    """The first so many sentences of a thinking, and their share of all; None where it has fewer."""
    count = count_sentences(thinking)
    if kept is None or not 0 <= kept <= count or not count:
        return None, None
    return cut_sentences(thinking, kept), kept / count


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else "null" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"
