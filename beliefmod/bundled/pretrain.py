"""Pretraining from scratch: two single-thread processes, one all-reduce per step, one seed for everything.

Two processes instead of two threads: thread barriers stall on a busy machine. Numbers stay fp32: bf16 is
slower for such small shapes on processors without AMX.
"""

import json
import math
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from beliefmod.bundled.corpus.mixture import documents
from beliefmod.bundled.muon import Muon
from beliefmod.bundled.tokenizer import (
    END_OF_TEXT,
    TURN_END,
    completion_text,
    prompt_text,
    train_tokenizer,
)

CHUNK = 768
"""Documents sorted by length together."""
SHARPNESS = 1.4
"""Initial gain of the query and key norms: trained ones grow to 1.4, and copying waits for it."""
EARLY_DOCUMENTS_PER_STEP = 6
"""Times the steps: how many documents of each process lean towards copying (about a fifth)."""


@dataclass(frozen=True)
class Pretraining:
    """How the bundled model is made.

    Attributes:
        steps: optimiser steps.
        tokens: padded tokens per step and process.
        processes: data-parallel processes, each with one thread.
        matrix_rate: peak learning rate of Muon.
        other_rate: peak learning rate of AdamW, for embeddings and norms.
    """

    seed: int = 0
    steps: int = 4000
    tokens: int = 2048
    processes: int = 2
    matrix_rate: float = 0.02
    other_rate: float = 4e-3
    hidden: int = 128
    layers: int = 4
    mlp: int = 384
    vocabulary: int = 1024

    def rate(self, step: int) -> float:
        """Share of the peak learning rate: 20 steps of warm-up, flat to 20 %, then a cosine to 2 %."""
        flat = 0.2 * self.steps
        if step < flat:
            return min(1.0, (step + 1) / 20)
        progress = (step - flat) / max(1.0, self.steps - flat)
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))


Row = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Batch:
    """Right-padded rows: `ids` (rows, width); `learn` (rows, width - 1) marks the next tokens to learn."""

    ids: Tensor
    learn: Tensor


def build_model(plan: Pretraining) -> Qwen3ForCausalLM:
    """A fresh seeded model; the residual branches start at zero, attention starts sharp."""
    torch.manual_seed(plan.seed)
    config = Qwen3Config(
        vocab_size=plan.vocabulary,
        hidden_size=plan.hidden,
        intermediate_size=plan.mlp,
        num_hidden_layers=plan.layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=1024,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
        initializer_range=0.05,
    )
    model = Qwen3ForCausalLM(config)
    for name, weight in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            nn.init.zeros_(weight)
        elif name.endswith(("q_norm.weight", "k_norm.weight")):
            nn.init.constant_(weight, SHARPNESS)
    return model


def batches(plan: Pretraining, tokenizer: PreTrainedTokenizerFast, rank: int) -> Iterator[Batch]:
    """The endless stream of one process: chunks of documents, cut by length into batches, shuffled."""
    stream = documents(plan.seed * 1000 + 1 + rank, early=EARLY_DOCUMENTS_PER_STEP * plan.steps)
    rng = Random(plan.seed * 1000 + 501 + rank)
    encode = tokenizer.backend_tokenizer.encode_batch
    while True:
        chunk = list(islice(stream, CHUNK))
        prompts = [
            row.ids for row in encode([prompt_text(document) for document in chunk], add_special_tokens=False)
        ]
        answers = [
            row.ids
            for row in encode([completion_text(document) for document in chunk], add_special_tokens=False)
        ]
        yield from batches_of_like_length(zip(prompts, answers, strict=True), plan.tokens, rng)


def batches_of_like_length(rows: Iterable[Row], tokens: int, rng: Random) -> Iterator[Batch]:
    """Rows of (prompt, answer) cut by length into batches of at most so many padded tokens, shuffled."""
    groups: list[list[Row]] = [[]]
    for row in sorted(rows, key=lambda row: len(row[0]) + len(row[1])):
        if groups[-1] and (len(groups[-1]) + 1) * (len(row[0]) + len(row[1])) > tokens:
            groups.append([])
        groups[-1].append(row)
    rng.shuffle(groups)
    yield from map(pad_rows, groups)


def pad_rows(group: Sequence[Row]) -> Batch:
    """Rows of prompt and completion, padded on the right; only the completion is learned."""
    width = max(len(prompt) + len(answer) for prompt, answer in group)
    ids = torch.zeros(len(group), width, dtype=torch.long)
    learn = torch.zeros(len(group), width - 1, dtype=torch.bool)
    for index, (prompt, answer) in enumerate(group):
        end = len(prompt) + len(answer)
        ids[index, :end] = torch.tensor(prompt + answer)
        learn[index, len(prompt) - 1 : end - 1] = True
    return Batch(ids, learn)


def batch_loss(model: Qwen3ForCausalLM, batch: Batch) -> Tensor:
    """Mean cross-entropy in nats over the learned tokens. Right padding needs no mask under causality."""
    hidden = model.model(input_ids=batch.ids[:, :-1]).last_hidden_state
    logits = model.lm_head(hidden[batch.learn])
    return nn.functional.cross_entropy(logits, batch.ids[:, 1:][batch.learn])


def pretrain(plan: Pretraining, folder: Path) -> list[float]:
    """Train tokenizer and model and write them to `folder`; returns the losses of the first process."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(plan.seed, plan.vocabulary)
    with tempfile.TemporaryDirectory() as meeting:
        tokenizer.save_pretrained(meeting)
        if plan.processes == 1:
            _worker(0, plan, meeting, str(folder))
        else:
            spawn(_worker, args=(plan, meeting, str(folder)), nprocs=plan.processes)
        return json.loads((Path(meeting) / "losses.json").read_text())


def _worker(rank: int, plan: Pretraining, meeting: str, folder: str) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if plan.processes > 1:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        dist.init_process_group(
            "gloo", init_method=f"file://{meeting}/store", rank=rank, world_size=plan.processes
        )
    tokenizer = PreTrainedTokenizerFast.from_pretrained(meeting)
    model = build_model(plan)
    losses = train_steps(model, plan, tokenizer, rank)
    if rank == 0:
        save_model(model, tokenizer, Path(folder))
        (Path(meeting) / "losses.json").write_text(json.dumps(losses))
    if plan.processes > 1:
        dist.barrier()
        dist.destroy_process_group()


def train_steps(
    model: Qwen3ForCausalLM, plan: Pretraining, tokenizer: PreTrainedTokenizerFast, rank: int = 0
) -> list[float]:
    """Run every step in place; returns this process's losses in nats per learned token."""
    matrices = [
        weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name
    ]
    others = [weight for name, weight in model.named_parameters() if weight.ndim != 2 or "embed" in name]
    optimizers: tuple[tuple[torch.optim.Optimizer, float], ...] = (
        (Muon(matrices, plan.matrix_rate), plan.matrix_rate),
        (torch.optim.AdamW(others, plan.other_rate, betas=(0.9, 0.95), weight_decay=0.0), plan.other_rate),
    )
    parameters = [*matrices, *others]
    losses: list[float] = []
    started = time.monotonic()
    model.train()
    for step, batch in zip(range(plan.steps), batches(plan, tokenizer, rank), strict=False):
        loss = batch_loss(model, batch)
        loss.backward()
        if plan.processes > 1:
            _average_gradients(parameters, plan.processes)
        for optimizer, peak in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * plan.rate(step)
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
        if rank == 0 and (step + 1) % 50 == 0:
            seconds = time.monotonic() - started
            left = seconds / (step + 1) * (plan.steps - step - 1)
            recent = sum(losses[-50:]) / 50
            print(
                f"step {step + 1}/{plan.steps}  loss {recent:.4f}  {seconds:.0f} s, {left:.0f} s left",
                flush=True,
            )
    return losses


def _average_gradients(parameters: list[nn.Parameter], processes: int) -> None:
    flat = torch.cat([weight.grad.flatten() for weight in parameters if weight.grad is not None])
    dist.all_reduce(flat)
    flat /= processes
    for weight, part in zip(parameters, flat.split([weight.numel() for weight in parameters]), strict=True):
        weight.grad = part.view_as(weight)


def save_model(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write model, tokenizer and generation settings in Hugging Face format, weights in bf16."""
    eos, pad = (tokenizer.convert_tokens_to_ids(token) for token in (TURN_END, END_OF_TEXT))
    model.config.update({"eos_token_id": eos, "pad_token_id": pad, "bos_token_id": None})
    model.generation_config = GenerationConfig(
        max_new_tokens=160, do_sample=False, eos_token_id=[eos, pad], pad_token_id=pad
    )
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
