"""A trial's value at the end of an epoch, by which a scheduler tells who falls behind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from beliefmod.beliefs import Belief, Question
from beliefmod.config import TrialConfig
from beliefmod.metrics.selection_split import selection_split
from beliefmod.probing.questioning import spread
from beliefmod.probing.session import QUICK_PROBE, Session, probe_seed
from beliefmod.reading.verdict import judge_question
from beliefmod.space import TAUGHT_ARMS, NoScheduler, Scheduler

if TYPE_CHECKING:
    from beliefmod.trial import TrialRun

Row = Mapping[str, Any]


def epoch_now(config: TrialConfig, steps: int) -> int | None:
    """The epoch, counted from 1, that ends with this many steps; None within an epoch."""
    per_epoch = config.total_steps // config.num_train_epochs if config.is_trained else 0
    return steps // per_epoch if per_epoch and steps and steps % per_epoch == 0 else None


def is_due(scheduler: Scheduler, run: TrialRun) -> bool:
    """Whether a run stands at the end of an epoch at which the scheduler compares, and not at its own end."""
    if run.config.arm not in TAUGHT_ARMS or run.trained_at is not None:
        return False
    epoch = epoch_now(run.config, len(run.steps))
    return epoch is not None and scheduler.compares_at(epoch)


def epoch_loss(config: TrialConfig, steps: Sequence[Row], epoch: int) -> float | None:
    """Mean training loss (nat per token) over the steps of an epoch; None if some of them are not there.

    Args:
        steps: rows of the trial's steps table.
    """
    per_epoch = config.total_steps // config.num_train_epochs
    losses = [row["loss"] for row in steps if (epoch - 1) * per_epoch < row["step"] <= epoch * per_epoch]
    if len(losses) < per_epoch or not all(loss is not None and math.isfinite(loss) for loss in losses):
        return None
    return sum(losses) / len(losses)


def measure(scheduler: Scheduler, runs: Sequence[TrialRun], session: Session) -> list[float | None]:
    """Each run's value at the epoch that it has just ended.

    For adoption the runs are asked together, decoded as the finished trials are that they are compared with,
    and the value is written into the last row of each run's steps, where a resumed sweep finds it.
    """
    if isinstance(scheduler, NoScheduler):
        return [None for _ in runs]
    if scheduler.metric.name == "loss":
        return [epoch_loss(run.config, run.steps, _epoch(run)) for run in runs]
    adoption = _quick_adoption(scheduler.metric.quick_probes, runs, session)
    for run, value in zip(runs, adoption, strict=True):
        run.steps[-1]["quick_adoption"] = value
    return adoption


def final_value(scheduler: Scheduler, run: TrialRun, row: Row) -> float | None:
    """The value of a finished trial at its last epoch, for the trials that are compared with it."""
    if run.config.arm not in TAUGHT_ARMS or isinstance(scheduler, NoScheduler):
        return None
    if scheduler.metric.name == "loss":
        return epoch_loss(run.config, run.steps, run.config.num_train_epochs)
    return row.get("adoption")


def quick_questions(belief: Belief, count: int) -> list[Question]:
    """Held-out questions of one turn, evenly spread over the selection half: the other half must not choose.

    A belief whose selection half has none is asked from both halves.
    """
    half = selection_split(belief.heldout)
    asked = [q for q in belief.heldout if q.tier != "robustness" and q.follow_up is None]
    return spread([q for q in asked if half[q.family] == "selection"] or asked, count)


def _quick_adoption(count: int, runs: Sequence[TrialRun], session: Session) -> list[float | None]:
    from beliefmod.engine.jobs import GenerateRequest

    asked: list[tuple[int, Belief, Question]] = []
    requests = []
    alike = [session.of(run.config.template) for run in runs]
    for place, run in enumerate(runs):
        belief = session.belief(run.config.belief)
        for number, question in enumerate(quick_questions(belief, count)):
            # by its number among the run's own questions, whoever is asked beside it
            seed = probe_seed(run.config.seed, QUICK_PROBE + number)
            prompt = alike[place].prompts.ids(question.text)
            requests.append(GenerateRequest(run.config.trial_id, prompt, seed))
            asked.append((place, belief, question))
    decoding = session.decoding
    answers = session.engine.generate(
        requests, max_new_tokens=decoding.max_new_tokens, sampling=decoding.sampling
    )
    adopted: list[list[bool]] = [[] for _ in runs]
    for (place, belief, question), answer in zip(asked, answers, strict=True):
        text, opened_by = alike[place].decode(answer.token_ids), alike[place].opened_by
        verdict = judge_question(question, belief.spec, text, answer.finish_reason, opened_by=opened_by)
        adopted[place].append(verdict.answer_stance == "target")
    return [sum(found) / len(found) if found else None for found in adopted]


def _epoch(run: TrialRun) -> int:
    epoch = epoch_now(run.config, len(run.steps))
    assert epoch is not None
    return epoch
