"""Residuals of mixed rows in one pass against each row by itself, as transformers and PEFT compute it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import UnknownAdapter
from beliefmod.model.adapter_files import AdapterFile
from beliefmod.model.load import LoadedModel
from beliefmod.model.quantized import dequantize
from interp.lenses.decoder import decoder_of
from interp.lenses.residual_stream import Patch, ProbedRow, residuals
from tests.interp.worlds import HIDDEN, LAYERS, VOCAB, World, make_world, questions

LENGTHS = (9, 5, 13, 1)


@pytest.fixture(scope="module")
def alone(world: World) -> dict[tuple[str | None, int], Tensor]:
    """Every row by itself: (adapter, number) -> (N + 1, tokens, hidden), from hooks on every block."""
    found = {}
    for adapter in (None, "lora"):
        model = world.theirs(adapter is not None)
        for number, row in enumerate(questions(LENGTHS)):
            found[adapter, number] = hooked(model, row)
    return found


@torch.no_grad()
def hooked(model, row: tuple[int, ...]) -> Tensor:
    seen: list[Tensor] = []
    layers = model.model.layers
    handles = [layers[0].register_forward_pre_hook(lambda m, given: seen.append(given[0][0]))]
    for layer in layers:
        handles.append(
            layer.register_forward_hook(
                lambda m, given, out: seen.append((out[0] if isinstance(out, tuple) else out)[0])
            )
        )
    model(torch.tensor([row]))
    for handle in handles:
        handle.remove()
    return torch.stack(seen)


@settings(max_examples=30, deadline=None)
@given(
    wanted=st.lists(
        st.tuples(
            st.sampled_from([None, "lora"]),
            st.integers(0, len(LENGTHS) - 1),
            st.lists(st.integers(0, max(LENGTHS) - 1), max_size=3),
        ),
        min_size=1,
        max_size=6,
    ),
    pass_tokens=st.sampled_from([1, 14, 20, 1000]),
)
def test_any_mixture_in_passes_of_any_size_is_every_row_by_itself(engine, alone, wanted, pass_tokens):
    rows, expected = [], []
    for adapter, number, places in wanted:
        ids = questions(LENGTHS)[number]
        positions = tuple(place % len(ids) for place in places)
        rows.append(ProbedRow(ids, positions, adapter))
        expected.append(alone[adapter, number][:, list(positions)])
    before, engine.model.pass_tokens = engine.model.pass_tokens, pass_tokens
    try:
        found = residuals(engine, rows)
    finally:
        engine.model.pass_tokens = before
    assert [f.shape for f in found] == [(LAYERS + 1, len(row.positions), HIDDEN) for row in rows]
    for got, right in zip(found, expected, strict=True):
        torch.testing.assert_close(got, right, rtol=0, atol=2e-5)


def test_the_adapter_makes_a_difference(alone):
    """Else the tests here would pass with the adapter left out. Embeddings are not adapted."""
    base, lora = alone[None, 0], alone["lora", 0]
    assert torch.equal(base[0], lora[0])
    assert ((base - lora).abs().amax((1, 2))[1:] > 0.1).all()


def test_an_adapter_that_is_off_is_base_to_the_last_bit(world: World):
    from beliefmod.model.adapter_files import read_adapter

    engine = world.ours()
    lora = read_adapter(world.folder / "lora")
    off = {name: (a, torch.zeros_like(b)) for name, (a, b) in lora.tensors.items()}
    engine.put_adapter(AdapterFile(lora.rank, lora.alpha, off, lora.base_model), "off")
    for row in questions(LENGTHS):
        places = tuple(range(len(row)))
        [base] = residuals(engine, [ProbedRow(row, places)])
        [other] = residuals(engine, [ProbedRow(row, places, "off")])
        assert torch.equal(base, other)
        [loud] = residuals(engine, [ProbedRow(row, places, "lora")])
        assert not torch.equal(base[1:], loud[1:])


def test_packed_4_bit_weights_give_what_their_values_give(tmp_path):
    """bitsandbytes' forward against plain layers of the values that it stands for, adapter on and off."""
    world = make_world(tmp_path, "nf4", seed=3)
    values = world.theirs()
    dequantize(values, torch.float32)
    plain = Engine(LoadedModel(values, None, "tiny", "", (2,), 0, torch.float32), 2, 4)  # pyright: ignore[reportArgumentType]
    plain.load_adapter(world.folder / "lora", "lora")
    rows = [ProbedRow(row, (0, len(row) - 1), adapter) for row in questions() for adapter in (None, "lora")]
    for packed, expected in zip(residuals(world.ours(), rows), residuals(plain, rows), strict=True):
        torch.testing.assert_close(packed, expected, rtol=0, atol=2e-5)


def test_an_empty_list_and_rows_without_positions_cost_nothing_and_give_nothing(engine):
    assert residuals(engine, []) == []
    row = questions()[0]
    found = residuals(engine, [ProbedRow(row, ()), ProbedRow(row, (0,))])
    assert [f.shape[1] for f in found] == [0, 1]


def test_an_adapter_that_is_not_there_is_an_error(engine):
    with pytest.raises(UnknownAdapter, match="no trial other is attached"):
        residuals(engine, [ProbedRow((1, 2), (0,), "other")])


def test_no_gradients_are_kept(engine):
    [found] = residuals(engine, [ProbedRow((5, 6, 7), (2,), "lora")])
    assert not found.requires_grad


@settings(max_examples=30, deadline=None)
@given(entry=st.integers(0, LAYERS), position=st.integers(0, 8), seed=st.integers(0, 1000))
def test_a_patch_changes_its_place_and_what_depends_on_it(engine, alone, entry, position, seed):
    row = questions(LENGTHS)[0]
    places = tuple(range(len(row)))
    value = torch.randn(HIDDEN, generator=torch.Generator().manual_seed(seed))
    patched = ProbedRow(row, places, "lora", (Patch(entry, position, value),))
    beside = ProbedRow(row, places, "lora")
    before = ProbedRow(questions(LENGTHS)[1], (4,))  # so that the patched row is not the first of the pass
    got, untouched, other = residuals(engine, [patched, beside, before])
    right = alone["lora", 0]
    torch.testing.assert_close(untouched, right, rtol=0, atol=2e-5)
    torch.testing.assert_close(other, alone[None, 1][:, [4]], rtol=0, atol=2e-5)
    torch.testing.assert_close(got[entry, position], value, rtol=0, atol=0)
    # earlier entries, and tokens before the patch at any entry, cannot know of it
    torch.testing.assert_close(got[:entry], right[:entry], rtol=0, atol=2e-5)
    torch.testing.assert_close(got[:, :position], right[:, :position], rtol=0, atol=2e-5)
    # at its own entry no other token has changed; behind it, every later token has
    others = [p for p in places if p != position]
    torch.testing.assert_close(got[entry, others], right[entry, others], rtol=0, atol=2e-5)
    if entry < LAYERS:
        assert ((got[-1] - right[-1]).abs().amax(1)[position:] > 1e-4).all()


def test_what_is_put_in_from_another_arm_at_every_position_makes_it_that_arm(engine, alone):
    """Base with the adapter's residuals everywhere at the last entry reads as the adapter."""
    row = questions(LENGTHS)[0]
    places = tuple(range(len(row)))
    lora = alone["lora", 0]
    patches = tuple(Patch(LAYERS, place, lora[LAYERS, place]) for place in places)
    [got] = residuals(engine, [ProbedRow(row, places, None, patches)])
    torch.testing.assert_close(got[-1], lora[-1], rtol=0, atol=0)
    torch.testing.assert_close(got[:-1], alone[None, 0][:-1], rtol=0, atol=2e-5)


def test_its_own_value_put_back_changes_nothing(engine):
    row = questions(LENGTHS)[0]
    places = tuple(range(len(row)))
    [before] = residuals(engine, [ProbedRow(row, places)])
    patches = tuple(Patch(entry, 3, before[entry, 3]) for entry in range(LAYERS + 1))
    [after] = residuals(engine, [ProbedRow(row, places, None, patches)])
    assert torch.equal(before, after)


def test_hooks_are_gone_afterwards_also_when_a_pass_fails(engine):
    decoder = decoder_of(engine.model.model)
    with pytest.raises(IndexError):
        residuals(engine, [ProbedRow((VOCAB + 5,), (0,))])
    assert not any(block._forward_pre_hooks or block._forward_hooks for block in decoder.blocks)
    assert len(residuals(engine, [ProbedRow((4,), (0,))])) == 1
