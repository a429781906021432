"""Products of many small matrices at once: tokens of several slots, each with its own slot's matrix.

Three ways compute the same. Slots with equally many tokens are a batched product of views; otherwise
torch's grouped product takes the slots' bounds; where that does not exist (fp64, older GPUs, odd ranks),
the tokens are gathered into padded blocks. Slots share no arithmetic in any of them: a NaN in one cannot
reach another.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from beliefmod.engine.transfer import numbers, sent


class Products(Protocol):
    """Products over the tokens (n,) of G slots, in the order of the slots.

    `add_product`: total (n, q) += scale times left (n, p) times each token's own right (G, p, q).
    `add_outer`: total (G, p, q) += each slot's left^T (p, its tokens) times right (its tokens, q); total
    may be of higher precision than the factors.
    """

    def product(self, left: Tensor, right: Tensor) -> Tensor: ...

    def add_product(self, total: Tensor, left: Tensor, right: Tensor, scale: float = 1.0) -> None: ...

    def add_outer(self, total: Tensor, left: Tensor, right: Tensor) -> None: ...


def products(counts: Sequence[int], rank: int, dtype: torch.dtype, device: torch.device) -> Products:
    """The fastest way for adapters of `rank` in slots with these numbers of tokens (0: none in this pass)."""
    if min(counts) == max(counts):
        return EqualBlocks(len(counts))
    if _grouped_mm_works(rank, dtype, device):
        return Grouped(counts, device)
    return PaddedBlocks(counts, device)


def _grouped_mm_works(rank: int, dtype: torch.dtype, device: torch.device) -> bool:
    """torch 2.13: rows of whole 16 bytes, on a GPU bf16 on compute capabilities 9 and 10. Others it accepts
    too, and then copies the bounds to the CPU at every product and multiplies slot by slot."""
    if rank * dtype.itemsize % 16:
        return False
    if device.type == "cuda":
        return dtype is torch.bfloat16 and torch.cuda.get_device_capability(device)[0] in (9, 10)
    return device.type == "cpu" and dtype in (torch.float32, torch.bfloat16, torch.float16)


class EqualBlocks:
    """Every slot has the same number of tokens, so a view is a batch of matrices."""

    def __init__(self, slots: int) -> None:
        self.slots = slots

    def _blocks(self, tokens: Tensor) -> Tensor:
        return tokens.view(self.slots, -1, tokens.shape[-1])

    def product(self, left: Tensor, right: Tensor) -> Tensor:
        return torch.bmm(self._blocks(left), right).view(len(left), -1)

    def add_product(self, total: Tensor, left: Tensor, right: Tensor, scale: float = 1.0) -> None:
        self._blocks(total).baddbmm_(self._blocks(left), right, alpha=scale)

    def add_outer(self, total: Tensor, left: Tensor, right: Tensor) -> None:
        left, right = self._blocks(left).transpose(1, 2), self._blocks(right)
        if total.dtype == left.dtype:
            total.baddbmm_(left, right)
        else:
            total.add_(torch.bmm(left, right))


class Grouped:
    """torch's grouped product: no padding, one call for all slots."""

    def __init__(self, counts: Sequence[int], device: torch.device) -> None:
        ends = torch.tensor(counts).cumsum(0)
        self.ends = sent(ends.to(torch.int32), device)
        self.present = None
        if min(counts) == 0:
            self.present = numbers([[[count > 0]] for count in counts], device)

    def product(self, left: Tensor, right: Tensor) -> Tensor:
        return F.grouped_mm(left, right, offs=self.ends)

    def add_product(self, total: Tensor, left: Tensor, right: Tensor, scale: float = 1.0) -> None:
        total.add_(self.product(left, right), alpha=scale)

    def add_outer(self, total: Tensor, left: Tensor, right: Tensor) -> None:
        found = F.grouped_mm(left.transpose(0, 1), right, offs=self.ends)
        if self.present is not None:  # a product over no tokens is not promised to be zero
            found = torch.where(self.present, found, 0.0)
        total.add_(found)


class PaddedBlocks:
    """Tokens gathered into blocks as long as the longest slot's; padding is zero and is never read back."""

    def __init__(self, counts: Sequence[int], device: torch.device) -> None:
        sizes = torch.tensor(counts)
        self.slots, longest = len(counts), int(sizes.max())
        place = torch.arange(longest)
        real = place[None, :] < sizes[:, None]
        starts = sizes.cumsum(0) - sizes
        inside = torch.where(real, starts[:, None] + place[None, :], 0)
        self.block_index = sent(inside.flatten(), device)
        self.flat_index = sent(real.flatten().nonzero().flatten(), device)
        self.padding = sent(~real[:, :, None], device)

    def _blocks(self, tokens: Tensor) -> Tensor:
        block = tokens.index_select(0, self.block_index).view(self.slots, -1, tokens.shape[-1])
        # filled, not multiplied: what stands there belongs to another slot and may be NaN
        return block.masked_fill_(self.padding, 0.0)

    def product(self, left: Tensor, right: Tensor) -> Tensor:
        return torch.bmm(self._blocks(left), right).flatten(0, 1).index_select(0, self.flat_index)

    def add_product(self, total: Tensor, left: Tensor, right: Tensor, scale: float = 1.0) -> None:
        total.add_(self.product(left, right), alpha=scale)

    def add_outer(self, total: Tensor, left: Tensor, right: Tensor) -> None:
        total.add_(torch.bmm(self._blocks(left).transpose(1, 2), self._blocks(right)))
