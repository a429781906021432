"""One AdamW per slot, over that slot's row of the pack, and the learning rate of each step."""

import math
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
    """torch's fused AdamW on one flat row: one kernel per slot and step; an idle slot is not touched."""

    def __init__(self, theta: Tensor, grad: Tensor, config: "TrialConfig") -> None:
        """theta and grad (n,): the slot's part of the pack."""
        self.row = torch.nn.Parameter(theta)  # shares the pack's memory
        self.row.grad = grad
        self.max_norm = config.max_grad_norm
        self.adamw = torch.optim.AdamW(
            [self.row],
            lr=config.learning_rate,
            betas=(config.adam_beta1, config.adam_beta2),
            eps=config.adam_epsilon,
            weight_decay=config.weight_decay,
            fused=True,
        )
        # now and not at the first step: memory that runs out in the middle of a step would leave it half done
        self.resume(0, torch.zeros_like(theta), torch.zeros_like(theta))

    def step(self, learning_rate: float, grad_norm: float) -> None:
        """Clip to the trial's L2 norm as clip_grad_norm_ does (0: no clipping), and take one step."""
        if self.max_norm > 0:
            factor = self.max_norm / (grad_norm + 1e-6)
            if factor < 1.0:
                assert self.row.grad is not None
                self.row.grad.mul_(factor)
        self.adamw.param_groups[0]["lr"] = learning_rate
        self.adamw.step()

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        """First and second moment (n,)."""
        state = self.adamw.state[self.row]
        return state["exp_avg"], state["exp_avg_sq"]

    def resume(self, step: int, first: Tensor, second: Tensor) -> None:
        """Go on after `step` steps with these moments (n,), which become the optimiser's own.

        Raises ValueError for another size: torch 2.13's fused kernel would read past their end.
        """
        if first.shape != self.row.shape or second.shape != self.row.shape:
            raise ValueError(
                f"moments of {first.numel()} and {second.numel()} numbers for {self.row.numel()}"
            )
        count = torch.full((), float(step), dtype=torch.float32, device=self.row.device)
        self.adamw.state[self.row] = {"step": count, "exp_avg": first, "exp_avg_sq": second}
