"""What is wrong with a config.json, by field: before transformers reads it, and when it fails over it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from beliefmod.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from beliefmod.model.model_files import ModelSource

_WHOLE = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim"
)  # fmt: skip


def check_sizes(source: ModelSource, config: dict[str, Any]) -> None:
    """Whether the sizes of a config.json are whole numbers of at least 1, and the base of its rotary
    embedding above 0, without which every logit is NaN; lists and absent ones are let be.

    Raises:
        UserError: one is not.
    """
    text = config.get("text_config")
    for part in (config, text) if isinstance(text, dict) else (config,):
        for field in _WHOLE:
            value = part.get(field)
            if value is None or isinstance(value, list) or (type(value) is int and value >= 1):
                continue
            raise UserError(
                f"model {source.name}: {field} is {json.dumps(value)} in {source.folder}/config.json, and "
                "must be a whole number of at least 1; correct it, or fetch the file again"
            )
        for field in ("rope_parameters", "rope_scaling"):
            settings = part.get(field)
            theta = settings.get("rope_theta") if isinstance(settings, dict) else None
            if isinstance(theta, int | float) and not theta > 0:
                raise UserError(
                    f"model {source.name}: {source.folder}/config.json: rope_theta of {field} is "
                    f"{json.dumps(theta)}, and must be above 0; correct it, or fetch the file again"
                )


def refused(source: ModelSource, config: dict[str, Any], error: Exception) -> UserError:
    """What to say of a config.json over which transformers failed: the field that is at fault, as far as it
    can be told, else what transformers says."""
    found = next(_faults(config, str(error)), None)
    raw = " ".join(str(error).split()) or type(error).__name__
    said = (found or f"the installed transformers cannot use it: {raw}").rstrip(".")
    return UserError(
        f"model {source.name}: {source.folder}/config.json: {said}; correct it, or fetch the file again"
    )


def rotary_fault(remarks: Sequence[str]) -> str | None:
    """What of transformers' remarks on rotary embeddings makes every number wrong; None if nothing does.

    transformers goes on with such settings: a factor under 1, factors for another number of frequencies.
    """
    for remark in remarks:
        if found := re.match(r"`rope_parameters`'s (\w+) field must (.+)", remark):
            field, rest = found.groups()
            numbers = field in ("factor", "short_factor", "long_factor", "low_freq_factor")
            if numbers or "greater than low_freq_factor" in rest:
                return f"{field} of rope_parameters (or rope_scaling) must {rest}"
    return None


def _faults(config: dict[str, Any], error: str) -> Iterator[str]:
    """Everything that is known to be wrong, the most particular first; `error` is what transformers said."""
    text = config.get("text_config")
    for part in (config, text) if isinstance(text, dict) else (config,):
        if (settings := part.get("quantization_config")) is not None and not isinstance(settings, dict):
            yield (
                f"quantization_config is {json.dumps(settings)}, and must be an object such as "
                '{"quant_method": "bitsandbytes", "load_in_4bit": true}, which only packed weights have (how '
                "plain ones are kept here is base_storage in the space file)"
            )
        yield from _layer_faults(part)
        yield from _name_faults(part)
        yield from _rotary_faults(part, error)
    if wrong := re.search(r"field '(\w+)'.*expected (.+), got \w+ \(value: (.*)\)", error, re.DOTALL):
        yield f"{wrong[1]} is {wrong[3]}, and must be {wrong[2]}"


def _layer_faults(part: dict[str, Any]) -> Iterator[str]:
    layers = part.get("num_hidden_layers")
    for field, value in part.items():
        if isinstance(value, list) and "layer" in field and isinstance(layers, int) and len(value) != layers:
            yield f"{field} has {len(value)} entries, and num_hidden_layers is {layers}"
    from transformers.configuration_utils import ALLOWED_LAYER_TYPES

    kinds = part.get("layer_types")
    for kind in kinds if isinstance(kinds, list) else ():
        if kind not in ALLOWED_LAYER_TYPES:
            yield f"layer_types holds {json.dumps(kind)}, which transformers does not know"


def _name_faults(part: dict[str, Any]) -> Iterator[str]:
    import torch
    from transformers.activations import ACT2FN

    for field in ("hidden_act", "hidden_activation", "activation_function"):
        name = part.get(field)
        if name is not None and name not in ACT2FN:
            near = did_you_mean(name, ACT2FN)
            yield f"{field} is {json.dumps(name)}, which transformers does not know{near}"
    for field in ("dtype", "torch_dtype"):
        name = part.get(field)
        if name is not None and not isinstance(
            getattr(torch, str(name).removeprefix("torch."), None), torch.dtype
        ):
            yield f'{field} is {json.dumps(name)}, and must be a type of torch such as "bfloat16"'


def _rotary_faults(part: dict[str, Any], error: str) -> Iterator[str]:
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    for field in ("rope_parameters", "rope_scaling"):
        settings = part.get(field)
        if not isinstance(settings, dict):
            if settings is not None:
                yield f"{field} is {json.dumps(settings)}, and must be an object"
            continue
        for each in [one for one in settings.values() if isinstance(one, dict)] or [settings]:
            kind = each.get("rope_type", each.get("type", "default"))
            if kind not in ("default", *ROPE_INIT_FUNCTIONS):
                near = did_you_mean(kind, ("default", *ROPE_INIT_FUNCTIONS))
                yield f"rope_type of {field} is {json.dumps(kind)}, which transformers does not know{near}"
            base = each.get("rope_theta", 1.0)
            if isinstance(base, bool) or not isinstance(base, int | float):
                yield f"rope_theta of {field} is {json.dumps(base)}, and must be a number"
        if lacks := re.search(
            r"Missing required keys in `rope_parameters` for 'rope_type'='(\w+)': \{(.+?)\}", error
        ):
            names = ", ".join(sorted(lacks[2].replace("'", "").split(", ")))
            yield f"{field} of type {lacks[1]} lacks {names}"
