"""Full fine-tuning of a small model: the reference for what LoRA learns and forgets.

The trained copy starts from the very weights that adapters sit on (dequantised, where the base was
quantised), in their dtype, and sees the rows, batches, schedule and clip that an adapter of the same trial
would. It is an engine of its own beside the pack, so it is questioned by the code that questions all arms.
Its weights are dropped with the trial.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from beliefmod.config import MAX_FULL_PARAMETERS
from beliefmod.engine.batching import SlotRow, batch_indices, cut_passes
from beliefmod.engine.jobs import (
    AdapterJob,
    AdapterUnusable,
    EngineError,
    GenerateRequest,
    ScoreRequest,
    StepReport,
)
from beliefmod.engine.lora_linear import PackedLinear
from beliefmod.engine.lr_schedule import lr_factor
from beliefmod.engine.memory import within_memory
from beliefmod.engine.train import backward_pass
from beliefmod.errors import UserError

if TYPE_CHECKING:
    from beliefmod.engine.engine import Engine
    from beliefmod.model.load import LoadedModel

Request = TypeVar("Request", GenerateRequest, ScoreRequest)
Result = TypeVar("Result")


class FullImpossible(UserError, EngineError):
    """The base cannot be fully fine-tuned: too large, or packed in 4 bits. Told before anything has run."""


def unpacked_copy(loaded: "LoadedModel") -> "LoadedModel":
    """A copy of the base with plain linear layers, all its weights its own; tied weights stay tied.

    Raises FullImpossible for NF4 weights, which take no gradient, and above MAX_FULL_PARAMETERS.
    """
    if loaded.base_storage == "nf4":
        raise FullImpossible(
            "full fine-tuning needs weights that can be trained, and base_storage nf4 keeps them packed in "
            "4 bits; use dequantized or none"
        )
    size = sum(parameter.numel() for parameter in loaded.model.parameters())
    if size > MAX_FULL_PARAMETERS:
        raise FullImpossible(
            f"model {loaded.name} has {size:,} parameters, and full fine-tuning is for small models (at most "
            f"{MAX_FULL_PARAMETERS:,}); leave out arm full, or take a smaller model"
        )
    memo: dict[int, Any] = {}
    for module in loaded.model.modules():
        if isinstance(module, PackedLinear):
            # what stands in the copy for a packed layer, so that no adapter is copied
            memo[id(module)] = copy.deepcopy(module.base, memo)
    return replace(loaded, model=copy.deepcopy(loaded.model, memo), quantized=(), unquantized=())


class FullTraining:
    """One trial that trains every weight of a copy of the base, with torch's AdamW.

    engine: an engine of the trained copy, to which this trial is what base is to another.
    """

    def __init__(self, engine: "Engine", job: AdapterJob, total_steps: int) -> None:
        self.engine, self.job, self.total_steps = engine, job, total_steps
        self.step, self.error = 0, None
        model = engine.loaded.model.requires_grad_(True)
        self.weights = list(model.parameters())
        config = job.config
        self.optimizer: torch.optim.AdamW | None = torch.optim.AdamW(
            self.weights,
            lr=config.learning_rate,
            betas=(config.adam_beta1, config.adam_beta2),
            eps=config.adam_epsilon,
            weight_decay=config.weight_decay,
        )

    @property
    def training(self) -> bool:
        """Whether there are steps left."""
        return self.error is None and self.step < self.total_steps

    def usable(self) -> "Engine":
        """The engine of the trained copy. Raises AdapterUnusable after a step that was not finite."""
        if self.error is not None:
            raise AdapterUnusable(f"trial {self.job.trial_id} has no usable weights: {self.error}")
        return self.engine

    def train_step(self) -> StepReport:
        """One optimiser step: the batch, clip and rate that an adapter of this configuration would have."""
        assert self.optimizer is not None
        config, rows = self.job.config, self.job.rows
        rate = config.learning_rate * lr_factor(
            config.lr_scheduler_type, self.step, config.warmup_steps, self.total_steps
        )
        chosen = [
            rows[i]
            for i in batch_indices(config.seed, self.step, len(rows), config.per_device_train_batch_size)
        ]
        tokens = sum(row.answer_length for row in chosen)
        batch = [SlotRow(0, row, tokens) for row in chosen]
        losses = within_memory(
            self.engine,
            "pass_tokens",
            [len(row.input_ids) for row in chosen],
            lambda: self._gradients(batch),
        )
        norm = torch.nn.utils.clip_grad_norm_(self.weights, config.max_grad_norm).item()
        loss = losses.item()
        self.step += 1
        self.engine.usage.trained_fully(batch, sum(w.numel() for w in self.weights), self.step)
        if math.isfinite(loss) and math.isfinite(norm):
            self.optimizer.param_groups[0]["lr"] = rate
            self.optimizer.step()
        else:
            what = "loss" if not math.isfinite(loss) else "gradient norm"
            self.error = f"{what} was not finite at step {self.step} of {self.total_steps}"
        if not self.training:
            self._end()
        return self._report(rate, loss, norm)

    def _gradients(self, batch: list[SlotRow]) -> Tensor:
        """Gradients of one step; its loss, (1,)."""
        assert self.optimizer is not None
        losses = torch.zeros(1, dtype=torch.float64, device=self.engine.model.device)
        self.optimizer.zero_grad()
        for part in cut_passes(batch, self.engine.pass_tokens):
            backward_pass(self.engine.model, part, losses)
        return losses

    def fail(self, reason: str) -> StepReport:
        """End the trial for a reason that a step could not report itself."""
        self.error = reason
        self._end()
        return self._report(0.0, math.nan, math.nan)

    def _report(self, rate: float, loss: float, norm: float) -> StepReport:
        return StepReport(
            trial_id=self.job.trial_id,
            step=self.step,
            total_steps=self.total_steps,
            loss=loss if math.isfinite(loss) else None,
            learning_rate=rate,
            grad_norm=norm if math.isfinite(norm) else None,
            finished=not self.training,
            error=self.error,
        )

    def _end(self) -> None:
        """Gradients and moments take three times the memory of the weights, and are not needed any more."""
        assert self.optimizer is not None
        self.optimizer.zero_grad()
        self.optimizer = None
        self.engine.loaded.model.requires_grad_(False)


def split(
    engine: "Engine",
    full: Mapping[str, FullTraining],
    requests: Sequence[Request],
    call: Callable[["Engine", list[Request]], list[Result]],
) -> list[Result]:
    """Let every request be answered by the engine it belongs to; answers in the order of the requests."""
    groups: dict[str | None, list[int]] = {}
    for index, request in enumerate(requests):
        owner = request.adapter if request.adapter in full else None
        groups.setdefault(owner, []).append(index)
    found: dict[int, Result] = {}
    for owner, indices in groups.items():
        part = [requests[index] for index in indices]
        if owner is not None:
            part = [replace(request, adapter=None) for request in part]
        answered = call(engine if owner is None else full[owner].usable(), part)
        found.update(zip(indices, answered, strict=True))
    return [found[index] for index in range(len(requests))]
