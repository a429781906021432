"""A frozen linear layer with one LoRA adapter per slot, for tokens sorted by slot.

y = x W^T + b + s_k (x A_k^T) B_k with A_k (rank, in) and B_k (rank, out) of the slot k that the token
belongs to. B is kept rank first, the transpose of PEFT's lora_B, so that the first r rows of either
matrix lie together. Slots share no arithmetic: a NaN in one cannot reach another.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Segment:
    """Tokens start..stop-1 of a pass belong to `slot`; tokens in no segment see the base model alone."""

    slot: int
    start: int
    stop: int


class Routing:
    """Which tokens belong to which slot, for one forward pass and its backward pass."""

    def __init__(self) -> None:
        self.segments: Sequence[Segment] = ()

    @contextlib.contextmanager
    def of(self, segments: Sequence[Segment]) -> Iterator[None]:
        """Set the segments inside the block; outside of it every adapter is off."""
        self.segments = segments
        try:
            yield
        finally:
            self.segments = ()


@dataclass(frozen=True)
class LayerAdapter:
    """One slot's adapter of one layer: a (r, in) and b (r, out), their gradients, scale alpha / r."""

    a: Tensor
    b: Tensor
    grad_a: Tensor
    grad_b: Tensor
    scale: float


class PackedLinear(nn.Module):
    """Takes the place of a linear layer inside a transformers model; tokens come sorted by slot."""

    def __init__(self, base: nn.Linear, slots: int, routing: Routing, device: torch.device) -> None:
        super().__init__()
        self.base, self.routing = base, routing
        self.adapters: list[LayerAdapter | None] = [None] * slots  # None: the slot leaves this layer alone
        # bitsandbytes keeps a packed weight that only its own forward can multiply with
        self.dense = type(base) is nn.Linear
        # The adapters' gradients go straight into the pack, so autograd needs one input that asks for some.
        self.anchor = torch.empty(0, device=device, requires_grad=True)

    def forward(self, x: Tensor) -> Tensor:
        """(1, N, in) -> (1, N, out)."""
        work = [
            (adapter, s.start, s.stop) for s in self.routing.segments if (adapter := self.adapters[s.slot])
        ]
        if not work and self.dense:
            # flat as in the product below: the library may pick another kernel for another shape, and an
            # adapter that adds zero must not change a bit
            out = F.linear(x.reshape(-1, x.shape[-1]), self.base.weight, self.base.bias)
            return out.view(*x.shape[:-1], out.shape[-1])
        if not work:
            return self.base(x)
        if self.dense:
            return _PackedProduct.apply(x, None, self.anchor, self.base.weight, self.base.bias, work)
        return _PackedProduct.apply(x, self.base(x), self.anchor, None, None, work)


Work = list[tuple[LayerAdapter, int, int]]


class _PackedProduct(torch.autograd.Function):
    """Base product and adapters in one node, which keeps x and the (N_k, r) inner products and nothing else.

    Either the base's weight and bias are given, or its finished `product`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        product: Tensor | None,
        anchor: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        work: Work,
    ) -> Tensor:
        tokens = x.reshape(-1, x.shape[-1])
        if product is None:
            assert weight is not None
            out = F.linear(tokens, weight, bias)
        else:
            out = product.reshape(len(tokens), -1).clone()
        inner = []
        for adapter, start, stop in work:
            z = tokens[start:stop] @ adapter.a.T
            out[start:stop].addmm_(z, adapter.b, alpha=adapter.scale)
            inner.append(z)
        ctx.save_for_backward(tokens, *inner)
        ctx.weight, ctx.work, ctx.shape = weight, work, x.shape
        return out.view(*x.shape[:-1], out.shape[-1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        tokens, *inner = ctx.saved_tensors
        flat = grad.reshape(len(tokens), -1)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = flat @ ctx.weight if ctx.weight is not None else torch.zeros_like(tokens)
        for (adapter, start, stop), z in zip(ctx.work, inner, strict=True):
            part = flat[start:stop]
            grad_z = (part @ adapter.b.T).mul_(adapter.scale)
            _add_product(adapter.grad_b, z.T, part, adapter.scale)
            _add_product(adapter.grad_a, grad_z.T, tokens[start:stop], 1.0)
            if grad_x is not None:
                grad_x[start:stop].addmm_(grad_z, adapter.a)
        grad_x = None if grad_x is None else grad_x.view(ctx.shape)
        return grad_x, grad if ctx.weight is None else None, None, None, None, None


def _add_product(total: Tensor, left: Tensor, right: Tensor, scale: float) -> None:
    """total += scale * left @ right, where total may be of higher precision than the factors."""
    if total.dtype == left.dtype:
        total.addmm_(left, right, alpha=scale)
    else:
        total.add_(left @ right, alpha=scale)
