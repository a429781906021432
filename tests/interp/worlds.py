"""Tiny models for the oracles: ours on an engine, and the same weights as transformers and PEFT run them.

Nothing of ours is on their side: their adapters are PEFT's, unmerged, from the file that we write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from beliefmod.engine.engine import Engine
from beliefmod.model.adapter_files import AdapterFile, write_adapter
from beliefmod.model.load import LoadedModel
from beliefmod.model.quantized import guard_cpu_repacking, linear_names, nf4_config
from interp.lenses.lens_head import LensHead
from interp.lenses.residual_stream import ProbedRow, residuals
from tests.engine.conftest import random_ids

VOCAB = 96
LAYERS, HIDDEN = 3, 64
TOLERANCE = 1e-4
RANK = 4


@dataclass(frozen=True)
class World:
    """Weights on disk (model, adapter "lora" for all seven projections), and how they are to be loaded."""

    folder: Path
    storage: str

    @property
    def name(self) -> str:
        """Where the model lies."""
        return str(self.folder / "model")

    def theirs(self, adapted: bool = False) -> PreTrainedModel:
        """A fresh model as transformers has it; adapted: with PEFT's layers in it, unmerged and on."""
        options = {"quantization_config": nf4_config(torch.float32)} if self.storage == "nf4" else {}
        model = AutoModelForCausalLM.from_pretrained(
            self.name, dtype=torch.float32, attn_implementation="eager", local_files_only=True, **options
        ).eval()
        # theirs needs it as much as ours: a repacked layer computes in bf16
        guard_cpu_repacking(model)
        if not adapted:
            return model
        return PeftModel.from_pretrained(model, str(self.folder / "lora")).eval().get_base_model()

    def ours(self, dtype: torch.dtype = torch.float32) -> Engine:
        """A fresh engine with the adapter in it, as "lora"."""
        model = self.theirs().to(dtype) if dtype != torch.float32 else self.theirs()
        engine = Engine(LoadedModel(model, None, "tiny", "", (2,), 0, dtype), 2, RANK)  # pyright: ignore[reportArgumentType]
        engine.load_adapter(self.folder / "lora", "lora")
        return engine


def make_world(folder: Path, storage: str = "none", tied: bool = False, seed: int = 0) -> World:
    """Write a random model, its norms far from 1 so that one left out shows, and a random adapter."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=VOCAB,
        hidden_size=HIDDEN,  # 4-bit blocks hold 64 values
        intermediate_size=128,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=128,
        initializer_range=0.1,
        tie_word_embeddings=tied,
    )
    model = Qwen3ForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.copy_(0.5 + torch.rand_like(parameter))
    model.generation_config.eos_token_id = 2
    model.save_pretrained(folder / "model")
    adapter = random_adapter(model, seed)
    write_adapter(folder / "lora", adapter, linear_names(model.model)[1])
    return World(folder, storage)


def random_adapter(model: torch.nn.Module, seed: int = 0, size: float = 0.3) -> AdapterFile:
    """An adapter on every linear layer but the head, neither matrix zero."""
    generator = torch.Generator().manual_seed(seed + 100)
    tensors = {}
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear) and "lm_head" not in name:
            a = torch.randn(RANK, layer.in_features, generator=generator) * size / 4
            b = torch.randn(layer.out_features, RANK, generator=generator) * size
            tensors[name] = (a, b)
    return AdapterFile(RANK, 2.0 * RANK, tensors, "tiny")


def questions(lengths: Sequence[int] = (9, 5, 13), seed: int = 0) -> list[tuple[int, ...]]:
    """Random rows of token ids."""
    generator = torch.Generator().manual_seed(seed)
    return [random_ids(generator, length) for length in lengths]


def our_lens(engine: Engine, rows: Sequence[tuple[int, ...]], adapter: str | None) -> list[Tensor]:
    """The lens at every position of every row, (N + 1, tokens, vocabulary) each."""
    return our_mixed_lens(engine, [(row, adapter) for row in rows])


def our_mixed_lens(engine: Engine, rows: Sequence[tuple[tuple[int, ...], str | None]]) -> list[Tensor]:
    """The same with rows of base and adapter in one pass."""
    head = LensHead(engine.model.model)
    found = residuals(engine, [ProbedRow(ids, tuple(range(len(ids))), adapter) for ids, adapter in rows])
    return [head.logits(hidden) for hidden in found]


def worst(got: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Largest difference of any number; shapes must be the same."""
    assert [g.shape for g in got] == [e.shape for e in expected]
    return max(float((g - e).abs().max()) for g, e in zip(got, expected, strict=True))


def padded(rows: Sequence[tuple[int, ...]], side: str) -> tuple[Tensor, Tensor, Tensor]:
    """Rows as one batch, (ids, attention mask, position ids), pad tokens on the left or right."""
    longest = max(map(len, rows))
    ids, mask = (
        torch.zeros(len(rows), longest, dtype=torch.long),
        torch.zeros(len(rows), longest, dtype=torch.long),
    )
    for place, row in enumerate(rows):
        part = slice(longest - len(row), longest) if side == "left" else slice(0, len(row))
        ids[place, part] = torch.tensor(row)
        mask[place, part] = 1
    return ids, mask, (mask.cumsum(1) - 1).clamp_min(0)
