"""Does bitsandbytes' NF4 compute on this machine what it should? Used by `beliefmod doctor`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from beliefmod.model.quantized import guard_cpu_repacking

if TYPE_CHECKING:
    import torch
    from torch import nn

TOLERANCE = 1e-3


@dataclass(frozen=True)
class Nf4Test:
    """Relative errors (0 is exact) of an NF4 layer against the dequantised product.

    forward, gradient: straight after loading. after_eval, after_eval_unguarded: the input gradient of
    training that follows an evaluation without gradients, with and without `guard_cpu_repacking`.
    """

    forward: float
    gradient: float
    after_eval: float
    after_eval_unguarded: float

    @property
    def works(self) -> bool:
        """Whether what beliefmod uses, with its guard, is right."""
        return max(self.forward, self.gradient, self.after_eval) < TOLERANCE

    @property
    def guard_needed(self) -> bool:
        """Whether training after an evaluation would be wrong here without the guard."""
        return self.after_eval_unguarded >= TOLERANCE


def nf4_test(device: str = "cpu") -> Nf4Test:
    """Forward and backward of one small NF4 layer in fp32 on `device`."""
    forward, gradient = _errors(device, evaluate_first=False, guard=True)
    return Nf4Test(
        forward=forward,
        gradient=gradient,
        after_eval=_errors(device, evaluate_first=True, guard=True)[1],
        after_eval_unguarded=_errors(device, evaluate_first=True, guard=False)[1],
    )


def _errors(device: str, *, evaluate_first: bool, guard: bool) -> tuple[float, float]:
    import torch
    from bitsandbytes.functional import dequantize_4bit
    from torch import nn

    layer = _layer(device)
    # taken now: an unguarded evaluation changes the stored weight
    weight = dequantize_4bit(layer.weight.data, layer.weight.quant_state).float()  # pyright: ignore[reportAttributeAccessIssue]
    if guard:
        guard_cpu_repacking(nn.Sequential(layer))
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(8, 128, generator=generator).to(device)
    direction = torch.randn(8, 64, generator=generator).to(device)
    if evaluate_first:
        with torch.no_grad():
            layer.eval()(x)
        layer.train()
    x.requires_grad_(True)
    output = layer(x)
    with warnings.catch_warnings():
        # what torch warns of here, a product without a gradient, is what is being measured
        warnings.filterwarnings("ignore", message=".*autograd kernel was not registered")
        output.backward(direction)
    # no gradient at all counts as a gradient of zero, an error of 1
    gradient = torch.zeros_like(x) if x.grad is None else x.grad
    return _relative(output.detach(), x.detach() @ weight.T), _relative(gradient, direction @ weight)


def _layer(device: str) -> nn.Linear:
    import torch
    from bitsandbytes.nn.modules import Linear4bit

    layer = Linear4bit(
        128, 64, bias=False, compute_dtype=torch.float32, compress_statistics=False, quant_type="nf4"
    )
    with torch.no_grad():
        layer.weight.data.copy_(torch.randn(64, 128, generator=torch.Generator().manual_seed(0)))
    return layer.requires_grad_(False).to(device)


def _relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())
