"""What this machine gives one engine, measured in a second or two: products, bandwidth, passes, memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils.memory import find_executable_batch_size

from beliefmod.capacity.granted import granted_memory
from beliefmod.capacity.limit import Model
from beliefmod.capacity.resources import GPU_FLOPS_ELSEWHERE
from beliefmod.engine.memory import (
    CPU_PASS_BYTES,
    LONGEST_PASS,
    cache_bytes_per_token,
    training_bytes_per_token,
)
from beliefmod.model.quantized import return_freed_memory
from beliefmod.model.size import layer_values
from beliefmod.model.target_modules import linear_layers

if TYPE_CHECKING:
    from beliefmod.model.load import LoadedModel

ROW_TOKENS = 64
SHORTEST_PASS = {"cpu": 128, "cuda": 512}
"""Tokens of the first pass that is timed; each next one is twice as long, up to the longest of any use."""
PASSES_SECONDS = {"cpu": 1.0, "cuda": 5.0}
_PRODUCT = {"cpu": 512, "cuda": 4096}
_COPY_BYTES = {"cpu": (2**20, 2**27), "cuda": (2**28, 2**30)}  # least and most


@dataclass(frozen=True)
class Calibration:
    """Measurements of one host.

    Attributes:
        flops: operations per second of a large matrix product in the model's dtype.
        bandwidth: bytes per second, read and written, of a copy as large as the model's weights: a model that
            fits the processor's caches is measured there.
        free_bytes: memory that this engine may still take.
        passes: tokens and seconds of a forward and backward pass of the base, shortest first.
        pass_tokens: the longest pass that fits and is of use.
        activation_bytes: memory that a token of a training pass takes, its logits included.
        model: the model in the terms of `beliefmod.capacity.limit`.
        unit: weights of an adapter of rank 1 on every linear layer.
        seconds: how long measuring took.
    """

    flops: float
    bandwidth: float
    free_bytes: int
    passes: tuple[tuple[int, float], ...]
    pass_tokens: int
    activation_bytes: int
    model: Model
    unit: int
    seconds: float


def calibrate(loaded: LoadedModel, share: float = 1.0) -> Calibration:
    """Measure a loaded model's machine, before an engine is built on it.

    Args:
        share: part of the device's memory that is this engine's; other engines have the rest.
    """
    start = time.perf_counter()
    device = next(loaded.model.parameters()).device
    weights = sum(tensor.numel() * tensor.element_size() for tensor in loaded.model.parameters())
    free = free_bytes(device, share)
    kept = training_bytes_per_token(loaded.model, loaded.dtype)
    room = min(free, CPU_PASS_BYTES) if device.type == "cpu" else 0.8 * free
    fitting = _fitting(loaded.model, max(ROW_TOKENS, min(LONGEST_PASS[device.type], int(room / kept))))
    sizes = [SHORTEST_PASS[device.type] << doublings for doublings in range(10)]
    passes = _passes(loaded.model, device, [size for size in sizes if size < fitting] + [fitting])
    return_freed_memory()
    return Calibration(
        flops=product_rate(loaded.dtype, device),
        bandwidth=copy_rate(weights, device),
        free_bytes=free,
        passes=passes,
        pass_tokens=fitting,
        activation_bytes=kept,
        model=model_terms(loaded),
        unit=sum(layer.in_features + layer.out_features for layer in linear_layers(loaded.model).values()),
        seconds=time.perf_counter() - start,
    )


def model_terms(loaded: LoadedModel) -> Model:
    """Sizes of a model that no engine has been built on yet."""
    config: Any = loaded.model.config.get_text_config()
    heads = config.num_attention_heads
    width = heads * max(size or config.hidden_size // heads for size in layer_values(config, "head_dim"))
    return Model(
        linear_weights=sum(
            layer.in_features * layer.out_features for layer in linear_layers(loaded.model).values()
        ),
        head_weights=config.vocab_size * config.hidden_size,
        layers=config.num_hidden_layers,
        query_width=width,
        number_bytes=loaded.dtype.itemsize,
        packed=loaded.base_storage == "nf4",
        cache_bytes=cache_bytes_per_token(loaded.model, loaded.dtype),
    )


def free_bytes(device: torch.device, share: float = 1.0) -> int:
    """Memory that an engine could take on a device without anybody giving some back.

    Args:
        share: this engine's part: of a GPU's whole memory, for its neighbours may not have loaded yet;
            of a machine's free memory, for others than engines use it too.
    """
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return max(0, min(free, int(share * total) - torch.cuda.memory_reserved(device)))
    return int(granted_memory()[1] * share)


def product_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Operations per second of a large matrix product; the best of many, for others use the machine too."""
    size = _PRODUCT[device.type]
    a = torch.randn(size, size, device=device).to(dtype)
    return 2 * size**3 / _shortest(lambda: a @ a, device, seconds=0.2)


def rate_of_host(gpu: bool) -> float:
    """Operations per second of a large matrix product on one thread of this machine, or on one GPU, for a
    plan that is made before any model is loaded."""
    if gpu:
        here = torch.cuda.is_available()
        return product_rate(torch.bfloat16, torch.device("cuda")) if here else GPU_FLOPS_ELSEWHERE
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return product_rate(torch.float32, torch.device("cpu"))
    finally:
        torch.set_num_threads(threads)


def copy_rate(bytes_: int, device: torch.device) -> float:
    """Bytes per second, read and written, of copies about `bytes_` long."""
    least, most = _COPY_BYTES[device.type]
    size = min(max(bytes_, least), most)
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / _shortest(lambda: target.copy_(source), device, seconds=0.2)


def _shortest(work: Callable[[], Any], device: torch.device, seconds: float, least: int = 3) -> float:
    """Shortest of at least `least` runs after one to warm up, and of as many as `seconds` allow."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) <= least or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _training_pass(model: Any, tokens: int) -> None:
    """Forward and backward through the frozen base to its inputs, a quarter of every row with logits."""
    rows = max(1, tokens // ROW_TOKENS)
    embedding = model.get_input_embeddings()
    ids = torch.arange(rows * ROW_TOKENS, device=embedding.weight.device) % embedding.weight.shape[0]
    inputs = embedding(ids.view(rows, ROW_TOKENS)).detach().requires_grad_()
    logits = model(inputs_embeds=inputs, use_cache=False, logits_to_keep=ROW_TOKENS // 4).logits
    logits.float().logsumexp(-1).sum().backward()


def _fitting(model: Any, tokens: int) -> int:
    """The longest pass that memory holds: `tokens`, or a half, a quarter ... of it."""

    def halved() -> int:
        nonlocal tokens
        tokens //= 2
        return tokens

    @find_executable_batch_size(starting_batch_size=tokens, reduce_batch_size_fn=halved)
    def attempt(batch_size: int) -> int:
        _training_pass(model, batch_size)
        return batch_size

    return attempt()  # pyright: ignore[reportCallIssue]


def _passes(model: Any, device: torch.device, sizes: Sequence[int]) -> tuple[tuple[int, float], ...]:
    """Time passes of these sizes, until the time for it is over."""
    budget = PASSES_SECONDS[device.type]
    end = time.perf_counter() + budget
    found: list[tuple[int, float]] = []
    for tokens in sizes:
        if found and time.perf_counter() > end:
            break
        work = partial(_training_pass, model, tokens)
        found.append((tokens, _shortest(work, device, budget / len(sizes) / 2, least=2)))
    return tuple(found)
