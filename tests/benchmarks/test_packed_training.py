"""Packed training against PEFT: both candidates really train the same thing."""

from dataclasses import replace

import pytest
import torch

from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import GenerateRequest
from beliefmod.model.load import load_model
from benchmarks.packed_training import PEFT_DENSE, PEFT_NF4, Packed, alone, compare, random_rows, same_weights
from benchmarks.packed_training import table as rows_of_table
from benchmarks.random_model import SHAPES, write_random_model

TINY = SHAPES["tiny"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("model")
    write_random_model(path, TINY)
    return str(path)


def test_the_model_on_disk_has_the_shapes_parameters(folder: str):
    model = load_model(folder, base_storage="none", dtype=torch.float32).model
    hidden, inner, heads = TINY.hidden_size, TINY.intermediate_size, TINY.head_dim
    queries, keys = TINY.num_attention_heads * heads, TINY.num_key_value_heads * heads
    layer = 2 * hidden * (queries + keys) + 3 * hidden * inner + 2 * hidden + 2 * heads
    expected = TINY.vocab_size * hidden + hidden + TINY.num_hidden_layers * layer
    assert sum(p.numel() for p in model.parameters()) == expected


def test_the_random_model_never_ends_an_answer(folder: str):
    engine = Engine(load_model(folder), 1, 4)
    rows = random_rows(20, TINY)
    answers = engine.generate([GenerateRequest(None, row.input_ids) for row in rows], 30)
    assert {(len(answer.token_ids), answer.finish_reason) for answer in answers} == {(30, "length")}
    assert len({answer.token_ids for answer in answers}) > 15


def test_rows_are_those_of_the_shape():
    rows = random_rows(200, TINY)
    assert {len(row.input_ids) for row in rows} == set(range(12, 21))
    assert {row.answer_length for row in rows} == {TINY.answer_tokens}
    assert random_rows(200, TINY) == rows != random_rows(200, TINY, seed=1)


def test_both_candidates_start_from_the_same_loss_and_lower_it(folder: str):
    # one row over and over: whatever the order of the data, the first loss is the base's, for B is zero
    rows = (random_rows(1, TINY)[0],) * 8
    loaded = load_model(folder)
    torch.manual_seed(0)  # PEFT draws A from it
    peft = alone(same_weights(loaded.model), rows, rank=4)
    packed = Packed(loaded, 2, 4, rows).fill(2)
    ours = [[report.loss for report in packed()] for _ in range(30)]
    theirs = [float(peft()) for _ in range(30)]
    assert ours[0] == pytest.approx([theirs[0]] * 2, rel=1e-5)
    assert max(ours[-1]) < 0.5 * theirs[0] and theirs[-1] < 0.5 * theirs[0]
    assert ours[1] == pytest.approx([theirs[1]] * 2, rel=0.02)


@pytest.mark.long
def test_every_candidate_is_timed_in_every_round(folder: str):
    times = compare(folder, replace(TINY, row_tokens=(8, 10)), [1, 3], rank=4, repeats=2)
    assert list(times) == [PEFT_NF4, PEFT_DENSE, "packed, K = 1", "packed, K = 3"]
    assert all(len(values) == 2 and min(values) > 0 for values in times.values())


def test_ratios_are_those_of_the_medians():
    times = {PEFT_NF4: [9.0, 12.0, 10.0], PEFT_DENSE: [5.0], "packed, K = 8": [2.0, 2.5, 100.0]}
    assert rows_of_table(times)[-1] == ["packed, K = 8", "2.50", "4.00", "2.00"]
