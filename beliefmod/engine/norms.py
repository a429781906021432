"""RMS norms in fewer operations than transformers spells them out in.

transformers' RMSNorm is eight operations forward and about fourteen backward, four times per layer: on a
GPU that is a good part of what a step launches. The one here computes the same numbers in the same order.
"""

from typing import Any

import torch
from torch import Tensor, nn


class LeanRMSNorm(nn.Module):
    """weight * x / sqrt(mean(x^2) + eps) over the last dimension, in fp32 or better."""

    def __init__(self, weight: nn.Parameter, eps: float) -> None:
        super().__init__()
        self.weight = weight
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., hidden) -> like x."""
        # one kernel each way on a GPU; without gradients on a CPU the same numbers in a third of the time
        plain = not torch.is_grad_enabled() and x.dtype == self.weight.dtype and x.dtype.itemsize >= 4
        if x.device.type == "cuda" or plain:
            return nn.functional.rms_norm(x, x.shape[-1:], self.weight, self.eps)
        return _RMSNorm.apply(x, self.weight, self.eps)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        inverse = wide.square().mean(-1, keepdim=True).add_(eps).rsqrt_()
        normed = wide * inverse
        ctx.save_for_backward(normed, inverse, weight)
        return normed.to(x.dtype) * weight

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        normed, inverse, weight = ctx.saved_tensors
        inner = (grad * weight).to(normed.dtype)
        # d(x / rms) = (g - n mean(g n)) / rms with n = x / rms
        along = torch.linalg.vecdot(inner, normed).unsqueeze(-1).div_(-normed.shape[-1])
        grad_x = torch.addcmul(inner, normed, along).mul_(inverse).to(grad.dtype)
        grad_weight = None
        if ctx.needs_input_grad[1]:  # full fine-tuning trains a copy of the model
            grad_weight = (grad * normed.to(grad.dtype)).flatten(0, -2).sum(0)
        return grad_x, grad_weight, None


def replace_norms(model: nn.Module) -> list[str]:
    """Put LeanRMSNorm in the place of every norm that computes the same; names of those replaced.

    A module is a candidate by its weight and its `variance_epsilon` (Llama, Qwen) or `eps`; it is asked
    about a random input and kept when it answers differently (Gemma adds 1 to its weight).
    """
    replaced = []
    for name, module in list(model.named_modules()):
        weight, eps = getattr(module, "weight", None), getattr(module, "variance_epsilon", None)
        if not name or not type(module).__name__.endswith("RMSNorm") or weight is None or eps is None:
            continue
        fast = LeanRMSNorm(weight, float(eps))
        if _agree(module, fast, weight):
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, fast)
            replaced.append(name)
    return replaced


@torch.inference_mode()
def _agree(module: nn.Module, fast: LeanRMSNorm, weight: nn.Parameter) -> bool:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, weight.shape[0], generator=generator).to(weight)
    tolerance = 2e-2 if weight.dtype.itemsize < 4 else 1e-5
    return torch.allclose(module(x), fast(x), rtol=tolerance, atol=tolerance)
