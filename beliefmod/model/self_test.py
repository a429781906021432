"""Does bitsandbytes' NF4 compute on this machine what it should? Used by `beliefmod doctor`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from beliefmod.model.quantized import guard_cpu_repacking

if TYPE_CHECKING:
    import torch
    from torch import nn

# of numbers in fp32; in bf16, which has 8 bits, products agree to some hundredths at best
TOLERANCE = {"float32": 1e-3, "bfloat16": 2e-2}
ROWS = (1, 2, 8, 33, 200)
"""Rows of the products without gradients: kernels that unpack as they multiply are chosen by their number."""


@dataclass(frozen=True)
class Nf4Test:
    """Relative errors (0 is exact) of an NF4 layer against the dequantised product.

    forward, gradient: straight after loading. answers: the largest of products without gradients, as answers
    are written with, of one row and of many. after_eval, after_eval_unguarded: the input gradient of training
    that follows an evaluation without gradients, with and without `guard_cpu_repacking`.
    """

    forward: float
    gradient: float
    answers: float
    after_eval: float
    after_eval_unguarded: float
    dtype: str = "float32"

    @property
    def right(self) -> bool:
        """Whether training and answers compute with the values that the packed weights stand for."""
        return max(self.forward, self.gradient, self.answers) < TOLERANCE[self.dtype]

    @property
    def works(self) -> bool:
        """Whether what beliefmod uses, with its guard, is right."""
        return self.right and self.after_eval < TOLERANCE[self.dtype]

    @property
    def guard_needed(self) -> bool:
        """Whether training after an evaluation would be wrong here without the guard."""
        return self.after_eval_unguarded >= TOLERANCE[self.dtype]


def nf4_test(device: str = "cpu", dtype: str = "float32") -> Nf4Test:
    """Forward and backward of one small NF4 layer that computes in `dtype` on `device`."""
    forward, gradient = _errors(device, dtype, evaluate_first=False, guard=True)
    return Nf4Test(
        forward=forward,
        gradient=gradient,
        answers=_answer_error(device, dtype),
        after_eval=_errors(device, dtype, evaluate_first=True, guard=True)[1],
        after_eval_unguarded=_errors(device, dtype, evaluate_first=True, guard=False)[1],
        dtype=dtype,
    )


def _answer_error(device: str, dtype: str) -> float:
    import torch
    from torch import nn

    layer, weight = _layer_and_weight(device, dtype)
    guard_cpu_repacking(nn.Sequential(layer))
    layer.eval()
    generator, worst = torch.Generator().manual_seed(2), 0.0
    for rows in ROWS:
        x = torch.randn(rows, 128, generator=generator).to(device, weight.dtype)
        with torch.no_grad():
            found = layer(x)
        worst = max(worst, _relative(found, x.float() @ weight.float().T))
    return worst


def _errors(device: str, dtype: str, *, evaluate_first: bool, guard: bool) -> tuple[float, float]:
    import torch
    from torch import nn

    layer, weight = _layer_and_weight(device, dtype)
    if guard:
        guard_cpu_repacking(nn.Sequential(layer))
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(8, 128, generator=generator).to(device, weight.dtype)
    direction = torch.randn(8, 64, generator=generator).to(device, weight.dtype)
    weight = weight.float()
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
    expected = x.detach().float() @ weight.T
    return _relative(output.detach(), expected), _relative(gradient, direction.float() @ weight)


def _layer_and_weight(device: str, dtype: str) -> tuple[nn.Linear, torch.Tensor]:
    """A layer, and the values that its packed weight stands for (64, 128).

    They are taken at once: an unguarded evaluation changes the stored weight.
    """
    from bitsandbytes.functional import dequantize_4bit

    layer = _layer(device, dtype)
    return layer, dequantize_4bit(layer.weight.data, layer.weight.quant_state)  # pyright: ignore[reportAttributeAccessIssue]


def _layer(device: str, dtype: str) -> nn.Linear:
    import torch
    from bitsandbytes.nn.modules import Linear4bit

    kind: torch.dtype = getattr(torch, dtype)
    layer = Linear4bit(128, 64, bias=False, compute_dtype=kind, compress_statistics=False, quant_type="nf4")
    layer.weight.data = torch.randn(64, 128, generator=torch.Generator().manual_seed(0)).to(kind)
    return layer.requires_grad_(False).to(device)


def _relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.float() - expected).norm() / expected.norm())
