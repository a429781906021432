"""One optimiser step: where each trial stands, which rows it sees, and the losses and gradients."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from beliefmod.engine.batching import SlotRow, cut_passes, of_tokens
from beliefmod.engine.forward import FlatModel, flat_ids
from beliefmod.engine.jobs import AdapterJob, Rollout, StepReport
from beliefmod.engine.objectives import OBJECTIVES, Objective
from beliefmod.engine.objectives.grpo import token_log_probs
from beliefmod.engine.optimizer import lr_factor
from beliefmod.model.train_row import TrainRow

StepRows = Mapping[Objective, Sequence[SlotRow]]
"""The rows of one step by the term of the loss that they enter, sorted by slot."""
StepLosses = Mapping[str, Sequence[float]]
"""The value of each term that a step had, under its name, per slot."""


@dataclass
class TrialSteps:
    """A trial's way through its optimiser steps.

    Attributes:
        job: None for an adapter that takes none.
        written: its own answers for the coming step and those that follow on the same questions, once it has
            written them; of no use after these.
        own_answers: what they were, for the reports of these steps.
    """

    trial_id: str
    job: AdapterJob | None = None
    step: int = 0
    total_steps: int = 0
    error: str | None = None
    written: Sequence[Rollout] = ()
    own_answers: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def training(self) -> bool:
        """Whether there are steps left."""
        return self.job is not None and self.error is None and self.step < self.total_steps

    def rows(self, objective: Objective, slot: int) -> list[SlotRow]:
        """The rows of the coming step in one term of the loss; none where the trial goes without it."""
        assert self.job is not None
        factor = objective.factor(self.job.config)
        if not factor:
            return []
        settings, rows = self.job.config.objective, objective.rows(self.job, self.step, self.written)
        return [
            SlotRow(slot, row.row, row.weight, factor, settings, row.advantage, row.log_probs) for row in rows
        ]

    def advance(self, losses: StepLosses, slot: int, norm: float) -> StepReport:
        """Count a step whose gradients are there; `error` is set where its numbers are not finite."""
        assert self.job is not None
        config = self.job.config
        rate = config.learning_rate * lr_factor(
            config.lr_scheduler_type, self.step, config.warmup_steps, self.total_steps
        )
        self.step += 1
        loss = losses[config.objective.name][slot]
        weights = config.objective.weights
        terms = {name: losses[name][slot] if weight else None for name, weight in weights.items()}
        if config.objective.writes:
            self.own_answers = {**self.own_answers, "kl_own_answers": losses["kl_own_answers"][slot]}
            if self.step % config.objective.steps_per_batch == 0:
                self.written = ()
        whole = loss + sum(value for value in terms.values() if value is not None)
        if not math.isfinite(whole) or not math.isfinite(norm):
            what = "gradient norm" if math.isfinite(whole) else "loss"
            self.error = f"{what} was not finite at step {self.step} of {self.total_steps}"
        return self.report(rate, loss, norm, terms)

    def fail(self, error: str) -> StepReport:
        """End the trial for a reason that its numbers do not show."""
        self.error = error
        return self.report(0.0, math.nan, math.nan)

    def report(
        self, rate: float, loss: float, norm: float, terms: Mapping[str, float | None] | None = None
    ) -> StepReport:
        """What the step did; numbers that are not finite are left out."""
        return StepReport(
            trial_id=self.trial_id,
            step=self.step,
            total_steps=self.total_steps,
            loss=_finite(loss),
            learning_rate=rate,
            grad_norm=_finite(norm),
            finished=not self.training,
            error=self.error,
            terms={name: _finite(value) for name, value in (terms or {}).items()},
            own_answers={name: _finite(value) for name, value in self.own_answers.items()},
        )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def step_rows(trials: Sequence[tuple[TrialSteps, int]]) -> StepRows:
    """The rows of one step of several trials, each with its slot, in the order given."""
    found = {each: [row for trial, slot in trials for row in trial.rows(each, slot)] for each in OBJECTIVES}
    return {objective: rows for objective, rows in found.items() if rows}


def passes(rows: StepRows, pass_tokens: int) -> Iterator[tuple[Objective, list[SlotRow]]]:
    """The passes of a step, each of one term, so that what a term adds changes no bit of another.

    A pass whose rows base reads too has half of the tokens, for both of them need memory.
    """
    for objective, items in rows.items():
        most = pass_tokens // 2 if objective.needs_base else pass_tokens
        for part in cut_passes(items, most, objective.together):
            yield objective, part


def step_losses(model: FlatModel, base: FlatModel, rows: StepRows, slots: int, dtype: torch.dtype) -> Tensor:
    """Add the gradients of a step to those of the weights that are trained; the values that `value_names`
    lists, (values, slots) on the device.

    Args:
        base: the model that with every adapter off is base; `model` itself where adapters are trained.
        slots: how many slots there are.
        dtype: in which values are summed.
    """
    names = value_names(rows)
    losses = torch.zeros(len(names), slots, dtype=dtype, device=model.device)
    for objective, part in passes(rows, model.pass_tokens):
        place = names.index(objective.name)
        backward_pass(model, base, objective, part, losses[place : place + 1 + len(objective.also)])
    return losses


def value_names(rows: StepRows) -> list[str]:
    """What a step reports of each slot: the value of every term, and behind it what the term has `also`."""
    return [name for objective in rows for name in (objective.name, *objective.also)]


def read_back(rows: StepRows, losses: Tensor, norms: Tensor) -> tuple[StepLosses, list[float]]:
    """The values of a step from `step_losses`, and gradient norms (slots,), as Python numbers.

    It is the one time that a step waits for the device."""
    *values, found = torch.cat((losses, norms.to(losses.dtype)[None])).tolist()
    return dict(zip(value_names(rows), values, strict=True)), found


@torch.no_grad()
def log_probs_of(model: FlatModel, rows: Sequence[SlotRow]) -> list[tuple[float, ...]]:
    """Log-probability of every answer token of rows that trials wrote, at their temperatures, in nats."""
    found: list[Tensor] = []
    for part in cut_passes(rows, model.pass_tokens):
        logits = _answer_logits(model, [item.row for item in part], [item.slot for item in part])
        labels = flat_ids([item.row.input_ids[item.row.prompt_length :] for item in part], model.device)
        found.append(token_log_probs(logits, labels, part))
    values = torch.cat(found).split([item.row.answer_length for item in rows])
    return [tuple(each.tolist()) for each in values]


def backward_pass(
    model: FlatModel, base: FlatModel, objective: Objective, rows: Sequence[SlotRow], losses: Tensor
) -> None:
    """Forward and backward over rows sorted by slot; adds to gradients and to `losses` (1 + also, slots).

    What is differentiated is the sum over slots of each slot's own term, so no slot's gradient sees another's
    rows. A row's last token is only ever predicted, so it is not fed in; the head runs at answer positions
    alone.
    """
    base_logits = _base_logits(base, rows) if objective.needs_base else None
    logits = _answer_logits(model, [item.row for item in rows], [item.slot for item in rows])
    device = model.device
    labels = flat_ids([item.row.input_ids[item.row.prompt_length :] for item in rows], device)
    per_token = objective.per_token(logits, labels, base_logits, rows)
    values = per_token.reshape(1 + len(objective.also), -1)

    def each(values: list[float] | list[int], dtype: torch.dtype) -> Tensor:
        return of_tokens(values, rows, device, dtype)

    weighted = values * each([item.weight for item in rows], per_token.dtype)
    (weighted[0] * each([item.factor for item in rows], per_token.dtype)).sum().backward()
    losses.index_add_(1, each([item.slot for item in rows], torch.long), weighted.detach().to(losses.dtype))


@torch.no_grad()
def _base_logits(base: FlatModel, rows: Sequence[SlotRow]) -> Tensor:
    """Base's logits before each answer token, (M, vocabulary); rows that several slots have are read once."""
    distinct = list(dict.fromkeys(item.row for item in rows))
    logits = _answer_logits(base, distinct, [None] * len(distinct))
    by_row = dict(zip(distinct, logits.split([row.answer_length for row in distinct]), strict=True))
    return torch.cat([by_row[item.row] for item in rows])


def _answer_logits(model: FlatModel, rows: Sequence[TrainRow], slots: Sequence[int | None]) -> Tensor:
    """Logits before each answer token, (M, vocabulary), in fp32 or better."""
    fed, wanted = [row.input_ids[:-1] for row in rows], [row.answer_length for row in rows]
    logits = model.last_logits(fed, wanted, slots)
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
