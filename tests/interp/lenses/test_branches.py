"""Rows that branch read as the same rows alone do, in our engine and in transformers."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

from beliefmod.engine.engine import Engine
from beliefmod.engine.forward import FlatModel
from beliefmod.engine.tree_attention import grow
from interp.lenses.lens_head import LensHead
from interp.lenses.residual_stream import Patch, ProbedRow, residuals
from tests.engine.conftest import as_loaded
from tests.engine.test_recurrent import build as recurrent_model
from tests.engine.test_rotary import build as rotary_model
from tests.interp.worlds import TOLERANCE, World, questions

TRUNK = (3, 8, 5, 9)
PATHS = [(7, 8), (7, 9, 11), (12,), (13, 14, 15, 16)]


@pytest.mark.parametrize("start", [len(TRUNK), 2])
def test_a_branch_reads_as_a_row_of_its_own(world: World, start: int):
    engine = world.ours()
    tree = grow(TRUNK, PATHS, start)
    places = tuple(tree.places.values())
    branched = ProbedRow((*TRUNK, *tree.ids), places, "lora", parents=tree.parents)
    others = [ProbedRow(ids, (len(ids) - 1,), None) for ids in questions()]  # in the same pass, in a line
    [found, *beside] = residuals(engine, [branched, *others])
    for column, path in enumerate(tree.places):
        ids = (*TRUNK[:start], *path)
        [alone] = residuals(engine, [ProbedRow(ids, (len(ids) - 1,), "lora")])
        torch.testing.assert_close(found[:, column], alone[:, 0], atol=TOLERANCE, rtol=0)
        with torch.no_grad():
            expected = world.theirs(True)(torch.tensor([ids])).logits[0, -1]
        got = engine.model.model.lm_head(engine.model.model.model.norm(found[-1, column]))
        torch.testing.assert_close(got, expected, atol=TOLERANCE, rtol=0)
    for got, alone in zip(beside, residuals(engine, others), strict=True):
        torch.testing.assert_close(got, alone, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("start", [len(TRUNK), 2])
def test_where_rows_cannot_branch_each_branch_is_read_as_a_row(world: World, start: int, monkeypatch):
    """As models with states along a row, or with a rotary embedding of its length, need it."""
    engine = world.ours()
    tree = grow(TRUNK, PATHS, start)
    length = len(TRUNK) + len(tree.ids)
    value = torch.ones(engine.model.model.config.hidden_size)
    rows = [
        ProbedRow((*TRUNK, *tree.ids), tuple(reversed(range(length))), "lora", patches, tree.parents)
        for patches in ((), (Patch(1, 1, value),), (Patch(1, len(TRUNK), value),))
    ]
    rows += [ProbedRow(ids, (0, len(ids) - 1), None) for ids in questions()]
    expected = residuals(engine, rows)
    monkeypatch.setattr(FlatModel, "reads_branches", False)
    for last in (False, True):
        for got, wanted in zip(residuals(engine, rows, last), expected, strict=True):
            torch.testing.assert_close(got, wanted[-1:] if last else wanted, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("kind", ["qwen3.5", "lfm2", "phi3-longrope"])
def test_branches_of_models_whose_rows_cannot_branch_are_those_of_each_alone(kind: str):
    model = rotary_model(kind) if kind.startswith("phi3") else recurrent_model(kind)
    engine = Engine(as_loaded(copy.deepcopy(model)), 1, 4)
    assert not engine.model.reads_branches
    trunk = tuple(range(4, 34))  # of 30 tokens: some branches grow past the original length of 32
    tree = grow(trunk, [(40, 41), (40, 42, 43, 44, 45), (50,)])
    [found] = residuals(
        engine, [ProbedRow((*trunk, *tree.ids), tuple(tree.places.values()), None, (), tree.parents)]
    )
    head = LensHead(engine.model.model)
    ends = [(40, 41), (40, 42, 43, 44, 45), (50,)]
    for column, path in enumerate(tree.places):
        if path in ends:
            with torch.no_grad():
                expected = copy.deepcopy(model)(torch.tensor([(*trunk, *path)])).logits[0, -1]
            torch.testing.assert_close(head.logits(found[-1, column]), expected, atol=1e-3, rtol=1e-3)


def test_a_window_is_counted_along_a_branch():
    """Four tokens wide: what stands between in the row, of other branches, does not count."""
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=32, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, sliding_window=4, max_position_embeddings=64,
        attn_implementation="eager",
    )  # fmt: skip
    model = MistralForCausalLM(config).eval()
    tree = grow(TRUNK, PATHS)
    with torch.no_grad():
        expected = {p: model(torch.tensor([(*TRUNK, *p)])).logits[0, -1].clone() for p in tree.places}
    engine = Engine(as_loaded(model), 1, 1)
    row = ProbedRow((*TRUNK, *tree.ids), tuple(tree.places.values()), parents=tree.parents)
    [found] = residuals(engine, [row])
    for column, path in enumerate(tree.places):
        got = model.lm_head(model.model.norm(found[-1, column]))
        torch.testing.assert_close(got, expected[path], atol=1e-5, rtol=0)
