"""One AdamW per slot, over that slot's row of the pack, and the learning rate of each step."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from beliefmod.config import TrialConfig

SCHEDULES = ("constant", "constant_with_warmup", "linear", "cosine")


def lr_factor(kind: str, step: int, warmup_steps: int, total_steps: int) -> float:
    """Learning-rate factor in [0, 1] on the learning rate at `step`, which counts from 0.

    As in transformers, a warm-up starts at 0 (the first step then changes nothing) and "constant" ignores
    `warmup_steps`. Raises ValueError for an unknown kind. Source: transformers/optimization.py.
    """
    if kind not in SCHEDULES:
        raise ValueError(f"unknown lr_scheduler_type {kind!r}; known: {', '.join(SCHEDULES)}")
    if kind == "constant":
        return 1.0
    if step < warmup_steps:
        return step / max(1, warmup_steps)
    if kind == "constant_with_warmup":
        return 1.0
    remaining = max(1, total_steps - warmup_steps)
    if kind == "linear":
        return max(0.0, (total_steps - step) / remaining)
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * (step - warmup_steps) / remaining)))


class SlotOptimizer:
    """torch's fused AdamW on one flat row: one kernel per slot and step; an idle slot is not touched.

    With LoRA+ the A and B matrices of a layer lie in the row as parts with learning rates of their own
    (Hayou et al. 2024; PEFT's `create_loraplus_optimizer`).

    Attributes:
        moments: first and second moment (n,).
    """

    def __init__(
        self, theta: Tensor, grad: Tensor, config: "TrialConfig", places: Sequence[tuple[slice, slice]]
    ) -> None:
        """theta and grad (n,): the slot's part of the pack. places: of A and B of every layer in it."""
        self.theta, self.grad, self.max_norm = theta, grad, config.max_grad_norm
        self.places, self.rank, self.scale = places, config.lora.r, config.lora.alpha / config.lora.r
        self.max_update_norm = config.lora.max_update_norm
        ratio = config.lora.loraplus_lr_ratio
        by_factor = {1.0: [slice(None)]}
        if ratio != 1:
            by_factor = {1.0: [a for a, _ in places], ratio: [b for _, b in places]}
        self._parts = [part for parts in by_factor.values() for part in parts]
        self.adamw = torch.optim.AdamW(
            [
                {"params": [self._weights(part) for part in parts], "lr_factor": factor}
                for factor, parts in by_factor.items()
            ],
            lr=config.learning_rate,
            betas=(config.adam_beta1, config.adam_beta2),
            eps=config.adam_epsilon,
            weight_decay=config.weight_decay,
            fused=True,
        )
        # now and not at the first step: memory that runs out in the middle of a step would leave it half done
        self.resume(0, torch.zeros_like(theta), torch.zeros_like(theta))

    def _weights(self, part: slice) -> torch.nn.Parameter:
        """A part of the row, which shares the pack's memory."""
        weights = torch.nn.Parameter(self.theta[part])
        weights.grad = self.grad[part]
        return weights

    def step(self, learning_rate: float, grad_norm: float) -> None:
        """Clip to the trial's L2 norm as clip_grad_norm_ does (0: no clipping), and take one step."""
        if self.max_norm > 0:
            factor = self.max_norm / (grad_norm + 1e-6)
            if factor < 1.0:
                self.grad.mul_(factor)
        for group in self.adamw.param_groups:
            group["lr"] = learning_rate * group["lr_factor"]
        self.adamw.step()
        if self.max_update_norm > 0:
            self._project()

    @torch.no_grad()
    def _project(self) -> None:
        """Bring every layer's update back to the Frobenius norm it may have, as a projection onto that ball
        would: it keeps its direction (Gouk et al. 2021, "Distance-based regularisation of deep networks for
        fine-tuning"). ||B A||² is the inner product of A A^T and B^T B, which are as small as the rank."""
        for of_a, of_b in self.places:
            a, b = self.theta[of_a].view(self.rank, -1), self.theta[of_b].view(self.rank, -1)
            norm = self.scale * ((a @ a.T) * (b @ b.T)).sum().clamp(min=0).sqrt()
            b.mul_((self.max_update_norm / norm).clamp(max=1.0))  # a layer without an update: infinity, so 1

    def resume(self, step: int, first: Tensor, second: Tensor) -> None:
        """Go on after `step` steps with these moments (n,), which become the optimiser's own.

        Raises ValueError for another size: torch 2.13's fused kernel would read past their end.
        """
        if first.shape != self.theta.shape or second.shape != self.theta.shape:
            raise ValueError(
                f"moments of {first.numel()} and {second.numel()} numbers for {self.theta.numel()}"
            )
        self.moments = first, second
        weights = [each for group in self.adamw.param_groups for each in group["params"]]
        for each, part in zip(weights, self._parts, strict=True):
            count = torch.full((), float(step), dtype=torch.float32, device=self.theta.device)
            self.adamw.state[each] = {"step": count, "exp_avg": first[part], "exp_avg_sq": second[part]}
