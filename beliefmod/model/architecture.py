"""Can a model of this kind be used? Read from config.json, before any weight; and how its text part loads."""

from __future__ import annotations

import json
import re
from typing import Any

from beliefmod.errors import UserError
from beliefmod.model.model_files import ModelSource

# how configurations count the experts of a mixture; a dense model has none of them, or one
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
# where checkpoints with pictures keep the decoder, older layout and newer
_TEXT_PART = {
    r"^language_model\.model\.": "model.",
    r"^model\.language_model\.": "model.",
    r"^language_model\.": "",
}


def check_type(source: ModelSource) -> None:
    """Raises UserError unless the model is a dense causal language model that transformers itself knows."""
    from transformers.models.auto.configuration_auto import (
        CONFIG_MAPPING_NAMES,  # pyright: ignore[reportPrivateImportUsage]
    )
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    config = configuration(source)
    kind = config.get("model_type")
    if kind not in CONFIG_MAPPING_NAMES:
        raise UserError(
            f"model {source.name} is of type {kind}, which the installed transformers does not know; "
            "code from a model's repository is never run"
        )
    text = config.get("text_config")
    if isinstance(text, dict) and _text_type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UserError(
            f"model {source.name} is of type {kind}, whose text part cannot be loaded by itself; "
            "take a model for text alone"
        )
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UserError(f"model {source.name} is of type {kind}, which is not a causal language model")
    for part in (config, text if isinstance(text, dict) else {}):
        for name in _EXPERTS:
            if isinstance(count := part.get(name), int) and count > 1:
                raise UserError(
                    f"model {source.name} is a mixture of {count} experts ({name} in config.json), which are "
                    "no linear layers and could neither be quantised nor adapted; take a dense model"
                )


def text_options(source: ModelSource) -> dict[str, Any]:
    """What `from_pretrained` needs to load the text part alone of a model that also sees; else nothing.

    The rest would take memory, and "all-linear" would put adapters where no text passes.
    """
    config = configuration(source)
    if not isinstance(config.get("text_config"), dict):
        return {}
    from transformers import AutoConfig

    whole = AutoConfig.from_pretrained(source.folder, trust_remote_code=False, local_files_only=True)
    return {"config": whole.get_text_config(), "key_mapping": _TEXT_PART}


def _text_type(config: dict[str, Any]) -> str | None:
    """Type of the text part; old files leave it to the type of the whole."""
    from transformers import CONFIG_MAPPING

    parts: Any = CONFIG_MAPPING[config["model_type"]].sub_configs
    return config["text_config"].get("model_type") or getattr(parts.get("text_config"), "model_type", None)


def configuration(source: ModelSource) -> dict[str, Any]:
    """What a model's config.json says."""
    return json.loads((source.folder / "config.json").read_text())


def text_name(name: str) -> str:
    """The name in the text part alone of a weight or layer that is named as in the whole model.

    >>> text_name("model.language_model.layers.0.mlp.up_proj"), text_name("lm_head")
    ('model.layers.0.mlp.up_proj', 'lm_head')
    """
    for pattern, instead in _TEXT_PART.items():
        if re.match(pattern, name):
            return re.sub(pattern, instead, name)
    return name


def empty_model(source: ModelSource, *, whole: bool = False) -> Any:
    """The model with its shapes and without a weight in memory.

    Args:
        whole: all of one that also sees, as transformers loads it by its name; else its text part alone.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = None if whole else text_options(source).get("config")
    config = config or AutoConfig.from_pretrained(
        source.folder, trust_remote_code=False, local_files_only=True
    )
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)
