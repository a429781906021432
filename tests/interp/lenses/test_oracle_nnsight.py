"""The lens against nnsight 0.8, which traces the very model that transformers runs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.interp.worlds import TOLERANCE, World, make_world, our_lens, padded, questions, worst

pytest.importorskip("nnsight")

from nnsight import NNsight

KINDS = [("none", False), ("none", True), ("nf4", False), ("nf4", True)]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: f"{kind[0]}-{'tied' if kind[1] else 'untied'}")
def world(request, tmp_path_factory) -> World:
    storage, tied = request.param
    return make_world(tmp_path_factory.mktemp("world"), storage, tied, seed=7)


def their_lens(world: World, adapted: bool, **batch: Tensor) -> tuple[Tensor, Tensor]:
    """The lens (N + 1, rows, tokens, vocabulary) and the model's own logits (rows, tokens, vocabulary)."""
    lm = NNsight(world.theirs(adapted))
    with torch.no_grad(), lm.trace(**batch):
        found = list().save()  # noqa: C408 (nnsight sees names, not literals)
        embedded = lm.model.layers[0].input
        found.append(lm.lm_head(lm.model.norm(embedded)))
        for layer in lm.model.layers:
            out = layer.output
            found.append(lm.lm_head(lm.model.norm(out[0] if isinstance(out, tuple) else out)))
        logits = lm.output.logits.save()
    return torch.stack(list(found)), logits


@pytest.mark.parametrize("adapter", [None, "lora"])
def test_the_lens_is_theirs(world: World, adapter: str | None):
    rows = questions(seed=1)
    rows.append((*rows[0], *rows[1]))  # the same question in context
    expected = [
        their_lens(world, adapter is not None, input_ids=torch.tensor([row]))[0][:, 0] for row in rows
    ]
    assert worst(our_lens(world.ours(), rows, adapter), expected) < TOLERANCE


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_lens_is_theirs_whichever_side_they_pad(tmp_path, side: str):
    world, rows = make_world(tmp_path), questions(seed=2)
    ids, mask, positions = padded(rows, side)
    values, _ = their_lens(world, True, input_ids=ids, attention_mask=mask, position_ids=positions)
    expected = [values[:, place][:, mask[place].bool()] for place in range(len(rows))]
    assert worst(our_lens(world.ours(), rows, "lora"), expected) < TOLERANCE


@pytest.mark.parametrize("adapter", [None, "lora"])
def test_the_last_entry_is_what_the_model_says(world: World, adapter: str | None):
    [row] = questions((17,), seed=4)
    _, logits = their_lens(world, adapter is not None, input_ids=torch.tensor([row]))
    got = our_lens(world.ours(), [row], adapter)[0][-1]
    assert worst([got], [logits[0]]) < 1e-5
