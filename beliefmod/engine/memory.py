"""How much memory a token takes, how many tokens an engine handles at once, and what it does when that was
too many."""

import resource
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeVar

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import nn

from beliefmod.engine.jobs import EngineError
from beliefmod.engine.usage import Usage
from beliefmod.model.size import layer_values

CPU_PASS_BYTES, CPU_CACHE_BYTES = 2 * 2**30, 2**30
"""Of one pass, and of all keys and values of answers under way, which take turns: a CPU's memory is also that
of everybody else. With answers of about 100 tokens SmolLM2-135M writes 1.6 times as many tokens a second in 1
GiB as in 256 MiB, and hardly more in more (docs/log.md). Where there is much memory, an engine takes more."""
RECURRENT = {"conv", "linear_attention"}
"""Kinds of layers, as configurations call them, that keep a state for each row and no keys and values."""
LONGEST_PASS = {"cpu": 2048, "cuda": 16384}
"""Tokens. Longer ones are no faster: on one core 2048 fit its caches best, a GPU is busy before 16384."""


def training_bytes_per_token(model: Any, dtype: torch.dtype) -> int:
    """Activations kept for the backward pass, with an answer token's logits.

    Counted over the operations of a Llama-like layer: about 18 hidden-sized and 6 MLP-sized tensors. For
    Qwen3-4B in bf16 this gives 7.5 MB without logits, against 7.6 MB measured; for SmolLM2-135M in fp32 2.4
    MB, against 1.9 MB. Of a mixture of experts the chosen ones count.
    """
    config = model.config.get_text_config()
    hidden = config.hidden_size
    inner = sum(size or 4 * hidden for size in layer_values(config, "intermediate_size"))
    chosen = getattr(config, "num_experts_per_tok", None) or getattr(config, "top_k_experts", None) or 1
    experts = getattr(config, "moe_intermediate_size", None) or getattr(config, "intermediate_size", 0)
    if isinstance(experts, int) and chosen > 1:
        inner = max(inner, config.num_hidden_layers * chosen * experts)
    kept = (18 * config.num_hidden_layers * hidden + 6 * inner) * dtype.itemsize
    return kept + logits_bytes_per_token(model)


def logits_bytes_per_token(model: Any) -> int:
    """An answer token's logits and their gradient, in fp32."""
    return 3 * 4 * model.config.get_text_config().vocab_size


def prompt_bytes_per_token(model: Any, dtype: torch.dtype) -> int:
    """Of a prompt that a decoding batch reads, beside its keys and values: nothing is kept for a backward
    pass, so it is what one layer holds at a time, about 10 hidden-sized and 4 MLP-sized tensors.

    For SmolLM2-135M in fp32 this gives 48 kB, against 46 kB measured."""
    config = model.config.get_text_config()
    inner = max(size or 4 * config.hidden_size for size in layer_values(config, "intermediate_size"))
    return (10 * config.hidden_size + 4 * inner) * dtype.itemsize


def cache_bytes_per_token(model: Any, dtype: torch.dtype) -> int:
    """Keys and values of one token in all layers that attend."""
    config = model.config.get_text_config()
    numbers = 0
    for kind, heads, head_dim in zip(
        getattr(config, "layer_types", None) or [None] * config.num_hidden_layers,
        layer_values(config, "num_key_value_heads"),
        layer_values(config, "head_dim"),
        strict=False,
    ):
        if kind not in RECURRENT:
            size = head_dim or config.hidden_size // config.num_attention_heads
            numbers += (heads or config.num_attention_heads) * size
    return 2 * numbers * dtype.itemsize


def state_bytes_per_row(model: Any, dtype: torch.dtype) -> int:
    """What recurrent layers remember of one row, however long it is.

    Of a gated delta net a matrix in fp32 for each value head; and the last tokens of every convolution.
    """
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None) or []
    convolution = config.hidden_size * (getattr(config, "conv_L_cache", None) or 0)
    heads = getattr(config, "linear_num_value_heads", None) or 0
    key, value = (getattr(config, f"linear_{name}_head_dim", None) or 0 for name in ("key", "value"))
    width = 2 * (getattr(config, "linear_num_key_heads", None) or 0) * key + heads * value
    window = width * (getattr(config, "linear_conv_kernel_dim", None) or 0)
    delta = 4 * heads * key * value + window * dtype.itemsize
    return kinds.count("conv") * convolution * dtype.itemsize + kinds.count("linear_attention") * delta


def default_pass_tokens(model: nn.Module, dtype: torch.dtype, device: torch.device) -> int:
    """Tokens of one training or scoring pass: half of a GPU's free memory, 2 GiB on a CPU."""
    room = torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else CPU_PASS_BYTES
    return max(1, min(LONGEST_PASS[device.type], room // training_bytes_per_token(model, dtype)))


def default_cache_tokens(model: nn.Module, dtype: torch.dtype, device: torch.device) -> int:
    """Tokens of one decoding batch: a quarter of a GPU's free memory, 1 GiB on a CPU."""
    room = torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else CPU_CACHE_BYTES
    return max(1, room // cache_bytes_per_token(model, dtype))


def peak_bytes(device: torch.device) -> int:
    """The most memory that this process has held so far: on a GPU torch's part of it, else resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


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
