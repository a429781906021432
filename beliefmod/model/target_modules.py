"""Which linear layers an adapter sits on, in PEFT's words: `target_modules`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from beliefmod.errors import UserError
from beliefmod.model.architecture import empty_model, model_config

if TYPE_CHECKING:
    from torch import nn

    from beliefmod.model.model_files import ModelSource


# what modules are called that exchange something between tokens
_BETWEEN_TOKENS = ("attn", "attention", "conv")


def linear_layers(model: nn.Module) -> dict[str, nn.Linear]:
    """Every linear layer of the model that an adapter can sit on, by name: PEFT's "all-linear".

    All but the output head; of a mixture of experts those of attention alone, for its experts are no linear
    layers, and PEFT takes the names of its other MLPs for those of experts.
    """
    found = every_linear(model)
    if experts(getattr(model, "config", None)) < 2:
        return found
    return {n: m for n, m in found.items() if any(p in n.rpartition(".")[0] for p in _BETWEEN_TOKENS)}


def experts(config: Any) -> int:
    """How many experts a layer of a mixture has, by whatever name; 0 or 1 for a dense model."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    counts = [getattr(text, name, None) for name in _EXPERTS]
    return max((count for count in counts if isinstance(count, int)), default=0)


_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")


def every_linear(model: nn.Module) -> dict[str, nn.Linear]:
    """Every linear layer of the model by name, except the output head: those that NF4 packs."""
    from torch import nn

    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None  # pyright: ignore[reportCallIssue]
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    }


def endings(name: str) -> set[str]:
    """What target_modules may say to choose a layer, as PEFT reads it: its name, or an end of it after a dot.

    >>> sorted(endings("layers.0.q_proj"))
    ['0.q_proj', 'layers.0.q_proj', 'q_proj']
    """
    parts = name.split(".")
    return {".".join(parts[start:]) for start in range(len(parts))}


def layer_number(name: str) -> int | None:
    """Number of the transformer layer that a linear layer is in, as PEFT reads it off its name; None outside.

    >>> layer_number("model.layers.3.mlp.experts.0.up_proj")
    3
    """
    found = re.match(r".*?\.[^.]*\.(\d+)\.", name)
    return int(found[1]) if found else None


def in_layers(
    layers: Iterable[str], chosen: Sequence[str], targets: str | Sequence[str], numbers: str | Sequence[int]
) -> tuple[list[str], str | None]:
    """Those of the linear layers chosen by target_modules that layers_to_transform leaves, and a sentence if
    it leaves none or numbers a layer that is not there. One that target_modules names in full stays, as in
    PEFT.

    Args:
        layers: names of the model's linear layers.
        numbers: all, or numbers of transformer layers.
    """
    if numbers == "all":
        return list(chosen), None
    there = sorted({number for name in layers if (number := layer_number(name)) is not None})
    if missing := sorted({*numbers} - {*there}):
        which = ", ".join(str(number) for number in missing)
        have = f"{there[0]} to {there[-1]}" if there else "not numbered"
        return [], f"layers_to_transform names {which}, which the model has not; its layers are {have}"
    in_full = () if isinstance(targets, str) else targets
    kept = [name for name in chosen if name in in_full or layer_number(name) in {*numbers}]
    return kept, None if kept else "layers_to_transform leaves no layer of target_modules; widen one of them"


def targeted_layers(layers: Iterable[str], targets: str | Sequence[str]) -> tuple[list[str], str | None]:
    """The layers that target_modules choose, and a sentence if it names one that is not there.

    Args:
        layers: names of the model's linear layers.
        targets: all-linear, or names or ends of names.
    """
    layers = list(layers)
    if targets == "all-linear":
        return layers, None
    wanted = {targets} if isinstance(targets, str) else set(targets)
    # sets: an adapter that was saved names every layer, and comparing each with each would take longer than
    # reading it
    chosen = {name: endings(name) & wanted for name in layers}
    missing, problem = sorted(wanted.difference(*chosen.values())), None
    if missing or not wanted:
        kinds = ", ".join(dict.fromkeys(name.rpartition(".")[2] for name in layers))
        named = f"names {', '.join(missing)}, which the model has not" if missing else "is empty"
        problem = f"target_modules {named}; its linear layers are {kinds}, or take all-linear"
    return [name for name, found in chosen.items() if found], problem


def check_steering(source: ModelSource, layers: Iterable[int | None]) -> None:
    """Whether a model has the layers behind which a vector is to be added; nothing is built.

    Args:
        layers: each value that steering.layer may take.

    Raises:
        UserError: one is not there.
    """
    asked = {layer for layer in layers if layer is not None}
    if not asked:
        return
    count = model_config(source).get_text_config().num_hidden_layers
    if beyond := sorted(layer for layer in asked if layer >= count):
        raise UserError(
            f"steering.layer names {', '.join(map(str, beyond))}, which model {source.name} has not; its "
            f"layers are 0 to {count - 1}"
        )


def check_targets(
    source: ModelSource,
    values: Iterable[str | Sequence[str]],
    numbers: Iterable[str | Sequence[int]] = ("all",),
) -> None:
    """Whether a model has the layers that adapters are to sit on; it is built without reading weights.

    Args:
        values: each value that lora.target_modules may take.
        numbers: each value that lora.layers_to_transform may take.

    Raises:
        UserError: a layer is not there.
    """
    combined = [(t, n) for t, n in product(values, numbers) if t != "all-linear" or n != "all"]
    if not combined:
        return
    layers = linear_layers(empty_model(source))
    problems: dict[str | None, None] = {}
    for targets, of_numbers in combined:
        chosen, problem = targeted_layers(layers, targets)
        problems[problem or in_layers(layers, chosen, targets, of_numbers)[1]] = None
    if found := [f"model {source.name}: lora.{problem}" for problem in problems if problem]:
        raise UserError(found)
