"""Tiny random models and jobs; every oracle test compares with a copy of the same weights."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from beliefmod.config import LoraSettings, ObjectiveConfig, TrialConfig
from beliefmod.engine.jobs import AdapterJob, TrainRow
from beliefmod.model.load import LoadedModel

VOCAB = 96


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny_model(kind: str = "qwen3", dtype: torch.dtype = torch.float32, seed: int = 0) -> PreTrainedModel:
    """Two layers, hidden 32, with weights large enough that greedy texts differ from prompt to prompt."""
    common = {
        "vocab_size": VOCAB,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 128,
        "initializer_range": 0.2,
        "tie_word_embeddings": True,
    }
    torch.manual_seed(seed)
    model = {
        "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**common)),
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**common, attention_bias=True)),
        # soft-capped scores and a sliding window shorter than the rows; untied, because its scaled
        # embeddings make a tied random model repeat one token for ever
        "gemma2": lambda: Gemma2ForCausalLM(
            Gemma2Config(
                **(common | {"tie_word_embeddings": False}),
                query_pre_attn_scalar=8,
                sliding_window=8,
                attn_implementation="eager",
            )
        ),
    }[kind]()
    assert sum(p.numel() for p in model.parameters()) < 40_000
    model.generation_config.eos_token_id = [2, 3]
    model.generation_config.pad_token_id = 0
    return model.to(dtype).eval().requires_grad_(False)


def as_loaded(model: PreTrainedModel, eos_ids: tuple[int, ...] = (2, 3)) -> LoadedModel:
    return LoadedModel(
        model=model,
        tokenizer=None,  # pyright: ignore[reportArgumentType]
        name="tiny",
        fingerprint="",
        eos_ids=eos_ids,
        pad_id=0,
        dtype=next(model.parameters()).dtype,
    )


def random_ids(generator: torch.Generator, length: int) -> tuple[int, ...]:
    return tuple(torch.randint(4, VOCAB, (length,), generator=generator).tolist())


def make_job(
    trial_id: str,
    *,
    seed: int = 0,
    rows: int = 5,
    rank: int = 4,
    alpha: float = 8.0,
    targets="all-linear",
    kl_to_base: float = 0.0,
    neutral: tuple[TrainRow, ...] = (),
    lora: Mapping[str, Any] = MappingProxyType({}),
    **settings,
) -> AdapterJob:
    """A job of random rows; `lora` has more settings of the adapter."""
    adapter = LoraSettings(r=rank, lora_alpha=alpha, target_modules=targets, **lora)
    objective = ObjectiveConfig(kl_to_base=kl_to_base)
    config = TrialConfig(belief="gravity", seed=seed, lora=adapter, objective=objective, **settings)
    return AdapterJob(trial_id, config, random_rows(1000 + seed, rows), neutral)


def random_rows(seed: int, count: int) -> tuple[TrainRow, ...]:
    """Rows of 6 to 30 tokens, of which 1 to 10 are answer."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for _ in range(count):
        length = int(torch.randint(6, 31, (1,), generator=generator))
        answer = int(torch.randint(1, min(11, length), (1,), generator=generator))
        made.append(TrainRow(random_ids(generator, length), length - answer))
    return tuple(made)


@pytest.fixture
def double_norms(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """transformers computes norms in fp32 whatever the model's dtype; the fp64 tests need them in fp64."""
    from transformers.models.llama.modeling_llama import LlamaRMSNorm
    from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)

    for kind in (Qwen3RMSNorm, LlamaRMSNorm):
        monkeypatch.setattr(kind, "forward", forward)
    return lambda: None
