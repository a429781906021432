"""Sizes that follow from a model's configuration and file headers, before weights are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from beliefmod.errors import UserError
from beliefmod.model.architecture import empty_model
from beliefmod.model.model_files import ModelSource

if TYPE_CHECKING:
    from transformers import PretrainedConfig


MAX_FULL_PARAMETERS = 50_000_000
"""The largest model that arm `full` trains: its weights, gradients and moments stand beside the pack."""


def too_large_for_full(name: str, size: int) -> str | None:
    """Why a model of so many parameters cannot be trained whole; None if it can."""
    if size <= MAX_FULL_PARAMETERS:
        return None
    return (
        f"model {name} has {size:,} parameters, and arm full is for small models (at most "
        f"{MAX_FULL_PARAMETERS:,}); leave out arm full, or take a smaller model"
    )


def check_full(source: ModelSource) -> None:
    """Whether a model is small enough for arm `full`; reads no weights.

    Raises:
        UserError: it is too large.
    """
    if problem := too_large_for_full(source.name, parameters(source)):
        raise UserError(problem)


def parameters(source: ModelSource) -> int:
    """Weights of a model, of one that also sees of its text part, by its configuration: files pack them."""
    return sum(parameter.numel() for parameter in empty_model(source).parameters())


def layer_values(config: Any, name: str, default: Any = None) -> list[Any]:
    """A setting in each layer; most configurations have one for all, some a list or one for each."""
    layers = range(config.num_hidden_layers)
    if getattr(config, "is_heterogeneous", False):
        return [getattr(config.per_layer_config[layer], name, default) for layer in layers]
    value = getattr(config, name, default)
    return list(value) if isinstance(value, list | tuple) else [value for _ in layers]


def positions(config: PretrainedConfig) -> int:
    """How many tokens a model can read; one whose configuration does not say has no end.

    max_position_embeddings, except that dynamic NTK scaling reaches factor times as far, and YaRN factor
    times the original length, which files that have it switched on later do not say (Qwen3).
    """
    text: Any = config.get_text_config()
    most = int(getattr(text, "max_position_embeddings", None) or 2**31)
    rotary = getattr(text, "rope_parameters", None) or {}
    # one setting for all layers, or one for each type of layer
    settings = [each for each in rotary.values() if isinstance(each, dict)] or [rotary]
    return max(most, *(_reach(each, most) for each in settings))


def _reach(rotary: dict[str, Any], most: int) -> int:
    """Tokens that a rotary embedding with these settings reaches, at least those it was trained on."""
    factor = rotary.get("factor") or 1.0
    if rotary.get("rope_type") == "dynamic":
        return int(most * factor)
    if rotary.get("rope_type") == "yarn":
        return int((rotary.get("original_max_position_embeddings") or 0) * factor)
    return most
