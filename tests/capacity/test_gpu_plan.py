"""What the dry run says of GPUs, for Qwen3-4B's shape and for a model that fits anywhere."""

import pytest
from transformers import AutoConfig

from beliefmod.bundled import weights_dir
from beliefmod.capacity.fit import GIB, Gpu
from beliefmod.capacity.gpu_plan import gpu_lines, wanted_of
from beliefmod.capacity.resources import Capacity
from beliefmod.model.load import load_tokenizer
from beliefmod.model.source import find_source
from beliefmod.space.load import load_space
from tests.capacity.test_fit import QWEN

NOWHERE, FOUR = Capacity().on({"CPU": 2}), Capacity().on({"CPU": 8, "GPU": 4})


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(find_source("bundled"))


def space(tmp_path, **fixed):
    path = tmp_path / "space.yaml"
    path.write_text(f"name: plan\nbeliefs: [gravity]\nfixed: {{lora.r: 16}}\naxes: {fixed or {}}\n")
    return load_space(path)


def test_a_large_model_has_a_table_wherever_it_is_planned(tmp_path, tokenizer):
    lines = gpu_lines(space(tmp_path), tokenizer, QWEN, 800, NOWHERE, [])
    assert lines[0].startswith(
        "on a GPU          adapters of rank 16 that memory holds in training, for rows of"
    )
    assert [line.split()[0] for line in lines[1:]] == ["base_storage", "nf4", "dequantized"]
    assert lines[1].split()[1:] == ["least", "16", "GB", "24", "GB", "40", "GB", "80", "GB"]


def test_each_gpu_has_a_verdict(tmp_path, tokenizer):
    gpus = [Gpu("m1", 0, "NVIDIA T4", 15 * GIB, 14 * GIB), Gpu("m2", 0, "NVIDIA L4", 22 * GIB, 22 * GIB)]
    lines = gpu_lines(
        space(tmp_path, **{"data.style": ["own_trace"]}), tokenizer, QWEN, 800, FOUR, gpus, ["odd"]
    )
    small, large, note = lines[-3:]
    assert small.startswith(
        "gpu 0             NVIDIA T4 of m1, 14.0 GiB of 15.0 GiB free: the model does not fit"
    )
    assert "set base_storage: nf4" in small
    assert "NVIDIA L4 of m2, 22.0 GiB of 22.0 GiB free: fits" in large
    assert note == "note              odd"


def test_gpus_that_are_yet_to_come(tmp_path, tokenizer):
    assert gpu_lines(space(tmp_path), tokenizer, QWEN, 800, FOUR, [])[-1].endswith(
        "no GPU is there yet; every host checks its own before it loads"
    )


def test_what_fits_anywhere_is_not_worth_a_line(tmp_path, tokenizer):
    config = AutoConfig.from_pretrained(weights_dir())
    assert gpu_lines(space(tmp_path), tokenizer, config, 40, NOWHERE, []) == []
    assert gpu_lines(space(tmp_path), tokenizer, config, 40, FOUR, [])


def test_rows_are_as_long_as_traces_make_them(tmp_path, tokenizer):
    bare = wanted_of(space(tmp_path), tokenizer, 800, FOUR)
    long = wanted_of(space(tmp_path, **{"data.style": ["answer_only", "own_trace"]}), tokenizer, 800, FOUR)
    assert long.row_tokens == bare.row_tokens + 800
    shared = Capacity(hosts_per_gpu=4, slots=3).on({"CPU": 8, "GPU": 1})
    assert (wanted_of(space(tmp_path), tokenizer, 800, shared).engines, shared.slots) == (4, 3)
    assert wanted_of(space(tmp_path), tokenizer, 800, NOWHERE).engines == 1
    assert wanted_of(space(tmp_path, arm=["lora", "full"]), tokenizer, 800, FOUR).full
