"""One AdamW per slot, over that slot's row of the pack."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from beliefmod.config import TrialConfig


class SlotOptimizer:
    """torch's own fused AdamW on one flat row: one kernel per slot and step, and a slot that is idle is not touched.

    The row's zero padding has zero gradients, so it stays zero.
    """

    def __init__(self, theta: Tensor, grad: Tensor, config: "TrialConfig") -> None:
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

    def step(self, learning_rate: float, grad_norm: float) -> None:
        """Clip the gradient to the trial's L2 norm (0: no clipping), as clip_grad_norm_ does, and take one step."""
        if self.max_norm > 0:
            factor = self.max_norm / (grad_norm + 1e-6)
            if factor < 1.0:
                assert self.row.grad is not None
                self.row.grad.mul_(factor)
        self.adamw.param_groups[0]["lr"] = learning_rate
        self.adamw.step()

    def state_dict(self) -> dict[str, Any]:
        """Moments and step count, on the CPU."""
        state = self.adamw.state.get(self.row, {})
        return {name: value.clone().cpu() for name, value in state.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take moments and step count from `state_dict` of a slot of any place and device."""
        if state:
            self.adamw.state[self.row] = {
                name: value.clone().to(self.row.device, torch.float32 if name == "step" else self.row.dtype)
                for name, value in state.items()
            }
