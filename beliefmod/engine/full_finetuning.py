"""Full fine-tuning of a small model: the reference for what LoRA learns and forgets.

The trained copy starts from the very weights that adapters sit on (dequantised, where the base was
quantised), in their dtype, and sees the rows, batches, schedule and clip that an adapter of the same trial
would. It is a model of its own beside the pack, and is questioned by the code that questions all arms. Its
weights are dropped with the trial.
"""

import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from beliefmod.engine.forward import FlatModel
from beliefmod.engine.jobs import AdapterJob, AdapterUnusable, EngineError, StepReport
from beliefmod.engine.lora_linear import PackedLinear
from beliefmod.engine.memory import OutOfMemory, ran_out, within_memory
from beliefmod.engine.packed_adapters import LoraPack
from beliefmod.engine.training_steps import StepRows, TrialSteps, passes, read_back, step_losses, step_rows
from beliefmod.errors import UserError
from beliefmod.model.size import too_large_for_full

if TYPE_CHECKING:
    from beliefmod.model.load import LoadedModel


class FullImpossible(UserError, EngineError):
    """The base cannot be fully fine-tuned: too large, or packed in 4 bits. Raised before anything has run."""


def unpacked_copy(loaded: "LoadedModel") -> "LoadedModel":
    """A copy of the base with plain linear layers, all its weights its own; tied weights stay tied.

    Raises FullImpossible for NF4 weights, which take no gradient, and for a model that is too large.
    """
    if loaded.base_storage == "nf4":
        raise FullImpossible(
            "full fine-tuning needs weights that can be trained, and base_storage nf4 keeps them packed in "
            "4 bits; use dequantized or none"
        )
    size = sum(parameter.numel() for parameter in loaded.model.parameters())
    if problem := too_large_for_full(loaded.name, size):
        raise FullImpossible(problem)
    memo: dict[int, Any] = {}
    for module in loaded.model.modules():
        if isinstance(module, PackedLinear):
            # what stands in the copy for a packed layer, so that no adapter is copied
            memo[id(module)] = copy.deepcopy(module.base, memo)
    return replace(loaded, model=copy.deepcopy(loaded.model, memo), quantized=(), unquantized=())


class FullTraining(TrialSteps):
    """One trial that trains every weight of a copy of the base, with torch's AdamW.

    model: the trained copy, without adapters.
    """

    def __init__(self, base: FlatModel, loaded: "LoadedModel", job: AdapterJob, total_steps: int) -> None:
        """`base` is what the copy is made of and compared with, `loaded` what it was made of."""
        super().__init__(job.trial_id, job, total_steps=total_steps)
        copied, self.base = unpacked_copy(loaded), base
        # the layers of the pack, never with an adapter: base and an untrained copy agree to the last bit, but
        # for rounding while answers are written, where base's large weights are multiplied in another layout
        pack = LoraPack(copied.model, 1, 1, copied.dtype, frozen=False)
        self.model = FlatModel(copied, pack.routing, base.usage, base.pass_tokens, base.cache_tokens)
        self.weights = list(copied.model.requires_grad_(True).parameters())
        config = job.config
        self.optimizer: torch.optim.AdamW | None = torch.optim.AdamW(
            self.weights,
            lr=config.learning_rate,
            betas=(config.adam_beta1, config.adam_beta2),
            eps=config.adam_epsilon,
            weight_decay=config.weight_decay,
        )

    def usable(self) -> FlatModel:
        """The trained copy. Raises AdapterUnusable after a step that was not finite."""
        if self.error is not None:
            raise AdapterUnusable(f"trial {self.trial_id} has no usable weights: {self.error}")
        return self.model

    def train_step(self) -> StepReport:
        """One optimiser step: the rows, clip and rate that an adapter of this configuration would have."""
        try:
            report = self._step()
        except Exception as error:
            if not isinstance(error, OutOfMemory) and not ran_out(error):
                raise
            report = self.fail(f"out of memory in full fine-tuning: {error}")
        if report.finished:
            self._end()
        return report

    def _step(self) -> StepReport:
        assert self.job is not None and self.optimizer is not None
        rows = step_rows([(self, 0)])
        lengths = [len(item.row.input_ids) for items in rows.values() for item in items]
        found = within_memory(self.model, "pass_tokens", lengths, partial(self._gradients, rows))
        norm = torch.nn.utils.clip_grad_norm_(self.weights, self.job.config.max_grad_norm)
        losses, [norm] = read_back(rows, found, norm[None])
        report = self.advance(losses, 0, norm)
        numbers = sum(weight.numel() for weight in self.weights)
        self.model.usage.trained_fully(passes(rows, self.model.pass_tokens), numbers, self.step)
        if self.error is None:
            self.optimizer.param_groups[0]["lr"] = report.learning_rate
            self.optimizer.step()
        return report

    def _gradients(self, rows: StepRows) -> Tensor:
        assert self.optimizer is not None
        self.optimizer.zero_grad()
        return step_losses(self.model, self.base, rows, 1, torch.float64)

    def _end(self) -> None:
        """Gradients and moments take three times the memory of the weights, and are not needed any more."""
        assert self.optimizer is not None
        self.optimizer.zero_grad()
        self.optimizer = None
        self.model.model.requires_grad_(False)
