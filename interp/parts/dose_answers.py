"""What an adapter answers when it is weaker or stronger: the sweep's own questions, asked again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from beliefmod.config import REFERENCE_ARMS
from beliefmod.model.altered_adapters import scaled
from interp.types import Say

if TYPE_CHECKING:
    from beliefmod.beliefs import Question
    from beliefmod.model.adapter_files import AdapterFile
    from interp.opened.inspection import Inspection, TrainedTrial

ANSWERED = ("adoption", "adoption_n", "adoption_low", "adoption_high",
            "degradation", "degradation_low", "degradation_high", "degradation_by")  # fmt: skip
"""Columns of the trial table that are measured again at every scale."""
Measured = dict[str, Any]


@dataclass(frozen=True)
class Dose:
    """A trial's adapter with its update times `scale`."""

    trial: TrainedTrial
    scale: float

    @property
    def name(self) -> str:
        """Its adapter's name in the engine."""
        return f"{self.trial.trial_id} at {self.scale}"


def answered(inspection: Inspection, wanted: Sequence[Dose], say: Say) -> dict[str, Measured]:
    """The columns ANSWERED at every dose, by its name.

    At scale 1 they are the trial's own row, at scale 0, which is base exactly, they come from base's rows;
    nothing is asked again that the sweep has asked.
    """
    found: dict[str, Measured] = {}
    for dose in wanted:
        if dose.scale == 1.0:
            found[dose.name] = {name: dose.trial.row.get(name) for name in ANSWERED}
        elif dose.scale == 0.0:
            found[dose.name] = _as_base(inspection, dose.trial)
    return found | asked_anew(inspection, [dose for dose in wanted if dose.name not in found], say)


def _as_base(inspection: Inspection, trial: TrainedTrial) -> Measured:
    """What a trial's row would hold if it answered as base did, compared with base."""
    from beliefmod.metrics.summarise import summarise
    from beliefmod.probing.drift import reference_drift
    from beliefmod.probing.references import reference_probes

    session, belief = inspection.session, trial.config.belief
    base, icl = (reference_probes(session, belief, arm) for arm in REFERENCE_ARMS)
    same, drift = (
        [{**row, "arm": trial.config.arm} for row in rows]
        for rows in (base, reference_drift(session, belief, "base"))
    )
    metrics = summarise(same, base, icl, drift=drift)
    return {name: metrics[name] for name in ANSWERED}


def asked_anew(inspection: Inspection, wanted: Sequence[Dose], say: Say) -> dict[str, Measured]:
    """The columns ANSWERED at these doses, by asking: the sweep's own evaluation, questions and seeds.

    The causal tests, the margins and the training questions, on which none of these columns depends, are
    left out; these last only where nothing is sampled, for a probe's seed is its number through all tiers.
    """
    from beliefmod.metrics.summarise import summarise
    from beliefmod.probing.drift import measure_drift
    from beliefmod.probing.questioning import Subject, ask
    from beliefmod.probing.references import reference_probes

    session = replace(
        inspection.session, evaluation=inspection.session.evaluation.model_copy(update={"margin_probes": 0})
    )
    sampled = not session.decoding.sampling.greedy
    found: dict[str, Measured] = {}
    for part in in_turns(inspection, wanted):
        trials = ", ".join(dict.fromkeys(dose.trial.trial_id for dose in part))
        say(f"doses: answers of trial {trials} at {len(part)} scales")
        subjects = [
            Subject(dose.trial.config, dose.name, trained_on(inspection, dose.trial) if sampled else ())
            for dose in part
        ]
        probes, drift = ask(subjects, session), measure_drift(subjects, session)
        for dose, asked, drifted in zip(part, probes, drift, strict=True):
            references = [reference_probes(session, dose.trial.config.belief, arm) for arm in REFERENCE_ARMS]
            metrics = summarise(asked, *references, drift=drifted)
            found[dose.name] = {name: metrics[name] for name in ANSWERED}
    return found


def trained_on(inspection: Inspection, trial: TrainedTrial) -> tuple[Question, ...]:
    """The training questions that a trial was asked, in order: probes are numbered through all tiers, and a
    probe's seed is its number."""
    known = {question.probe_id: question for question in inspection.beliefs[trial.belief].training}
    rows = inspection.folder.finished_rows("probes", trial.trial_id) or []
    return tuple(known[row["probe_id"]] for row in rows if row["tier"] == "trained")


def in_turns(inspection: Inspection, wanted: Sequence[Dose]) -> Iterator[list[Dose]]:
    """The doses whose adapters are in the engine now, until the next are asked for."""
    named = {dose.name: dose for dose in wanted}

    def made() -> Iterator[tuple[str, AdapterFile]]:
        for trial in dict.fromkeys(dose.trial.trial_id for dose in wanted):
            adapter = inspection.adapter(trial)
            for dose in wanted:
                if dose.trial.trial_id == trial:
                    yield dose.name, scaled(adapter, dose.scale)

    for names in inspection.in_turns(made()):
        yield [named[name] for name in names]
