"""A frozen linear layer with one LoRA adapter per slot, for tokens sorted by slot.

y = x W^T + b + s_k (x A_k^T) B_k with A_k (rank, in) and B_k (rank, out) of the slot k that the token
belongs to. B is kept rank first, the transpose of PEFT's lora_B, so that the first r rows of either
matrix lie together. All slots of one rank go through one grouped product (`grouped.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from beliefmod.engine.prepacked import linear, prepacked
from beliefmod.engine.routing import Group, Routing


@dataclass(frozen=True)
class Stack:
    """One layer's adapters of G neighbouring slots of one rank: a (G, r, in), b (G, r, out), their gradients.

    Slots of another rank between them are read as if they had this one; no token is ever sent there. The
    gradients are None where a slot holds a finished adapter, which has none.
    """

    a: Tensor
    b: Tensor
    grad_a: Tensor | None
    grad_b: Tensor | None


@dataclass(frozen=True)
class LayerStore:
    """Where one layer's A, and B behind it, begin in the row of a slot of rank 1, and their widths.

    In a slot of rank r everything is r times as far, so a slot's numbers lie together at the row's beginning.
    compute (slots and parking, P) holds the adapters in the model's dtype, grad (slots, P) the gradients.
    """

    compute: Tensor
    grad: Tensor
    start: int
    width_in: int
    width_out: int

    def views(self, rows: Tensor, rank: int) -> tuple[Tensor, Tensor]:
        """A (G, rank, in) and B (G, rank, out) in rows (G, P) of any tensor laid out like compute."""
        of_a, of_b = self.places(rank)
        return rows[:, of_a].view(-1, rank, self.width_in), rows[:, of_b].view(-1, rank, self.width_out)

    def places(self, rank: int) -> tuple[slice, slice]:
        """Where A and B lie in the row of a slot of this rank."""
        start, middle = rank * self.start, rank * (self.start + self.width_in)
        return slice(start, middle), slice(middle, middle + rank * self.width_out)

    def stack(self, first: int, last: int, rank: int) -> Stack:
        """The adapters of slots first..last."""
        weights = self.views(self.compute[first : last + 1], rank)
        if last >= len(self.grad):
            return Stack(*weights, None, None)
        return Stack(*weights, *self.views(self.grad[first : last + 1], rank))


class PackedLinear(nn.Module):
    """Takes the place of a linear layer inside a transformers model; tokens come sorted by slot."""

    def __init__(
        self, base: nn.Linear, slots: int, routing: Routing, store: LayerStore, frozen: bool = True
    ) -> None:
        super().__init__()
        self.base, self.routing, self.store = base, routing, store
        self.ranks = [0] * slots  # 0: the slot leaves this layer alone
        # bitsandbytes keeps a packed weight that only its own forward can multiply with
        self.dense = type(base) is nn.Linear
        self.prepacked = prepacked(base.weight) if self.dense and frozen else None
        # The adapters' gradients go straight into the pack, so autograd needs one input that asks for some.
        self.anchor = torch.empty(0, device=store.compute.device, requires_grad=True)
        self._stacks: dict[tuple[int, int, int], Stack] = {}
        self._mixed: tuple[tuple[Any, int], Stack | None] | None = None

    def _stack(self, group: Group) -> Stack | None:
        """The adapters of a group; None where it leaves this layer alone."""
        if group.members:
            return self._mixed_stack(group)
        if not self.ranks[group.first]:
            return None
        key = (group.first, group.last, group.rank)
        if key not in self._stacks:
            self._stacks[key] = self.store.stack(*key)
        return self._stacks[key]

    def _mixed_stack(self, group: Group) -> Stack | None:
        """Adapters of several kinds copied to the largest rank, with zeros, and with their scales in B; kept
        until an adapter changes."""
        key = (group.members, self.routing.version)
        if self._mixed is None or self._mixed[0] != key:
            store, count = self.store, len(group.members)
            a = store.compute.new_zeros(count, group.rank, store.width_in)
            b = store.compute.new_zeros(count, group.rank, store.width_out)
            for place, (slot, scale) in enumerate(group.members):
                if rank := self.ranks[slot]:
                    own_a, own_b = store.views(store.compute[slot : slot + 1], rank)
                    a[place, :rank], b[place, :rank] = own_a[0], own_b[0] * scale
            adapted = any(self.ranks[slot] for slot, _ in group.members)
            self._mixed = (key, Stack(a, b, None, None) if adapted else None)
        return self._mixed[1]

    def forward(self, x: Tensor) -> Tensor:
        """(1, N, in) -> (1, N, out)."""
        stacks = [(self._stack(group), group) for group in self.routing.groups]
        work = [(stack, group) for stack, group in stacks if stack is not None]
        packed = self.prepacked if self.routing.writing else None
        if not work and self.dense:
            # flat as in the product below: the library may pick another kernel for another shape, and an
            # adapter that adds zero must not change a bit
            tokens = x.reshape(-1, x.shape[-1])
            out = linear(tokens, self.base.weight, self.base.bias, packed)
            return out.view(*x.shape[:-1], out.shape[-1])
        if not work:
            return self.base(x)
        if not torch.is_grad_enabled():
            out = _with_adapters(x, self.base, packed, work)
        elif self.dense:
            out = _PackedProduct.apply(x, None, self.anchor, self.base.weight, self.base.bias, work)
        else:
            out = _PackedProduct.apply(x, self.base(x), self.anchor, None, None, work)
        # shaped here: what a function of our own shapes may not be changed in place, as Gemma 3n does
        return out.view(*x.shape[:-1], out.shape[-1])


def _with_adapters(
    x: Tensor, base: nn.Linear, packed: Tensor | None, work: Sequence[tuple[Stack, Group]]
) -> Tensor:
    """Base product and adapters where nothing is kept for a backward pass, in as few calls as it takes."""
    tokens = x.reshape(-1, x.shape[-1])
    if type(base) is nn.Linear:
        out = linear(tokens, base.weight, base.bias, packed)
    else:
        out = base(x).reshape(len(tokens), -1).clone()
    for stack, group in work:
        whole = group.start == 0 and group.stop == len(tokens)
        mine, total = (
            (tokens, out) if whole else (tokens[group.start : group.stop], out[group.start : group.stop])
        )
        inner = group.products.product(mine, stack.a.transpose(1, 2))
        if isinstance(group.scale, float):
            group.products.add_product(total, inner, stack.b, group.scale)
        else:
            group.products.add_product(total, inner.mul_(group.scale), stack.b)
    return out


class _PackedProduct(torch.autograd.Function):
    """Base product and adapters in one node, which keeps x and the (n, r) inner products and nothing else.

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
        work: Sequence[tuple[Stack, Group]],
    ) -> Tensor:
        tokens = x.reshape(-1, x.shape[-1])
        if product is None:
            assert weight is not None
            out = F.linear(tokens, weight, bias)
        else:
            out = product.reshape(len(tokens), -1).clone()
        inner = []
        for stack, group in work:
            part = slice(group.start, group.stop)
            z = group.products.product(tokens[part], stack.a.transpose(1, 2)).mul_(group.scale)
            group.products.add_product(out[part], z, stack.b)
            inner.append(z)
        ctx.save_for_backward(tokens, *inner)
        ctx.weight, ctx.work, ctx.shape = weight, work, x.shape
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        tokens, *inner = ctx.saved_tensors
        flat = grad.contiguous()
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = flat @ ctx.weight if ctx.weight is not None else torch.zeros_like(tokens)
        for (stack, group), z in zip(ctx.work, inner, strict=True):
            part = slice(group.start, group.stop)
            outer = flat[part]
            grad_z = group.products.product(outer, stack.b.transpose(1, 2)).mul_(group.scale)
            group.products.add_outer(stack.grad_b, z, outer)
            group.products.add_outer(stack.grad_a, grad_z, tokens[part])
            if grad_x is not None:
                group.products.add_product(grad_x[part], grad_z, stack.a)
        grad_x = None if grad_x is None else grad_x.view(ctx.shape)
        product = None if ctx.weight is not None else grad.view(*ctx.shape[:-1], grad.shape[-1])
        return grad_x, product, None, None, None, None
