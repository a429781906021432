"""Sizes that follow from a model's configuration and file headers, before weights are read."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from beliefmod.config import MAX_FULL_PARAMETERS
from beliefmod.errors import UserError
from beliefmod.model.source import ModelSource

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def check_full(source: ModelSource) -> None:
    """Whether a model is small enough for arm `full`; reads no weights.

    Raises:
        UserError: it has more than MAX_FULL_PARAMETERS parameters.
    """
    size = stored_parameters(source)
    if size > MAX_FULL_PARAMETERS:
        raise UserError(
            f"model {source.name} has {size:,} parameters, and arm full is for small models (at most "
            f"{MAX_FULL_PARAMETERS:,}); leave out arm full, or take a smaller model"
        )


def stored_parameters(source: ModelSource) -> int:
    """Numbers in a model's weight files, from their headers."""
    total = 0
    for path in source.weight_files():
        # the format: eight bytes with the header's length, then the header as JSON
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        total += sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    return total


def model_size(config: PretrainedConfig) -> int:
    """Weights of a decoder with gated MLP and grouped attention, from its configuration alone."""
    config = config.get_text_config()  # of a model that also sees, the part that is used
    heads = config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    attention = config.hidden_size * head * (2 * heads + 2 * kv_heads)
    mlp = 3 * config.hidden_size * config.intermediate_size
    embedding = config.vocab_size * config.hidden_size * (1 if config.tie_word_embeddings else 2)
    return config.num_hidden_layers * (attention + mlp) + embedding


def positions(config: PretrainedConfig) -> int:
    """How many tokens a model can read; one whose configuration does not say has no end."""
    return int(getattr(config.get_text_config(), "max_position_embeddings", None) or 2**31)


def lora_parameters_per_rank(config: PretrainedConfig) -> int:
    """Adapter weights per unit of rank, all linear layers: the sum of inputs and outputs."""
    config = config.get_text_config()  # of a model that also sees, the part that is used
    heads = config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    hidden, mlp = config.hidden_size, config.intermediate_size
    per_layer = 2 * (hidden + heads * head) + 2 * (hidden + kv_heads * head) + 3 * (hidden + mlp)
    return config.num_hidden_layers * per_layer
