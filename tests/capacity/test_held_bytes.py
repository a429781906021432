"""What a plan counts of a model's weights against the bytes of the model as it is loaded."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

import beliefmod.model.stored_weights
from beliefmod.capacity.footprint import footprint
from beliefmod.model.architecture import model_config
from beliefmod.model.model_files import ModelSource
from beliefmod.model.read_weights import read_weights
from beliefmod.model.stored_weights import stored_weights
from tests.model.architectures import CASES

pytestmark = pytest.mark.long

BY_TYPE = {case.type: case for case in CASES}
KINDS = [
    "llama", "gemma2", "gemma3n_text", "gemma4_text", "phi3", "cohere2", "gpt_neox", "minicpm3", "lfm2",
    "qwen3_5_text", "qwen3_next", "gpt_oss", "qwen3_moe", "deepseek_v3",
]  # fmt: skip
CPU = torch.device("cpu")


def held(model: nn.Module) -> int:
    """Bytes of every parameter and buffer, once each, and of what bitsandbytes keeps beside packed ones."""
    tensors: dict[int, torch.Tensor] = {}
    for each in (*model.parameters(), *model.buffers()):
        state: Any = getattr(each, "quant_state", None)
        beside = [state.absmax, state.code] if state is not None else []
        if state is not None and state.nested:
            beside += [state.offset, state.state2.absmax, state.state2.code]
        tensors |= {id(tensor): tensor for tensor in (each, *beside)}
    return sum(tensor.nbytes for tensor in tensors.values())


def saved(kind: str, folder: Path, **settings: Any) -> ModelSource:
    """A tiny model of a type on disk; with settings as bitsandbytes packs it."""
    model = BY_TYPE[kind].model()
    model.generation_config.eos_token_id = 2
    model.save_pretrained(folder / "plain")
    if not settings:
        return ModelSource("mine", folder / "plain")
    asked = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.float32}
    packed = AutoModelForCausalLM.from_pretrained(
        folder / "plain", quantization_config=BitsAndBytesConfig(**asked, **settings), dtype=torch.float32
    )
    packed.save_pretrained(folder / "packed")
    return ModelSource("mine", folder / "packed")


def counted(source: ModelSource, base_storage: str, gpu: bool = False) -> float:
    return footprint(model_config(source), gpu, stored_weights(source)).base(base_storage)


def test_the_doctests():
    assert doctest.testmod(beliefmod.model.stored_weights).failed == 0


@pytest.mark.parametrize("kind", KINDS)
def test_plain_files_in_every_storage(kind: str, tmp_path: Path):
    source = saved(kind, tmp_path)
    for base_storage in ("nf4", "dequantized", "none"):
        read = read_weights(source, base_storage, CPU, torch.float32)
        assert counted(source, base_storage) == held(read.model), base_storage


@pytest.mark.parametrize("kind", ["llama", "deepseek_v3"])
def test_in_bfloat16_as_on_a_gpu(kind: str, tmp_path: Path):
    source = saved(kind, tmp_path)
    for base_storage in ("nf4", "none"):
        read = read_weights(source, base_storage, CPU, torch.bfloat16)
        # few numbers of a mixture's routers stay in fp32
        assert counted(source, base_storage, gpu=True) == pytest.approx(held(read.model), rel=1e-3)


@pytest.mark.parametrize("kind", ["llama", "qwen3_moe", "lfm2"])
@pytest.mark.parametrize(
    "settings",
    [
        {"llm_int8_skip_modules": ["lm_head"]},
        {"llm_int8_skip_modules": ["lm_head", "model.layers.1", "q_proj"]},
        {"llm_int8_skip_modules": ["lm_head", "model.layers.0"], "bnb_4bit_use_double_quant": True},
    ],
    ids=["head", "layers", "double"],
)
def test_packed_files_with_layers_left_plain(kind: str, settings: dict[str, Any], tmp_path: Path):
    source = saved(kind, tmp_path, **settings)
    for base_storage in ("nf4", "dequantized", "none"):
        read = read_weights(source, base_storage, CPU, torch.float32)
        assert counted(source, base_storage) == held(read.model), base_storage
    plain = footprint(model_config(source), False).packed  # as if nothing were known of the files
    assert (plain != held(read_weights(source, "nf4", CPU, torch.float32).model)) == (len(settings) > 1 or
        "q_proj" in settings["llm_int8_skip_modules"])  # fmt: skip


def test_a_table_for_gpus_counts_what_files_leave_plain(tmp_path: Path):
    from beliefmod.capacity.fit import gpu_lines
    from beliefmod.capacity.footprint import Wanted

    source = saved("llama", tmp_path, llm_int8_skip_modules=["lm_head", "model.layers.1", "model.layers.2"])
    config, stored = model_config(source), stored_weights(source)
    assert footprint(config, True, stored).packed > 1.5 * footprint(config, True).packed
    wanted = Wanted("nf4", rank=4, row_tokens=10)
    assert len(gpu_lines(config, wanted, True, [], stored=stored)) > 2
