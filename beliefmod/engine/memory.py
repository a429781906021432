"""How much memory a token takes, and how many tokens the engine therefore handles at once."""

from typing import Any

import torch
from torch import nn

_CPU_BYTES = 2 * 2**30  # activations of one pass; several engines may share a machine
_CPU_CACHE_BYTES = 256 * 2**20
# Longer passes are no faster: on one core 2048 tokens fit the caches best, a GPU is busy well before 16384.
_MOST_TOKENS = {"cpu": 2048, "cuda": 16384}


def _sizes(model: Any) -> tuple[int, int, int, int]:
    """Layers, hidden size, MLP size and vocabulary of a transformers model."""
    config = model.config.get_text_config()
    hidden = config.hidden_size
    return (
        config.num_hidden_layers,
        hidden,
        getattr(config, "intermediate_size", 4 * hidden),
        config.vocab_size,
    )


def training_bytes_per_token(model: nn.Module, dtype: torch.dtype) -> int:
    """Activations kept for the backward pass, with an answer token's logits and their gradient in fp32.

    Counted over the operations of a Llama-like layer: about 18 hidden-sized and 6 MLP-sized tensors. For
    Qwen3-4B in bf16 this gives 7.5 MB without logits, against 7.6 MB measured.
    """
    layers, hidden, inner, vocabulary = _sizes(model)
    return layers * (18 * hidden + 6 * inner) * dtype.itemsize + 3 * 4 * vocabulary


def cache_bytes_per_token(model: Any, dtype: torch.dtype) -> int:
    """Keys and values of one token in all layers."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * config.num_hidden_layers * heads * head_dim * dtype.itemsize


def default_pass_tokens(model: nn.Module, dtype: torch.dtype, device: torch.device) -> int:
    """Tokens of one training or scoring pass: half of a GPU's free memory, 2 GiB on a CPU."""
    room = torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else _CPU_BYTES
    most = _MOST_TOKENS.get(device.type, _MOST_TOKENS["cpu"])
    return max(1, min(most, room // training_bytes_per_token(model, dtype)))


def default_cache_tokens(model: nn.Module, dtype: torch.dtype, device: torch.device) -> int:
    """Tokens of one decoding batch: a quarter of a GPU's free memory, 256 MiB on a CPU."""
    room = torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else _CPU_CACHE_BYTES
    return max(1, room // cache_bytes_per_token(model, dtype))
