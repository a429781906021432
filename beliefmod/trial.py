"""One trial, from configuration to row. The page to read first; Ray runs these same steps on many at once.

config -> training examples -> adapter -> probes, causal tests, drift -> verdicts -> row
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beliefmod.beliefs import Question
from beliefmod.config import REFERENCE_ARMS, TrialConfig, written
from beliefmod.data.examples import trained_questions, training_examples
from beliefmod.data.leakage import Leakage, audit, training_texts
from beliefmod.data.rewards import Rewards
from beliefmod.errors import UserError
from beliefmod.metrics.answerable import gates, marked
from beliefmod.metrics.summarise import summarise
from beliefmod.probing.drift import measure_drift, reference_drift
from beliefmod.probing.interview import Interview, ReferenceInterview
from beliefmod.probing.question_queue import Asker, QuestionQueue
from beliefmod.probing.questioning import Subject
from beliefmod.probing.quick_damage import quick_damage
from beliefmod.probing.references import ask_references, reference_probes
from beliefmod.probing.untrained import prepare_untrained
from beliefmod.run.by_hand import words_of
from beliefmod.run.source_adapters import source_adapter
from beliefmod.run.trace_files import supplied_traces

if TYPE_CHECKING:
    from beliefmod.engine.jobs import AdapterJob, StepReport
    from beliefmod.probing.session import Session
    from beliefmod.run.folder import RunFolder

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class TrialResult:
    """A finished trial: its row in `trials.parquet` and its rows of the tables probes, causal and drift."""

    row: dict[str, Any]
    probes: Rows
    causal: Rows
    drift: Rows


class TrialFailed(Exception):
    """A trial cannot give a result, for a reason of its own; other trials are not touched."""


@dataclass
class TrialRun:
    """A trial under way: what it was given and what its steps reported.

    Attributes:
        trained: the questions that its rows answer, or its prompt's examples, or that its vector is of.
        kept_epoch, kept_weights: where `stop_at_degradation` is set, the last epoch at whose end damage was
            not above it, 0 for none, and the adapter of that time.
        stop_reason: why training ended before its last step, in words.
        fact_tokens: tokens with loss in rows about the belief, over all epochs.
        leakage: what of the held-out probes stands in its training texts.
    """

    config: TrialConfig
    job: AdapterJob | None
    trained: Sequence[Question]
    fact_tokens: int = 0
    leakage: Leakage | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    trained_at: float | None = None
    kept_epoch: int = 0
    kept_weights: dict[str, Any] | None = None
    stop_reason: str | None = None

    def note(self, report: StepReport) -> None:
        """Take down one optimiser step.

        Raises:
            TrialFailed: the trial's numbers are no longer finite.
        """
        self.steps.append(
            {
                "trial_id": self.config.trial_id,
                "step": report.step,
                "loss": report.loss,
                "learning_rate": report.learning_rate,
                "grad_norm": report.grad_norm,
                **report.terms,
                **report.own_answers,
            }
        )
        if report.error:
            raise TrialFailed(report.error)
        if report.finished:
            self.trained_at = time.monotonic()


def run_trial(
    config: TrialConfig,
    session: Session,
    folder: RunFolder | None = None,
    on_step: Callable[[StepReport], None] | None = None,
) -> TrialResult:
    """Train, question and judge one trial; write its files if a folder is given.

    Raises:
        TrialFailed, UserError: the trial cannot give a result; the message says why.
    """
    run = prepare(config, session)
    try:
        if run.job:
            session.engine.attach(run.job)
            while run.trained_at is None:
                for report in session.engine.train_step():
                    run.note(report)
                    if on_step:
                        on_step(report)
                    stop_where_damaged([run], session)
        found: list[TrialResult | Exception] = []
        conclude([run], session, folder, lambda _, result: found.append(result))
        [result] = found
        if isinstance(result, Exception):
            raise result
        return result
    finally:
        release(run, session)


def prepare(config: TrialConfig, session: Session) -> TrialRun:
    """What a trial needs before its first step, or before its questions: its examples as token rows.

    Raises:
        UserError: the belief is gone, or has too few examples or traces, or an arm without training cannot be
            had of the model.
    """
    from beliefmod.engine.jobs import AdapterJob

    session = session.of(config.template)
    belief = session.belief(config.belief)
    if not config.is_trained:
        # as it is from the start: nothing about it is still to come
        return TrialRun(config, None, prepare_untrained(config, session), trained_at=time.monotonic())
    written = session.self_generated
    own, other = config.own_traces
    traces = written.traces(config, belief) if own else ()
    other_traces = written.traces(config, belief, other=True) if other else ()
    named = config.data.traces if config.data.style == "supplied_trace" else None
    supplied = supplied_traces(named, belief, session.folder) if named else ()
    evaluated = (*belief.heldout, *belief.locality, *session.capability)
    neutral = written.neutral_rows(config, evaluated) if config.uses_neutral_rows else ()
    examples = training_examples(
        config,
        belief,
        session.loaded.tokenizer,
        traces=traces,
        other_traces=other_traces,
        supplied=supplied,
        written=written.documents(config, belief) if config.data.asks_for_documents else (),
        neutral=neutral,
    )
    questions = [question for example in examples for question in example.questions]
    rewards = Rewards(config, belief, questions, session.decode, session.opened_by)
    begins = config.lora.start_from
    job = AdapterJob(
        config.trial_id,
        config,
        tuple(example.row for example in examples),
        neutral if config.objective.kl_to_base else (),
        tuple(example.rejected for example in examples if example.rejected),
        rewards.of if config.objective.writes else None,
        rewards.prompts_in_context(session.prompts) if config.objective.writes else (),
        start=source_adapter(begins, session.folder) if config.has_adapter and begins else None,
    )
    fact_tokens = sum(example.row.answer_length for example in examples if example.about_belief)
    return TrialRun(
        config,
        job,
        trained_questions(examples),
        fact_tokens * config.num_train_epochs,
        audit(training_texts(examples, session.loaded.tokenizer), belief.heldout),
    )


def stop_where_damaged(runs: Sequence[TrialRun], session: Session) -> None:
    """Of runs that have just ended an epoch, measure damage, and end those whose `stop_at_degradation` it is
    above with the adapter of the last epoch that was not; runs without such a limit are left alone."""
    due = [
        run
        for run in runs
        if run.config.stop_at_degradation is not None
        and run.config.has_adapter
        and len(run.steps) % run.config.steps_per_epoch == 0
    ]
    if not due:
        return
    for run, damage in zip(due, quick_damage([run.config for run in due], session), strict=True):
        config, engine = run.config, session.engine
        epoch, limit = len(run.steps) // config.steps_per_epoch, config.stop_at_degradation
        run.steps[-1]["quick_degradation"] = damage.value
        weights = engine.state_dict(config.trial_id)["weights"]
        if damage.value is None or limit is None or damage.value <= limit:
            run.kept_epoch, run.kept_weights = epoch, weights
            continue
        # with B at 0 an adapter adds nothing
        kept = run.kept_weights or {name: (a, b * 0) for name, (a, b) in weights.items()}
        engine.end_early(config.trial_id, run.kept_epoch * config.steps_per_epoch, kept)
        run.trained_at, run.kept_weights = time.monotonic(), None
        run.stop_reason = (
            f"D {damage.value:.3f} by {damage.by} after epoch {epoch} of {config.num_train_epochs} is above "
            f"{limit:g}; the adapter of epoch {run.kept_epoch} is kept"
        )


def cut_short(run: TrialRun, config: TrialConfig) -> TrialRun:
    """What the run of a shorter trial would be now, at its end: `run` with fewer epochs, up to this step."""
    assert run.job is not None
    return TrialRun(
        config,
        replace(run.job, trial_id=config.trial_id, config=config),
        run.trained,
        fact_tokens=run.fact_tokens // run.config.num_train_epochs * config.num_train_epochs,
        leakage=run.leakage,
        steps=[{**step, "trial_id": config.trial_id} for step in run.steps],
        started=run.started,
        trained_at=time.monotonic(),
    )


def conclude(
    runs: Sequence[TrialRun],
    session: Session,
    folder: RunFolder | None,
    ended: Callable[[TrialRun, TrialResult | Exception], None],
) -> None:
    """Question trained (or reference) trials side by side. With its last answer each is judged, its files are
    written, and `ended` gets its result, or what went wrong with it alone.

    Differences from base, and the questions that this model can answer, are taken from the reference arms of
    the sweep's first seed, whatever a trial's own seed is. They are known first, and drift is measured before
    the first answer: base reads the texts once for all trials, and no answers take memory meanwhile.

    Raises:
        Exception: whatever goes wrong for all of them; those that have not ended can be questioned again.
    """
    with session.asking.timed():
        _conclude(runs, session, folder, ended)


def _conclude(
    runs: Sequence[TrialRun],
    session: Session,
    folder: RunFolder | None,
    ended: Callable[[TrialRun, TrialResult | Exception], None],
) -> None:
    asked_at = time.monotonic()
    for alike, group in _alike(runs, session):
        ask_references(alike, [run.config.belief for run in group])
    drift, queue = _drift(runs, session), QuestionQueue(session)
    askers: list[tuple[Asker[TrialResult], Interview | ReferenceInterview]] = []

    def told(run: TrialRun, result: TrialResult | Exception) -> None:
        if not run.config.is_reference:
            session.asking.ended()
        ended(run, result)

    for run in runs:
        alike, config = session.of(run.config.template), run.config
        if config.is_reference:
            interview = ReferenceInterview(alike, config.belief, config.arm)
        else:
            interview = Interview(_subject(run), alike)

        judged = partial(_judge, run, interview, drift[config.trial_id], asked_at, session, folder)
        askers.append((Asker(queue, judged, partial(told, run)), interview))
    # references have been asked all but their causal tests
    with session.asking.subjects(sum(not run.config.is_reference for run in runs)):
        for asker, interview in askers:
            asker.ask(interview.ask)
        queue.run()


def _judge(
    run: TrialRun,
    interview: Interview | ReferenceInterview,
    drift: Rows,
    asked_at: float,
    session: Session,
    folder: RunFolder | None,
) -> TrialResult:
    """The result of a trial that has answered everything; its files are written."""
    config = run.config
    alike = session.of(config.template)  # base as it is asked with this trial's switches
    probes, causal = interview.rows()
    base, icl = (reference_probes(alike, config.belief, arm) for arm in REFERENCE_ARMS)
    novel = session.belief(config.belief).spec.kind == "novel"
    probes = marked(probes, gates(base, icl, novel=novel))
    row = {
        **_identity(config, session),
        "status": "finished",
        **summarise(probes, base, icl, causal=causal, drift=drift),
        **_effort(run, (*probes, *causal)),
        "evaluate_seconds": time.monotonic() - asked_at,
        "finished_at": now(),
    }
    result = TrialResult(row, probes, causal, drift)
    if folder is not None:
        _store(run, result, session, folder)
    return result


def _alike(runs: Sequence[TrialRun], session: Session) -> Iterator[tuple[Session, list[TrialRun]]]:
    """Trials that share the switches of the chat template, with the session that asks with them."""
    for template in dict.fromkeys(run.config.template for run in runs):
        yield session.of(template), [run for run in runs if run.config.template == template]


def _drift(runs: Sequence[TrialRun], session: Session) -> dict[str, Rows]:
    """Drift rows by trial: of those that are compared together, of the reference arms from the session."""
    found: dict[str, Rows] = {}
    for alike, group in _alike(runs, session):
        fresh = [_subject(run) for run in group if not run.config.is_reference]
        rows = measure_drift(fresh, alike)
        found |= {subject.config.trial_id: drift for subject, drift in zip(fresh, rows, strict=True)}
        for config in (run.config for run in group if run.config.is_reference):
            found[config.trial_id] = reference_drift(alike, config.belief, config.arm)
    return found


def _subject(run: TrialRun) -> Subject:
    """A trial that is no reference arm, to be questioned."""
    return Subject(run.config, run.config.trial_id if run.config.changes_model else None, run.trained)


def failed_row(config: TrialConfig, session: Session, error: str) -> dict[str, Any]:
    """The row of a trial that gave no result: every metric null, the reason in words."""
    try:
        identity = _identity(config, session)
    except UserError:  # the belief file itself may be what failed
        identity = {**_settings(config), "belief": Path(config.belief).stem, "model": session.loaded.name}
    return {**identity, "status": "failed", "error": error, "finished_at": now()}


def stopped_row(run: TrialRun, session: Session) -> dict[str, Any]:
    """The row of a trial that a scheduler, or somebody, has ended early: no metric, but how far it came."""
    return {
        **_identity(run.config, session),
        "status": "stopped",
        "steps": len(run.steps),
        "final_loss": run.steps[-1]["loss"] if run.steps else None,
        "train_seconds": (run.trained_at or time.monotonic()) - run.started,
        "finished_at": now(),
    }


def release(run: TrialRun, session: Session) -> None:
    """Free the trial's slot and drop its steering vector, whatever state it is in."""
    if run.config.trial_id in session.engine.attached():
        session.engine.release(run.config.trial_id)


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _settings(config: TrialConfig) -> dict[str, Any]:
    """Identity columns; settings that the arm does not use are null."""
    used = config.used_settings()
    leaves = {name: written(value) for name, value in config.leaves().items() if name in used}
    return {"trial_id": config.trial_id, **leaves}


def _identity(config: TrialConfig, session: Session) -> dict[str, Any]:
    spec = session.belief(config.belief).spec
    identity = {**_settings(config), "belief": spec.name, "kind": spec.kind, "model": session.loaded.name}
    by_hand = words_of(session.folder, config.trial_id) if session.folder is not None else None
    return {**identity, **({"by_hand": by_hand} if by_hand else {})}


def _effort(run: TrialRun, answers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    effort: dict[str, Any] = {"generated_tokens": sum(answer["tokens"] for answer in answers)}
    if run.job and run.trained_at is not None:
        rows, objective = run.job.rows, run.config.objective
        epochs = run.kept_epoch if run.stop_reason else run.config.num_train_epochs
        if run.stop_reason:
            effort |= {"kept_epoch": epochs, "stop_reason": run.stop_reason}
        read = sum(row.prompt_length for row in rows) * epochs
        supervised = sum(row.answer_length for row in rows) * epochs
        fact = run.fact_tokens // run.config.num_train_epochs * epochs
        if objective.writes:
            read *= objective.num_generations * objective.steps_per_batch
            kept_steps = run.steps[: epochs * run.config.steps_per_epoch]
            supervised = fact = round(sum(step["tokens_own_answers"] for step in kept_steps))
        effort |= {
            "training_rows": len(rows),
            "training_tokens": read + supervised,
            "supervised_tokens": supervised,
            "fact_tokens": fact,
            "steps": len(run.steps),
            "final_loss": run.steps[-1]["loss"],
            "train_seconds": run.trained_at - run.started,
            **(run.leakage.columns() if run.leakage else {}),
        }
    return effort


def _store(run: TrialRun, result: TrialResult, session: Session, folder: RunFolder) -> None:
    if run.config.has_adapter:
        trial_id = run.config.trial_id
        folder.store_adapter(lambda place: session.engine.save_adapter(trial_id, place), trial_id)
    folder.write_trial(result.row, result.probes, run.steps, result.causal, result.drift)
