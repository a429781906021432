"""Can a model of this kind be used? Read from config.json, before any weight; and how its text part loads."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from beliefmod.errors import UserError
from beliefmod.model.config_check import check_sizes, refused, rotary_fault
from beliefmod.model.model_files import ModelSource
from beliefmod.model.quiet import heard, silent_transformers
from beliefmod.model.supported_types import layer_refusal, refusal, text_config

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# where checkpoints with pictures keep the decoder, older layout and newer
_TEXT_PART = {
    r"^language_model\.model\.": "model.",
    r"^model\.language_model\.": "model.",
    r"^language_model\.": "",
}


def check_type(source: ModelSource) -> None:
    """Raises UserError unless the model is of a type that works here, in a configuration that does."""
    from transformers.models.auto.configuration_auto import (
        CONFIG_MAPPING_NAMES,  # pyright: ignore[reportPrivateImportUsage]
    )
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    config = configuration(source)
    check_sizes(source, config)
    kind = config.get("model_type")
    if kind not in CONFIG_MAPPING_NAMES:
        raise UserError(
            f"model {source.name} is of type {kind}, which the installed transformers does not know; "
            "code from a model's repository is never run"
        )
    part = config.get("text_config")
    text = _text_type(config) if isinstance(part, dict) else kind
    if text != kind and text not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UserError(
            f"model {source.name} is of type {kind}, whose text part cannot be loaded by itself; "
            "take a model for text alone"
        )
    if text is None or text not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UserError(f"model {source.name} is of type {kind}, which is not a causal language model")
    if why := refusal(text):
        raise UserError(f"model {source.name} is of type {text}, which {why}")
    if why := layer_refusal(model_config(source).get_text_config()):
        raise UserError(f"model {source.name} {why}")


def model_config(source: ModelSource) -> PretrainedConfig:
    """What transformers makes of config.json. Raises UserError where it cannot."""
    from transformers import AutoConfig

    with heard("transformers.modeling_rope_utils") as remarks:
        try:
            config = AutoConfig.from_pretrained(source.folder, trust_remote_code=False, local_files_only=True)
        except Exception as error:  # each type checks its own settings, and raises what it likes
            raise refused(source, configuration(source), error) from error
    if wrong := rotary_fault(remarks):
        raise UserError(f"model {source.name}: {source.folder}/config.json: {wrong}; correct it")
    return config


def text_options(source: ModelSource) -> dict[str, Any]:
    """What `from_pretrained` needs to load the text part alone of a model that also sees; else nothing.

    The rest would take memory, and "all-linear" would put adapters where no text passes.
    """
    config = configuration(source)
    if not isinstance(config.get("text_config"), dict):
        return {}
    return {"config": text_config(model_config(source)), "key_mapping": _TEXT_PART}


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

    Raises:
        UserError: transformers cannot build it, as where its layers differ in what their class has once.
    """
    import torch
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM, AutoModelForImageTextToText

    config = None if whole else text_options(source).get("config")
    config = config or model_config(source)
    # some that also see are known under one of the two names alone
    auto = (
        AutoModelForCausalLM if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING else AutoModelForImageTextToText
    )
    try:
        with torch.device("meta"), silent_transformers():
            return auto.from_config(config)
    except Exception as error:  # each type reads its own settings, and raises what it likes
        raise refused(source, configuration(source), error) from error
