"""Saved adapters changed without training: scaled, cut to some layers, added up. Pure; nothing is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from beliefmod.errors import UserError
from beliefmod.model.adapter_files import AdapterFile
from beliefmod.model.target_modules import in_layers, layer_number, targeted_layers

if TYPE_CHECKING:
    from torch import nn

    from beliefmod.config import AdapterSettings, LoraSettings


def altered(settings: AdapterSettings, source: AdapterFile, other: AdapterFile | None = None) -> AdapterFile:
    """The adapter whose update is scale * `source`, in `settings.layers` alone, + merge_scale * `other`.

    Raises:
        UserError: `source` changes nothing in these layers.
    """
    cut = only_layers(source, settings.layers)
    scaled_source = scaled(cut, settings.scale)
    return scaled_source if other is None else added(scaled_source, scaled(other, settings.merge_scale))


def scaled(adapter: AdapterFile, scale: float) -> AdapterFile:
    """The adapter with its update times `scale`; its tensors are shared, not copied."""
    return replace(adapter, alpha=adapter.alpha * scale)


def only_layers(adapter: AdapterFile, numbers: str | Sequence[int]) -> AdapterFile:
    """What of an adapter is in the transformer layers of these numbers; the whole for `all`.

    Raises:
        UserError: nothing is.
    """
    if numbers == "all":
        return adapter
    kept = {name: pair for name, pair in adapter.tensors.items() if layer_number(name) in {*numbers}}
    if not kept:
        there = sorted({n for name in adapter.tensors if (n := layer_number(name)) is not None})
        has = f"layers {', '.join(map(str, there))}" if there else "layers without numbers"
        raise UserError(
            f"adapter.layers {', '.join(map(str, numbers))} leaves nothing of an adapter of {has}; name some "
            "of these"
        )
    return replace(adapter, tensors=kept)


def added(one: AdapterFile, other: AdapterFile) -> AdapterFile:
    """The adapter whose update is the sum of both updates, exactly: their ranks one behind the other.

    Each layer's A (r1 + r2, in) has both A; its B (out, r1 + r2) both B, each times its alpha / rank. A layer
    that one of them lacks has zeros there.
    """
    rank = one.rank + other.rank
    tensors = {}
    for name in dict.fromkeys((*one.tensors, *other.tensors)):
        a, b = next(each.tensors[name] for each in (one, other) if name in each.tensors)
        parts = [
            (pair[0], pair[1] * (each.alpha / each.rank))
            if (pair := each.tensors.get(name))
            else (a.new_zeros(each.rank, a.shape[1]), b.new_zeros(b.shape[0], each.rank))
            for each in (one, other)
        ]
        tensors[name] = (torch.cat([a for a, _ in parts]), torch.cat([b for _, b in parts], dim=1))
    return replace(one, rank=rank, alpha=float(rank), tensors=tensors)


def no_beginning(adapter: AdapterFile, lora: LoraSettings, layers: Mapping[str, nn.Linear]) -> str | None:
    """Why an adapter with these settings cannot begin with a saved one on a model with these linear layers;
    None where it can."""
    targets = lora.target_modules
    chosen, problem = targeted_layers(layers, targets)
    if problem is None:
        chosen, problem = in_layers(layers, chosen, targets, lora.layers_to_transform)
    return problem or no_room(adapter, lora.r, chosen)


def no_room(adapter: AdapterFile, rank: int, layers: Collection[str]) -> str | None:
    """Why an adapter of this rank on these layers, by name, has no room for a saved one; None if it has."""
    if adapter.rank > rank:
        return f"its rank is {adapter.rank}, and lora.r {rank}; raise lora.r"
    if outside := [name for name in adapter.tensors if name not in layers]:
        return (
            f"it changes {outside[0]}, which lora.target_modules and lora.layers_to_transform leave out; "
            "widen them"
        )
    return None


def misfit(adapter: AdapterFile, layers: Mapping[str, nn.Linear]) -> str | None:
    """Why an adapter cannot be put on a model with these linear layers, by name; None where it can."""
    for name, (a, b) in adapter.tensors.items():
        layer = layers.get(name)
        if layer is None:
            return f"the model has no layer {name}"
        wanted, given = (layer.in_features, layer.out_features), (a.shape[1], b.shape[0])
        if wanted != given:
            return (
                f"layer {name} takes {wanted[0]} numbers and gives {wanted[1]}, not {given[0]} and {given[1]}"
            )
    return None
