"""What fits a GPU: accelerate's own estimate and hand numbers for Qwen3-4B's shape; what must always hold."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.utils import calculate_maximum_sizes
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM, Qwen3Config

from beliefmod.bundled import weights_dir
from beliefmod.capacity.choose import demand
from beliefmod.capacity.fit import (
    GPU_SIZES,
    USABLE,
    Gpu,
    gpu_lines,
    misfit,
    remedies,
    slots_within,
    table,
    table_lines,
    verdict,
)
from beliefmod.capacity.footprint import PROCESS_BYTES, Footprint, Wanted, footprint
from beliefmod.capacity.limit import GIB, size
from beliefmod.capacity.resources import Capacity
from beliefmod.model.load import load_tokenizer
from beliefmod.model.source import find_source
from beliefmod.space import Space
from beliefmod.space.load import load_space

QWEN = Qwen3Config(
    hidden_size=2560, intermediate_size=9728, num_hidden_layers=36, num_attention_heads=32,
    num_key_value_heads=8, head_dim=128, vocab_size=151936, tie_word_embeddings=True,
)  # fmt: skip
SHAPE = footprint(QWEN, gpu=True)
ROW = 900
QWEN_WANTED = Wanted("dequantized", rank=16, row_tokens=ROW)


def test_qwen3_4b_against_accelerates_own_estimate():
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(QWEN, dtype=torch.bfloat16)
    total, _ = calculate_maximum_sizes(model)
    assert SHAPE.dense == total
    head = model.get_input_embeddings().weight.numel() * 2
    # accelerate's int4 is the whole model at half a byte per weight; NF4 has a scale per 64 and leaves the
    # embedding as it is
    int4 = total / 4
    assert SHAPE.packed == pytest.approx(int4 * 1.125 - head / 4 * 1.125 + head, rel=1e-3)
    assert SHAPE.base("none") == SHAPE.base("dequantized") == total
    assert SHAPE.base("nf4", full=True) == SHAPE.packed + 4 * total


def test_qwen3_4b_by_hand():
    needs = SHAPE.least(QWEN_WANTED)
    assert needs.adapters == 16 * 2_064_384 * 18
    # 18 hidden-sized and 6 MLP-sized tensors in bf16 per layer, and logits with their gradient in fp32
    assert needs.work == ROW * (36 * (18 * 2560 + 6 * 9728) * 2 + 12 * 151936)
    assert slots_within(SHAPE, QWEN_WANTED, needs.total - 1) == 0
    assert slots_within(SHAPE, QWEN_WANTED, needs.total) >= 1


def test_the_table_for_qwen3_4b():
    rows = table(SHAPE, replace(QWEN_WANTED, full=True))
    assert [row[0] for row in rows] == ["base_storage", "nf4", "dequantized", "dequantized, arm full"]
    assert rows[0][1:] == ("least", "16 GB", "24 GB", "40 GB", "80 GB")
    held = {row[0]: [int(cell) if cell != "-" else 0 for cell in row[2:]] for row in rows[1:]}
    assert held["dequantized"][0] == 0 < held["nf4"][0]  # 16 GB hold the packed model alone
    assert all(nf4 >= dense for nf4, dense in zip(held["nf4"], held["dequantized"], strict=True))
    assert all(counts == sorted(counts) for counts in held.values())
    assert held["dequantized, arm full"][:3] == [0, 0, 0]  # five models of 8 GB
    assert len(table_lines(SHAPE, QWEN_WANTED)) == 3


def test_the_page_says_the_same():
    rows = table(SHAPE, QWEN_WANTED)
    page = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text()
    for storage, *cells in rows[1:]:
        assert f"| `{storage}` | {' | '.join(cells)} |" in page
    assert f"rank {QWEN_WANTED.rank}, rows of {ROW} tokens" in page


def test_the_sentence_names_what_helps():
    free = 12 * GIB
    why = misfit(SHAPE, QWEN_WANTED, free, "NVIDIA A2 of m1")
    assert why is not None and why.startswith(
        "the model does not fit: NVIDIA A2 of m1 has 12.0 GiB free, and an engine needs 15."
    )
    assert "(model 7.5 GiB, one adapter in training 0.6 GiB, a row of 900 tokens 7." in why
    assert "set base_storage: nf4 (it needs 11.0 GiB then) or train on rows of " in why
    assert "\n" not in why and "--slots" not in why and "--hosts-per-gpu" not in why
    assert misfit(SHAPE, QWEN_WANTED, 16 * GIB, "it") is None


def test_what_was_asked_for_can_be_given_back():
    asked = replace(QWEN_WANTED, base_storage="nf4", slots=40)
    [slots] = remedies(SHAPE, asked, 20 * GIB)
    count = int(slots.removeprefix("give --slots "))
    assert slots_within(SHAPE, replace(asked, slots=count), 20 * GIB) == count
    assert slots_within(SHAPE, replace(asked, slots=count + 1), 20 * GIB) == 0
    slots, rows = remedies(SHAPE, replace(asked, slots=25), 20 * GIB)
    assert slots == f"give --slots {count}" and rows.startswith("train on rows of")
    # half of a GPU is too little, all of it would do
    assert "leave out --hosts-per-gpu" in remedies(SHAPE, replace(QWEN_WANTED, engines=2), 10 * GIB)
    full = replace(QWEN_WANTED, full=True)
    assert "leave out arm full" in remedies(SHAPE, full, 30 * GIB)
    # neither alone
    both = replace(QWEN_WANTED, slots=30, engines=2)
    assert remedies(SHAPE, both, 6 * GIB) == ["set base_storage: nf4 and leave out --slots, --hosts-per-gpu"]
    why = misfit(SHAPE, QWEN_WANTED, 2 * GIB, "it")
    whole = size(SHAPE.least(QWEN_WANTED).total + PROCESS_BYTES)
    assert why is not None and why.endswith(f"; take a device with {whole} or more for an engine")


def test_a_gpu_in_a_line():
    gpu = Gpu("m1", 0, "NVIDIA L4", 22 * GIB, 21 * GIB)
    assert verdict(SHAPE, QWEN_WANTED, gpu) == (
        "NVIDIA L4 of m1, 21.0 GiB of 22.0 GiB free: fits, memory for up to 6 slots of rank 16"
    )
    half = verdict(SHAPE, replace(QWEN_WANTED, engines=2), gpu)
    assert "it has 11.0 GiB free for each of 2 engines, and an engine needs 15." in half


shapes = st.builds(
    Footprint,
    weights=st.just(1),
    dense=st.integers(10**6, 10**11),
    packed=st.integers(10**5, 10**6),
    twice=st.integers(0, 10**11),
    twice_packed=st.integers(0, 10**6),
    unit=st.integers(10, 10**7),
    number_bytes=st.sampled_from([2, 4]),
    token_bytes=st.integers(10**3, 10**8),
    longest_pass=st.just(16384),
)
wishes = st.builds(
    Wanted,
    base_storage=st.sampled_from(["nf4", "dequantized", "none"]),
    rank=st.integers(1, 256),
    row_tokens=st.integers(1, 4000),
    slots=st.integers(0, 64),
    full=st.booleans(),
    engines=st.integers(1, 8),
)


@given(shape=shapes, wanted=wishes, free=st.integers(10**6, 10**12))
def test_any_device_gets_slots_or_one_sentence(shape, wanted, free):
    slots = slots_within(shape, wanted, free)
    why = misfit(shape, wanted, free, "it")
    assert (slots > 0) == (why is None)
    if why is None:
        trained, _ = shape.adapter(wanted.rank)
        asked = wanted.slots or 1
        assert shape.base(wanted.base_storage, wanted.full) + asked * trained <= free
        assert slots_within(shape, wanted, 2 * free) >= slots
    else:
        assert "\n" not in why and why.count(";") == 1
        for way in remedies(shape, wanted, free):
            changed = {
                "set base_storage: nf4 (": replace(wanted, base_storage="nf4"),
                "leave out arm full": replace(wanted, full=False),
            }
            for start, better in changed.items():
                if way.startswith(start):
                    assert misfit(shape, better, free, "it") is None


def test_sold_gigabytes_are_not_all_usable():
    needs = SHAPE.least(QWEN_WANTED).total + PROCESS_BYTES
    nominal = needs / 1e9
    assert USABLE < 1 and 15 < nominal < 20
    [row] = [row for row in table(SHAPE, QWEN_WANTED, sizes=[round(nominal), *GPU_SIZES]) if row[0][0] == "d"]
    assert row[2] == "-"


# ---- what the dry run says of GPUs

NOWHERE, FOUR = Capacity().on({"CPU": 2}), Capacity().on({"CPU": 8, "GPU": 4})


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(find_source("bundled"))


def space(tmp_path, **fixed):
    path = tmp_path / "space.yaml"
    path.write_text(f"name: plan\nbeliefs: [gravity]\nfixed: {{lora.r: 16}}\naxes: {fixed or {}}\n")
    return load_space(path)


def wanted(found: Space, tokenizer, capacity: Capacity) -> Wanted:
    asked = demand(found.expected(), found, capacity, answer_tokens=800)
    return asked.of_engine(tokenizer, found.spec.base_storage, found.max_rank, capacity.slots)


def test_a_large_model_has_a_table_wherever_it_is_planned(tmp_path, tokenizer):
    lines = gpu_lines(QWEN, wanted(space(tmp_path), tokenizer, NOWHERE), False, [])
    assert lines[0].startswith(
        "on a GPU          adapters of rank 16 that memory holds in training, for rows of"
    )
    assert [line.split()[0] for line in lines[1:]] == ["base_storage", "nf4", "dequantized"]
    assert lines[1].split()[1:] == ["least", "16", "GB", "24", "GB", "40", "GB", "80", "GB"]


def test_each_gpu_has_a_verdict(tmp_path, tokenizer):
    gpus = [Gpu("m1", 0, "NVIDIA T4", 15 * GIB, 14 * GIB), Gpu("m2", 0, "NVIDIA L4", 22 * GIB, 22 * GIB)]
    lines = gpu_lines(
        QWEN, wanted(space(tmp_path, **{"data.style": ["own_trace"]}), tokenizer, FOUR), True, gpus, ["odd"]
    )
    small, large, note = lines[-3:]
    assert small.startswith(
        "gpu 0             NVIDIA T4 of m1, 14.0 GiB of 15.0 GiB free: the model does not fit"
    )
    assert "set base_storage: nf4" in small
    assert "NVIDIA L4 of m2, 22.0 GiB of 22.0 GiB free: fits" in large
    assert note == "note              odd"


def test_gpus_that_are_yet_to_come(tmp_path, tokenizer):
    assert gpu_lines(QWEN, wanted(space(tmp_path), tokenizer, FOUR), True, [])[-1].endswith(
        "no GPU is there yet; every host checks its own before it loads"
    )


def test_what_fits_anywhere_is_not_worth_a_line():
    config = AutoConfig.from_pretrained(weights_dir())
    assert gpu_lines(config, QWEN_WANTED, False, []) == []
    assert gpu_lines(config, QWEN_WANTED, True, [])


def test_rows_are_as_long_as_traces_make_them(tmp_path, tokenizer):
    bare = wanted(space(tmp_path), tokenizer, FOUR)
    long = wanted(space(tmp_path, **{"data.style": ["answer_only", "own_trace"]}), tokenizer, FOUR)
    assert long.row_tokens == bare.row_tokens + 800
    shared = Capacity(hosts_per_gpu=4, slots=3).on({"CPU": 8, "GPU": 1})
    assert (wanted(space(tmp_path), tokenizer, shared).engines, shared.slots) == (4, 3)
    assert wanted(space(tmp_path), tokenizer, NOWHERE).engines == 1
    assert wanted(space(tmp_path, arm=["lora", "full"]), tokenizer, FOUR).full
