"""What would give numbers that mean nothing, refused before it does."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from beliefmod.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from beliefmod.model.adapter_files import AdapterFile

_SAMPLED = 256
"""Values per tensor that `unchanged` compares. A merge or a repack changes nearly all of them."""


def refuse_null(adapter: AdapterFile, where: str) -> None:
    """Refuse an adapter whose update is zero in every layer: it would read as "LoRA changes nothing".

    Raises:
        UserError: it is one. PEFT leaves such an adapter behind, with a warning alone, where the names in a
            file do not fit the model.
    """
    if not any(bool((b != 0).any()) and bool((a != 0).any()) for a, b in adapter.tensors.values()):
        raise UserError(f"{where}: changes nothing, its weights are zero; train the trial again")


def guard_packed(model: Any) -> None:
    """Make sure that no layer kept in 4 bits repacks itself, after which its values cannot be read any more.

    Raises:
        UserError: a layer would, or has already done so.
    """
    from beliefmod.model.quantized import linear_names

    for name in linear_names(model)[0]:
        layer: Any = model.get_submodule(name)
        packed = getattr(layer.weight.quant_state, "packing_format_for_cpu", False)
        if packed or getattr(layer, "support_avx512bf16_for_cpu", False):
            done = "has repacked its 4-bit weights, which cannot be undone"
            due = "would repack its 4-bit weights at the first pass"
            raise UserError(
                f"layer {name} {done if packed else due}; load the model again with "
                "beliefmod.model.load.load_model, which forbids it"
            )


def refuse_merged(model: Any) -> None:
    """Refuse a model that carries an adapter of its own, merged into its weights or beside them.

    Its base arm would not be base; and a merge into 4-bit weights rounds the adapter away (the merged tiny
    model's logits have a cosine of 0.84 with the unmerged one's). Adapters belong into the engine's slots.

    Raises:
        UserError: it does, or has the traces that PEFT's `merge_and_unload` leaves.
    """
    for name, module in model.named_modules():
        # by attribute: the same for every kind of PEFT layer, and PEFT need not be imported
        if merged := getattr(module, "merged_adapters", None):
            raise UserError(
                f"layer {name} has adapter {', '.join(merged)} merged into its weights, so base would not be "
                "base; load the model without it, and give the adapter as a folder in PEFT's format"
            )
        if hasattr(module, "base_layer") and hasattr(module, "merged_adapters"):
            raise UserError(
                f"layer {name} carries a PEFT adapter of its own, so base would not be base; load the model "
                "without it, and give the adapter as a folder in PEFT's format"
            )


@contextlib.contextmanager
def unchanged(model: Any) -> Iterator[None]:
    """Make sure that the model's own weights are after the block what they were before it.

    `merge_and_unload` leaves no other trace, and a repacked 4-bit layer says so in a field that may go. At
    most _SAMPLED values of each tensor are compared.

    Raises:
        UserError: they are not; what was read in the block is not to be believed.
    """
    before = _weights(model)
    yield
    after = _weights(model)
    for name, digest in before.items():
        if after.get(name) != digest:
            raise UserError(
                f"the weights of the model changed while it was looked into ({name}); an adapter was merged "
                "or 4-bit weights were repacked, so nothing read from it counts; run the command again"
            )


def _weights(model: Any) -> dict[str, bytes]:
    return {name: _digest(parameter.detach()) for name, parameter in model.named_parameters()}


def _digest(values: Tensor) -> bytes:
    import torch

    flat = values.flatten()
    sampled = flat[:: max(1, len(flat) // _SAMPLED)].cpu().contiguous()
    return hashlib.blake2b(sampled.view(torch.uint8).numpy().tobytes()).digest()
