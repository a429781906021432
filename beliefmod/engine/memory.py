"""How much memory a token takes, how many tokens an engine handles at once, and what it does when that was
too many."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeVar

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import nn

from beliefmod.engine.jobs import EngineError
from beliefmod.engine.usage import Usage

CPU_PASS_BYTES, CPU_CACHE_BYTES = 2 * 2**30, 2**30
"""Of one pass and of the keys and values of one decoding batch, which take turns: a CPU's memory is also that
of everybody else. SmolLM2-135M writes 1.6 times as many tokens a second in batches of 1 GiB as in batches of
256 MiB, and hardly more in larger ones (docs/log.md)."""
LONGEST_PASS = {"cpu": 2048, "cuda": 16384}
"""Tokens. Longer ones are no faster: on one core 2048 fit its caches best, a GPU is busy before 16384."""


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
    """Activations kept for the backward pass, with an answer token's logits.

    Counted over the operations of a Llama-like layer: about 18 hidden-sized and 6 MLP-sized tensors. For
    Qwen3-4B in bf16 this gives 7.5 MB without logits, against 7.6 MB measured; for SmolLM2-135M in fp32 2.4
    MB, against 1.9 MB.
    """
    layers, hidden, inner, _ = _sizes(model)
    return layers * (18 * hidden + 6 * inner) * dtype.itemsize + logits_bytes_per_token(model)


def logits_bytes_per_token(model: nn.Module) -> int:
    """An answer token's logits and their gradient, in fp32."""
    return 3 * 4 * _sizes(model)[3]


def cache_bytes_per_token(model: Any, dtype: torch.dtype) -> int:
    """Keys and values of one token in all layers."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * config.num_hidden_layers * heads * head_dim * dtype.itemsize


def default_pass_tokens(model: nn.Module, dtype: torch.dtype, device: torch.device) -> int:
    """Tokens of one training or scoring pass: half of a GPU's free memory, 2 GiB on a CPU."""
    room = torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else CPU_PASS_BYTES
    return max(1, min(LONGEST_PASS[device.type], room // training_bytes_per_token(model, dtype)))


def default_cache_tokens(model: nn.Module, dtype: torch.dtype, device: torch.device) -> int:
    """Tokens of one decoding batch: a quarter of a GPU's free memory, 1 GiB on a CPU."""
    room = torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else CPU_CACHE_BYTES
    return max(1, room // cache_bytes_per_token(model, dtype))


T = TypeVar("T")


class OutOfMemory(EngineError):
    """Memory does not suffice even for the smallest piece of a request."""


class TokenLimits(Protocol):
    """A model's limits on one pass and one decoding batch, in tokens, and where changes are noted."""

    pass_tokens: int
    cache_tokens: int
    usage: Usage


def within_memory(
    limits: TokenLimits,
    limit: Literal["pass_tokens", "cache_tokens"],
    lengths: Sequence[int],
    attempt: Callable[[], T],
) -> T:
    """Run `attempt`; each time it runs out of memory halve the limit for good, and run it again.

    Args:
        lengths: tokens of the rows that `attempt` cuts to pieces of at most the limit, whole rows at least.

    Raises:
        OutOfMemory: at the floor.
    """
    while True:
        failure = None
        try:
            return attempt()
        except Exception as error:
            if not ran_out(error):
                raise
            failure = str(error).partition("\n")[0]
        # outside of the except block nothing refers to the tensors of the attempt any more
        clear_device_cache(garbage_collection=True)
        floor, before = max(lengths), getattr(limits, limit)
        if before <= floor:
            raise OutOfMemory(f"out of memory with one row of {floor} tokens at a time: {failure}")
        # from a limit far above the work at hand, the first halvings would change nothing
        after = max(floor, min(before, sum(lengths)) // 2)
        setattr(limits, limit, after)
        limits.usage.shrunk(f"out of memory: {limit} {before} -> {after} ({failure})")


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory, of the device or the machine, ran out."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # cuBLAS tells of no room for its workspace in words of its own
    return isinstance(error, Exception) and (
        should_reduce_batch_size(error) or "CUBLAS_STATUS_ALLOC_FAILED" in str(error)
    )
