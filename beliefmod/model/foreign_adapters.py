"""Adapters that are no plain LoRA, told by the fields of PEFT's configuration (0.21), and what each means.

Read as plain LoRA they would give numbers that look right and are not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# layers, scale, how it was trained, and what else says nothing about what the two matrices of a layer mean
_SAYS_NOTHING = {
    "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode", "r",
    "target_modules", "exclude_modules", "lora_alpha", "use_rslora", "lora_dropout", "layers_to_transform",
    "layers_pattern", "megatron_config", "megatron_core", "qalora_group_size", "runtime_config", "eva_config",
    "ensure_weight_tying", "arrow_config", "loftq_config", "corda_config", "lora_ga_config",
}  # fmt: skip
# initialisations after which the base is what it was; the others take something out of its weights
_PLAIN_STARTS = (True, False, None, "gaussian", "eva", "orthogonal", "mica")
_WHY = {
    "use_dora": "DoRA also scales each output by a magnitude of its own",
    "use_qalora": "QALoRA reads sums over groups of inputs",
    "use_bdlora": "its matrices are block-diagonal",
    "bias": "it brings biases of its own for the model's layers",
    "lora_bias": "its B has a bias",
    "modules_to_save": "it brings whole layers of its own",
    "trainable_token_indices": "it brings embeddings of its own",
    "rank_pattern": "its layers differ in rank",
    "alpha_pattern": "its layers differ in alpha",
    "alora_invocation_tokens": "activated LoRA works only from these tokens on",
    "layer_replication": "its base has layers more than once",
    "fan_in_fan_out": "its base keeps weights transposed",
    "target_parameters": "it sits on weights that are no layers, such as experts'",
    "arrow_config": "it routes between several adapters",
    "kasa_config": "KaSA cuts the base's weights and puts a diagonal between A and B",
    "monteclora_config": "it samples its weights",
    "velora_config": "it is a variant of LoRA with products of its own",
}


def foreign_fields(config: Mapping[str, Any]) -> list[str]:
    """What makes an adapter anything but a plain LoRA of one rank; [] for a plain one.

    Args:
        config: its adapter_config.json.
    """
    kind = config.get("peft_type", "LORA")
    if kind != "LORA":
        return [f"peft_type is {kind}, which is another method than LoRA"]
    found = []
    for name, value in config.items():
        if name in ("peft_type", *(_SAYS_NOTHING - _WHY.keys())):
            continue
        if name == "init_lora_weights":
            if value not in _PLAIN_STARTS:
                found.append(
                    f"init_lora_weights is {value}: part of the base's weights was taken out of them at first"
                )
        elif value not in (None, False, {}, [], "none"):
            why = _WHY.get(name, "a field that is not known here, and could change what the weights mean")
            found.append(f"{name} is {_shortly(value)}: {why}")
    return found


def _shortly(value: Any) -> str:
    """A value as JSON has it, cut off where it is long."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
