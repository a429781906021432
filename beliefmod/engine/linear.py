"""A frozen linear layer with one LoRA adapter per slot, for tokens sorted by slot.

y = x W^T + b + s_k (x A_k^T) B_k with A_k (rank, in) and B_k (rank, out) of the slot k that the token belongs to.
B is kept rank first, the transpose of PEFT's lora_B, so that the first r rows of either matrix lie together.
Slots share no arithmetic: a NaN in one cannot reach another.
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
class LoraViews:
    """Views into the pack for one layer: a (K, R, in), b (K, R, out) in compute dtype, and their gradients."""

    a: Tensor
    b: Tensor
    grad_a: Tensor
    grad_b: Tensor


class PackedLinear(nn.Module):
    """Takes the place of a linear layer inside a transformers model. x is (..., N, in) with one batch row."""

    def __init__(self, base: nn.Linear, name: str, views: LoraViews, routing: Routing) -> None:
        super().__init__()
        self.base, self.name, self.routing = base, name, routing
        self.views = views
        slots = views.a.shape[0]
        self.ranks = [0] * slots  # 0: the slot leaves this layer alone
        self.scales = [0.0] * slots
        # bitsandbytes keeps a packed weight that only its own forward can multiply with
        self.dense = type(base) is nn.Linear
        # The adapters' gradients are written straight into the pack, so autograd needs one input that asks for them.
        self.anchor = torch.empty(0, device=views.a.device, requires_grad=True)

    @property
    def in_features(self) -> int:
        return self.base.in_features

    @property
    def out_features(self) -> int:
        return self.base.out_features

    @property
    def weight(self) -> Tensor:
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        work = [
            (s.slot, s.start, s.stop, self.ranks[s.slot], self.scales[s.slot])
            for s in self.routing.segments
            if self.ranks[s.slot]
        ]
        if not work:
            return self.base(x)
        weight, bias, product = (
            (self.base.weight, self.base.bias, None) if self.dense else (None, None, self.base(x))
        )
        return _PackedProduct.apply(x, product, self.anchor, weight, bias, self.views, work)


class _PackedProduct(torch.autograd.Function):
    """Base product and adapters in one node: nothing is kept but x and the (N_k, r) inner products."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        product: Tensor | None,
        anchor: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        views: LoraViews,
        work: list[tuple[int, int, int, int, float]],
    ) -> Tensor:
        tokens = x.reshape(-1, x.shape[-1])
        out = (
            F.linear(tokens, weight, bias) if weight is not None else product.reshape(len(tokens), -1).clone()
        )
        inner = []
        for slot, start, stop, rank, scale in work:
            z = tokens[start:stop] @ views.a[slot, :rank].T
            out[start:stop].addmm_(z, views.b[slot, :rank], alpha=scale)
            inner.append(z)
        ctx.save_for_backward(tokens, *inner)
        ctx.weight, ctx.views, ctx.work, ctx.shape = weight, views, work, x.shape
        return out.view(*x.shape[:-1], out.shape[-1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        tokens, *inner = ctx.saved_tensors
        views: LoraViews = ctx.views
        flat = grad.reshape(len(tokens), -1)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = flat @ ctx.weight if ctx.weight is not None else torch.zeros_like(tokens)
        for (slot, start, stop, rank, scale), z in zip(ctx.work, inner, strict=True):
            part = flat[start:stop]
            grad_z = (part @ views.b[slot, :rank].T).mul_(scale)
            _add_product(views.grad_b[slot, :rank], z.T, part, scale)
            _add_product(views.grad_a[slot, :rank], grad_z.T, tokens[start:stop], 1.0)
            if grad_x is not None:
                grad_x[start:stop].addmm_(grad_z, views.a[slot, :rank])
        grad_x = None if grad_x is None else grad_x.view(ctx.shape)
        return grad_x, None if ctx.weight is not None else grad, None, None, None, None, None


def _add_product(total: Tensor, left: Tensor, right: Tensor, scale: float) -> None:
    """total += scale * left @ right, where total may be of higher precision than the factors."""
    if total.dtype == left.dtype:
        total.addmm_(left, right, alpha=scale)
    else:
        total.add_(left @ right, alpha=scale)
