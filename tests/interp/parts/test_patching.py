"""Residuals put into base: against TransformerLens, against hooks of a few lines, and on a run."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from beliefmod.run.tables.lens_tables import PATCHING, TAU
from beliefmod.run.tables.trial_tables import frame
from interp.lens_settings import LensSettings
from interp.lenses.lens_head import LensHead
from interp.lenses.lens_metrics import AnswerTokens
from interp.lenses.residual_stream import ProbedRow, residuals
from interp.parts.patching import patched, patching, recovery
from interp.read.contrast_questions import contrast_questions
from tests.interp.random_run import random_inspection
from tests.interp.worlds import LAYERS, TOLERANCE, World, make_world, questions

[ROW] = questions((11,))
CONTEXT = (11, 12, 13, 14, 15, 16, 17)
PAIR = AnswerTokens(5, 41)


@pytest.fixture(scope="module", params=["none", "nf4"])
def world(request, tmp_path_factory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), request.param, seed=5)


def difference(logits: Tensor) -> float:
    return float(logits[..., -1, PAIR.target_id] - logits[..., -1, PAIR.rival_id])


def ours(world: World, ids: tuple[int, ...], adapter: str | None) -> tuple[float, np.ndarray]:
    """Base's difference and the grid, from residuals of `ids`, whose last tokens are those of ROW."""
    engine = world.ours()
    tail = tuple(range(len(ids) - len(ROW), len(ids)))
    [hidden] = residuals(engine, [ProbedRow(ids, tail, adapter)])
    return patched(engine, LensHead(engine.model.model), ROW, hidden, PAIR)


@pytest.mark.parametrize("source", ["lora", "icl"])
def test_the_grid_is_transformer_lenss(world: World, source: str):
    pytest.importorskip("transformer_lens")
    from transformer_lens import patching as theirs
    from transformer_lens.model_bridge import TransformerBridge

    def bridge(adapted: bool) -> TransformerBridge:
        model = world.theirs(adapted)  # a fresh one each: its blocks are replaced
        return TransformerBridge.boot_transformers(
            world.name, hf_model=model, tokenizer=None, device="cpu"
        ).eval()

    ids = ROW if source == "lora" else (*CONTEXT, *ROW)
    with torch.no_grad():
        _, cache = bridge(source == "lora").run_with_cache(torch.tensor([ids]))
        shifted = {name: value[:, -len(ROW) :] for name, value in cache.items() if "resid" in name}
        expected = theirs.get_act_patch_resid_pre(bridge(False), torch.tensor([ROW]), shifted, difference)
    base, grid = ours(world, ids, "lora" if source == "lora" else None)
    assert expected.shape == (LAYERS, len(ROW))
    assert np.abs(grid[:-1] - expected.numpy()).max() < TOLERANCE
    assert np.abs(grid[1:-1] - base).max() > 0.1  # patches do something, so the oracle can fail


@contextlib.contextmanager
def seen_or_put(model, entry: int, place: int | None = None, value: Tensor | None = None):
    """One hook that notes the residual at an entry, after `value` took its place at a position."""
    seen = []

    def see(hidden: Tensor) -> Tensor:
        if place is not None:
            hidden = hidden.clone()
            hidden[0, place] = value
        seen.append(hidden)
        return hidden

    blocks = model.model.layers
    if entry < len(blocks):
        handle = blocks[entry].register_forward_pre_hook(lambda _, args: (see(args[0]), *args[1:]))
    else:
        handle = blocks[-1].register_forward_hook(lambda _, args, out: see(out))
    yield seen
    handle.remove()


@torch.no_grad()
@pytest.mark.parametrize("source", ["lora", "icl"])
def test_the_grid_is_that_of_hooks_by_hand_at_every_entry(world: World, source: str):
    base, giver = world.theirs(), world.theirs(adapted=source == "lora")
    ids = ROW if source == "lora" else (*CONTEXT, *ROW)
    expected = np.zeros((LAYERS + 1, len(ROW)))
    for entry in range(LAYERS + 1):
        with seen_or_put(giver, entry) as seen:
            giver(torch.tensor([ids]))
        for place in range(len(ROW)):
            with seen_or_put(base, entry, place, seen[0][0, len(ids) - len(ROW) + place]):
                expected[entry, place] = difference(base(torch.tensor([ROW])).logits)
    untouched, grid = ours(world, ids, "lora" if source == "lora" else None)
    assert np.abs(grid - expected).max() < TOLERANCE
    assert untouched == pytest.approx(difference(base(torch.tensor([ROW])).logits), abs=TOLERANCE)


def test_only_what_differs_is_run(world: World, monkeypatch: pytest.MonkeyPatch):
    from interp.parts import patching as module

    counted = []
    real = module.final_differences

    def counting(engine, head, rows, contrasts, told):
        counted.append(len(rows))
        return real(engine, head, rows, contrasts, told)

    monkeypatch.setattr(module, "final_differences", counting)
    base, grid = ours(world, ROW, "lora")
    assert counted == [(LAYERS - 1) * len(ROW)]  # not the embedding, not the last entry
    assert (grid[0] == base).all() and (grid[-1, :-1] == base).all()
    counted.clear()
    base, grid = ours(world, ROW, None)  # base into base
    assert counted == [0]
    assert np.abs(grid - base).max() == 0


def test_recovery_by_hand():
    assert recovery(np.array([0.0, 4.0, 8.0, 12.0]), 0.0, 8.0).tolist() == [0.0, 0.5, 1.0, 1.5]
    assert recovery(np.array([1.0]), 3.0, -1.0).tolist() == [0.5]


@given(st.floats(-20, 20), st.floats(-TAU, TAU, exclude_min=True, exclude_max=True))
def test_arms_that_differ_by_less_than_tau_have_nothing_to_recover(base: float, apart: float):
    if abs((base + apart) - base) < TAU:  # rounding may reach it
        assert np.isnan(recovery(np.array([base, base + 5]), base, base + apart)).all()


@given(st.floats(-20, 20), st.floats(TAU + 0.01, 20), st.sampled_from([-1, 1]))
def test_base_recovers_nothing_and_the_source_everything(base: float, apart: float, sign: int):
    source = base + sign * apart
    assert recovery(np.array([base, source]), base, source) == pytest.approx([0.0, 1.0])


def test_not_a_number_is_no_recovery():
    assert np.isnan(recovery(np.array([1.0]), 0.0, float("nan"))).all()


def test_the_part_maps_every_trial_and_once_the_in_context_arm(tmp_path):
    inspection = random_inspection(tmp_path)
    settings = LensSettings(prompts=1)
    # as the runner does where one batch cannot hold all
    batches = [patching(inspection, [trial], settings, lambda line: None) for trial in inspection.trained]
    rows = [row for found in batches for row in found["patching"]]
    table = frame(rows, PATCHING)
    asked = contrast_questions(inspection, "gravity", 1)
    tails, entries = sum(one.stems["base"].tail for one in asked), inspection.head.entries
    sources = table.group_by("trial_id", "source").len().rows()
    expected = [(trial.trial_id, "lora", entries * tails) for trial in inspection.trained]
    expected.append((inspection.references["gravity", "icl"].trial_id, "icl", entries * tails))
    assert sorted(sources) == sorted(expected)
    stem = table.filter(position="stem", source="icl")
    assert stem["from_end"].unique().to_list() == [0] and stem.height == entries
    # at the end everything is recovered, where there is something to recover; entry 0 is base as it was
    ends = stem.filter(entry=entries - 1).join(stem.filter(entry=0), on="probe_id")
    apart = (ends["logit_diff"] - ends["logit_diff_right"]).abs().to_list()
    assert ends["recovery"].to_list() == [1.0 if gap >= TAU else None for gap in apart]
    # the tokens are those of the question, read from its end
    session, first = inspection.session, asked[0]
    mine = table.filter(probe_id=first.question.probe_id, source="icl", entry=0).sort("from_end")
    assert "".join(reversed(mine["token"].to_list())) == session.prompts.text(
        first.stems["base"].ids[-first.stems["base"].tail :]
    )
    entity = table.filter(position="entity", probe_id=first.question.probe_id)
    place = first.stems["base"].positions["entity"]
    assert entity["from_end"].unique().to_list() == [len(first.stems["base"].ids) - 1 - place]
    assert session.engine.attached() == ()


def test_arms_that_were_not_asked_for_are_not_patched(tmp_path):
    inspection = random_inspection(tmp_path, adapters=1)
    for arms, sources in ((("base", "icl"), {"icl"}), (("base", "lora"), {"lora"}), (("base",), set())):
        settings = LensSettings(prompts=1, arms=arms)
        rows = patching(inspection, inspection.trained, settings, lambda line: None)["patching"]
        assert {row["source"] for row in rows} == sources
