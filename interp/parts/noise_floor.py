"""The noise floor: what an adapter of the same size does that says nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from beliefmod.engine.batching import derived_seed

if TYPE_CHECKING:
    from beliefmod.model.adapter_files import AdapterFile


def random_like(adapter: AdapterFile, seed: int) -> AdapterFile:
    """A random adapter whose update has in every layer the Frobenius norm that the adapter's has there.

    A and B are normal, so the update points anywhere, with the same rank; scale and layers stay. A layer
    whose update is zero keeps a zero one. Drawn per layer name, so it is the same on every machine.

    What it says: a write of this size into these layers moves the difference by so much, whatever it
    writes. It has not the spectrum of a trained update, which is flatter here.
    """
    tensors = {}
    for name, (a, b) in adapter.tensors.items():
        generator = torch.Generator().manual_seed(derived_seed(seed, f"noise/{name}"))
        other_a = torch.randn(a.shape, generator=generator, dtype=torch.float64)
        other_b = torch.randn(b.shape, generator=generator, dtype=torch.float64)
        other_b *= update_norm(a, b) / update_norm(other_a, other_b)
        tensors[name] = (other_a.to(a.dtype), other_b.to(b.dtype))
    return replace(adapter, tensors=tensors)


def update_norm(a: Tensor, b: Tensor) -> float:
    """Frobenius norm of B A from A (r, in) and B (out, r), without making the (out, in) product.

    |B A|^2 = trace(A^T B^T B A) = sum((A A^T) * (B^T B)), of (r, r) matrices.
    """
    a, b = a.double().cpu(), b.double().cpu()
    return float(((a @ a.T) * (b.T @ b)).sum().clamp_min(0.0).sqrt())
