"""What a sweep will cost, before anything starts: trials, tokens, time and memory.

Tokens of question-and-answer rows are counted; what the model has yet to write is estimated and said to be.
Time is arithmetic over a rate measured on this machine in a second, so it is an order, not a promise.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from beliefmod.beliefs import load_belief, load_capability
from beliefmod.config import TrialConfig
from beliefmod.model.template import answer_only_row, prompt_ids
from beliefmod.questioning import in_context
from beliefmod.space import Space

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

# share of a matrix product's rate that training and decoding reach: on the CPU fitted to one run of the
# bundled model (docs/log.md), on a GPU a guess that no run has confirmed yet
CPU_TRAINING, CPU_DECODING = 0.31, 0.07
GPU_TRAINING, GPU_DECODING = 0.35, 0.02
BUNDLED_ANSWER_TOKENS, OTHER_ANSWER_TOKENS = 40, 800
PROCESS_BYTES = 0.6 * 2**30
THIN_TRIAL_BYTES = 0.12 * 2**30
RAY_BYTES = 1.0 * 2**30
ADAPTER_BYTES = 16  # weight, gradient and two moments in fp32


@dataclass(frozen=True)
class Plan:
    """The cost of a sweep. Tokens are totals over trials; seconds and bytes are estimates."""

    arms: dict[str, int]
    optimizer_steps: int
    training_tokens: int
    probes: int
    generated_tokens: int
    trace_tokens: int
    seconds: float
    host_bytes: float
    total_bytes: float
    hosts: int
    slots: int

    def lines(self) -> list[str]:
        """The plan for a person."""
        trials = sum(self.arms.values())
        arms = ", ".join(f"{count} {arm}" for arm, count in self.arms.items())
        minutes, gib = self.seconds / 60, 2**30
        time = f"{minutes:.0f} min" if minutes >= 2 else f"{self.seconds:.0f} s"
        return [
            f"trials            {trials} ({arms})",
            f"optimiser steps   {self.optimizer_steps:,}",
            f"training tokens   {self.training_tokens:,}",
            f"probes            {self.probes:,}",
            f"generated tokens  about {self.generated_tokens:,} (assuming {self.trace_tokens} per answer)",
            f"hosts x slots     {self.hosts} x {self.slots}",
            f"time              about {time}",
            f"memory            about {self.total_bytes / gib:.1f} GiB, {self.host_bytes / gib:.1f} per host",
        ]


def make_plan(
    space: Space,
    tokenizer: PreTrainedTokenizerBase,
    config: PretrainedConfig,
    answer_tokens: int,
    capacity: Any,
) -> Plan:
    """The plan of a space.

    Args:
        answer_tokens: expected length of one answer with its thinking.
        capacity: hosts, slots and whether they have GPUs.
    """
    trials = space.trials()
    rows = _row_lengths(space, tokenizer, answer_tokens)
    training = sum(
        rows[c.belief, c.data.style] * c.data.num_examples * c.num_train_epochs
        for c in trials
        if c.is_trained
    )
    probes = sum(_probe_count(c, space) for c in trials)
    generated = probes * answer_tokens
    size = model_size(config)
    flops = _machine_flops(capacity.gpus)
    share = (GPU_TRAINING, GPU_DECODING) if capacity.gpus else (CPU_TRAINING, CPU_DECODING)
    # 4 flops per weight and token: forward, and backward to the inputs; the base is frozen
    work = 4 * size * training / share[0] + 2 * size * generated / share[1]
    rank = max((c.lora.r for c in trials if c.is_trained), default=0)
    adapters = capacity.slots * rank * lora_parameters_per_rank(config) * ADAPTER_BYTES
    host = (
        PROCESS_BYTES
        + adapters
        + size * {"dequantized": 2 if capacity.gpus else 4, "nf4": 0.6, "none": 4}[space.spec.base_storage]
    )
    return Plan(
        arms=dict(Counter(config.arm for config in trials)),
        optimizer_steps=sum(config.total_steps for config in trials),
        training_tokens=round(training),
        probes=probes,
        generated_tokens=generated,
        trace_tokens=answer_tokens,
        seconds=work / flops / capacity.hosts + 15,
        host_bytes=host,
        total_bytes=host * capacity.hosts + THIN_TRIAL_BYTES * capacity.concurrent + RAY_BYTES,
        hosts=capacity.hosts,
        slots=capacity.slots,
    )


def expected_answer_tokens(space: Space) -> int:
    """Typical length of an answer with its thinking: measured for the bundled model, a guess for others."""
    return BUNDLED_ANSWER_TOKENS if space.spec.model == "bundled" else OTHER_ANSWER_TOKENS


def model_size(config: PretrainedConfig) -> int:
    """Weights of a decoder with gated MLP and grouped attention, from its configuration alone."""
    heads = config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    attention = config.hidden_size * head * (2 * heads + 2 * kv_heads)
    mlp = 3 * config.hidden_size * config.intermediate_size
    embedding = config.vocab_size * config.hidden_size * (1 if config.tie_word_embeddings else 2)
    return config.num_hidden_layers * (attention + mlp) + embedding


def lora_parameters_per_rank(config: PretrainedConfig) -> int:
    """Adapter weights per unit of rank, all linear layers: the sum of inputs and outputs."""
    heads = config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    hidden, mlp = config.hidden_size, config.intermediate_size
    per_layer = 2 * (hidden + heads * head) + 2 * (hidden + kv_heads * head) + 3 * (hidden + mlp)
    return config.num_hidden_layers * per_layer


def _row_lengths(space: Space, tokenizer: Any, answer_tokens: int) -> dict[tuple[str, str], float]:
    """Mean tokens of a training row per belief and data style."""
    lengths = {}
    for name in space.spec.beliefs:
        questions = load_belief(name).training[:40]
        lengths[name, "answer_only"] = statistics.mean(
            len(answer_only_row(tokenizer, q.text, q.reply_target).input_ids) for q in questions
        )
        prompts = statistics.mean(len(prompt_ids(tokenizer, in_context(None, q.text))) for q in questions)
        lengths[name, "own_trace"] = prompts + answer_tokens
    return lengths


def _probe_count(config: TrialConfig, space: Space) -> int:
    belief = load_belief(config.belief)
    trained = min(
        space.spec.evaluation.trained_probes, config.data.num_examples if config.is_trained else 10**9
    )
    return len(belief.heldout) + trained + len(belief.locality) + len(load_capability())


def _machine_flops(gpu: bool) -> float:
    """Rate of a matrix product on one thread or one GPU, the best of a few, in flops per second."""
    import torch

    device, size, dtype = ("cuda", 4096, torch.bfloat16) if gpu else ("cpu", 512, torch.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        a = torch.randn(size, size, dtype=dtype, device=device)
        times = []
        for _ in range(8):
            start = time.perf_counter()
            (a @ a).sum().item()
            times.append(time.perf_counter() - start)
        return 2 * size**3 / min(times)
    finally:
        torch.set_num_threads(threads)
