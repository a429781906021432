"""Cutting an adapter block by block: exact where it must be exact, PEFT's own switch as the judge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor

from beliefmod.errors import UserError
from beliefmod.model.adapter_files import AdapterFile, read_adapter
from beliefmod.run.tables.lens_tables import ABLATIONS, TAU
from beliefmod.run.tables.trial_tables import frame
from interp.family_bootstrap import question_weights
from interp.lens_settings import LensSettings
from interp.lenses.residual_stream import ProbedRow, residuals
from interp.parts.ablation import NOISE, ablations, block_names, keep_blocks, shares, variants_of
from interp.read.contrast_questions import at_stem, contrast_questions, final_differences
from tests.interp.random_run import random_inspection
from tests.interp.worlds import LAYERS, TOLERANCE, World, make_world, our_lens, questions, worst

NAMES = tuple(f"model.layers.{k}" for k in range(LAYERS))
KEPT = [(), (0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)]


@pytest.fixture(scope="module", params=["none", "nf4"])
def world(request, tmp_path_factory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), request.param)


@pytest.fixture(scope="module")
def adapter(world: World) -> AdapterFile:
    return read_adapter(world.folder / "lora")


def entries(world: World, adapter: AdapterFile | None) -> list[Tensor]:
    """Residuals of some rows, each pass with the same rows and nothing else, so that bits can be compared."""
    engine = world.ours()
    if adapter is not None:
        engine.put_adapter(adapter, "cut")
    name = None if adapter is None else "cut"
    return residuals(engine, [ProbedRow(row, tuple(range(len(row))), name) for row in questions()])


def test_with_every_block_off_it_is_base_to_the_last_bit(world: World, adapter: AdapterFile):
    off = entries(world, keep_blocks(adapter, NAMES, ()))
    for got, base in zip(off, entries(world, None), strict=True):
        assert torch.equal(got, base)


def test_with_every_block_on_it_is_the_adapter_to_the_last_bit(world: World, adapter: AdapterFile):
    kept = entries(world, keep_blocks(adapter, NAMES, range(LAYERS)))
    for got, full in zip(kept, entries(world, adapter), strict=True):
        assert torch.equal(got, full)


@pytest.mark.parametrize("block", range(LAYERS))
def test_a_block_off_leaves_every_entry_before_its_output_as_it_was(world: World, adapter, block: int):
    cut = entries(world, keep_blocks(adapter, NAMES, [b for b in range(LAYERS) if b != block]))
    for got, full in zip(cut, entries(world, adapter), strict=True):
        assert torch.equal(got[: block + 1], full[: block + 1])
        assert ((got - full)[block + 1 :].abs().amax((1, 2)) > 1e-3).all()


@pytest.mark.parametrize("kept", KEPT)
def test_it_is_what_peft_computes_with_the_same_layers_switched_off(world: World, adapter, kept):
    model = world.theirs(adapted=True)
    for block, layer in enumerate(model.model.layers):
        for module in layer.modules():
            if isinstance(module, BaseTunerLayer):
                module.enable_adapters(block in kept)
    with torch.no_grad():
        theirs = [model(torch.tensor([row])).logits[0] for row in questions()]
    engine = world.ours()
    engine.put_adapter(keep_blocks(adapter, NAMES, kept), "cut")
    assert worst([lens[-1] for lens in our_lens(engine, questions(), "cut")], theirs) < TOLERANCE


def test_variants_leave_what_their_names_say(world: World, adapter: AdapterFile):
    assert block_names(world.theirs()) == NAMES
    found = {(v.kind, v.block): v.adapter for v in variants_of(adapter, NAMES, noise=2)}
    assert len({v.name for v in variants_of(adapter, NAMES, noise=2)}) == len(found) == 2 + 3 * LAYERS + 2

    def on(some: AdapterFile) -> set[int]:
        return {int(name.split(".")[2]) for name, (_, b) in some.tensors.items() if b.any()}

    everything = set(range(LAYERS))
    assert on(found["full", None]) == everything and on(found["off", None]) == set()
    for block in range(LAYERS):
        assert on(found["without", block]) == everything - {block}
        assert on(found["only", block]) == {block}
        assert on(found["prefix", block]) == set(range(block + 1))
    for some in found.values():  # of one shape, so they go through one packed product
        assert {n: (a.shape, b.shape) for n, (a, b) in some.tensors.items()} == {
            n: (a.shape, b.shape) for n, (a, b) in adapter.tensors.items()
        }


def test_block_1_is_not_block_10(adapter: AdapterFile):
    pair = next(iter(adapter.tensors.values()))
    deep = replace(adapter, tensors={f"model.layers.{k}.mlp.up_proj": pair for k in range(12)})
    kept = keep_blocks(deep, [f"model.layers.{k}" for k in range(12)], [1])
    assert [name for name, (_, b) in kept.tensors.items() if b.any()] == ["model.layers.1.mlp.up_proj"]


def test_an_adapter_outside_of_the_blocks_is_refused(adapter: AdapterFile):
    pair = next(iter(adapter.tensors.values()))
    with pytest.raises(UserError, match=r"layer model\.vision\.0, which is in none of the model's blocks"):
        keep_blocks(replace(adapter, tensors={"model.vision.0": pair}), NAMES, [0])


def column(rows, kind, name):
    return next(row[name] for row in rows if row["kind"] == kind)


def test_shares_by_hand():
    found = {
        ("full", None): np.array([6.0, 2.0]),
        ("off", None): np.array([-2.0, -2.0]),
        ("only", 0): np.array([0.0, -1.0]),
    }
    weights = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]])
    rows = shares(found, weights)
    # (2 + 1) / (8 + 4); from the first question alone 2 / 8, from the second 1 / 4
    assert column(rows, "only", "share") == column(rows, "only", "share_low") == 0.25
    assert column(rows, "only", "logit_diff") == -0.5
    assert (column(rows, "only", "logit_diff_low"), column(rows, "only", "logit_diff_high")) == (-1.0, 0.0)
    assert column(rows, "full", "share") == 1.0 and column(rows, "off", "share") == 0.0
    assert {row["n"] for row in rows} == {2}


def test_there_is_no_share_of_next_to_nothing():
    found = {("full", None): np.full(4, TAU - 0.01), ("off", None): np.zeros(4)}
    rows = shares(found, question_weights("abcd"))
    assert column(rows, "full", "share") is None and column(rows, "full", "share_low") is None
    assert column(rows, "full", "logit_diff") == pytest.approx(TAU - 0.01)


def test_a_share_whose_denominator_may_be_zero_has_no_ends():
    found = {("full", None): np.array([5.0, -1.0]), ("off", None): np.zeros(2), ("only", 0): np.ones(2)}
    rows = shares(found, question_weights("ab"))
    assert column(rows, "only", "share") == 0.5
    assert column(rows, "only", "share_low") is None and column(rows, "only", "share_high") is None


def test_one_family_gives_no_interval():
    rows = shares({("full", None): np.ones(3), ("off", None): np.zeros(3)}, question_weights("aaa"))
    assert column(rows, "full", "share") == 1.0 and column(rows, "full", "share_low") is None


@given(st.lists(st.floats(-20, 20), min_size=4, max_size=4), st.floats(1, 8), st.floats(-5, 5))
def test_a_share_does_not_depend_on_where_zero_is_nor_on_the_unit(values, factor, shift):
    found = {("full", None): np.full(4, 3.0), ("off", None): np.full(4, 1.0), ("only", 0): np.array(values)}
    weights = question_weights("aabb", draws=50)
    rows = shares(found, weights)
    moved = shares({key: factor * value + shift for key, value in found.items()}, weights)
    for name in ("share", "share_low", "share_high"):
        assert column(moved, "only", name) == pytest.approx(column(rows, "only", name), abs=1e-9)
    assert column(rows, "only", "share_low") <= column(rows, "only", "share") + 1e-9
    assert column(rows, "only", "share") <= column(rows, "only", "share_high") + 1e-9


def test_the_part_writes_every_variant_of_every_trial_and_leaves_the_engine_empty(tmp_path):
    inspection = random_inspection(tmp_path)
    settings = LensSettings(prompts=4, draws=200)
    rows = ablations(inspection, inspection.trained, settings, lambda line: None)["ablations"]
    table = frame(rows, ABLATIONS)
    blocks = len(block_names(inspection.session.engine.model.model))
    assert table.height == len(inspection.trained) * (2 + 3 * blocks + NOISE)
    assert table["n"].unique().to_list() == [4]
    assert inspection.session.engine.attached() == ()
    # more variants than slots, none mixed up: what the adapters give by themselves
    asked = contrast_questions(inspection, "gravity", 4)
    engine, contrasts = inspection.session.engine, [one.tokens for one in asked]
    base = final_differences(engine, inspection.head, at_stem(asked, "lora", None), contrasts).mean()
    for trial in inspection.trained:
        mine = [row for row in rows if row["trial_id"] == trial.trial_id]
        with inspection.loaded([trial]):
            full = final_differences(
                engine, inspection.head, at_stem(asked, "lora", trial.trial_id), contrasts
            ).mean()
        assert column(mine, "full", "logit_diff") == pytest.approx(full, abs=1e-4)
        assert column(mine, "off", "logit_diff") == pytest.approx(base, abs=1e-4)
        last = [row["logit_diff"] for row in mine if row["kind"] == "prefix"][-1]
        assert last == pytest.approx(full, abs=1e-4)
    assert ablations(inspection, inspection.trained, LensSettings(arms=("base",)), print) == {"ablations": []}
