"""The lens against TransformerLens 4.3: every entry, position and token of the vocabulary."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from interp.lenses.lens_head import LensHead
from interp.lenses.residual_stream import ProbedRow, residuals
from tests.interp.worlds import (
    TOLERANCE,
    World,
    make_world,
    our_lens,
    our_mixed_lens,
    padded,
    questions,
    worst,
)

pytest.importorskip("transformer_lens")

from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.tools.analysis import logit_lens

KINDS = [("none", False), ("none", True), ("nf4", False), ("nf4", True)]
CONTEXT = (11, 12, 13, 14, 15, 16, 17)


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: f"{kind[0]}-{'tied' if kind[1] else 'untied'}")
def world(request, tmp_path_factory) -> World:
    storage, tied = request.param
    return make_world(tmp_path_factory.mktemp("world"), storage, tied, seed=3)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> World:
    return make_world(tmp_path_factory.mktemp("plain"))


def bridge(world: World, adapted: bool) -> TransformerBridge:
    # a fresh model each: booting replaces the blocks of the one it is given
    model = world.theirs(adapted)
    return TransformerBridge.boot_transformers(
        world.name, hf_model=model, tokenizer=None, device="cpu"
    ).eval()


def their_lens(theirs: TransformerBridge, row: tuple[int, ...]) -> Tensor:
    return logit_lens(theirs, torch.tensor([row]), positions=None).values[:, 0]


def test_the_lens_is_theirs_for_base_in_context_and_adapter_in_one_pass(world: World):
    base, adapted = bridge(world, False), bridge(world, True)
    rows = questions()
    mixed = [(row, None) for row in rows]
    mixed += [((*CONTEXT, *row), None) for row in rows]  # in context: the same question further back
    mixed += [(row, "lora") for row in rows]
    got = our_mixed_lens(world.ours(), mixed)
    expected = [their_lens(adapted if adapter else base, row) for row, adapter in mixed]
    assert worst(got, expected) < TOLERANCE
    # the three arms are not one: their last positions, where they read the same token, differ by far more
    for k in range(3):
        assert worst([got[k][:, -1]], [got[3 + k][:, -1]]) > 0.1
        assert worst([got[k][:, -1]], [got[6 + k][:, -1]]) > 0.1


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("adapter", [None, "lora"])
def test_the_lens_is_theirs_whichever_side_they_pad(plain: World, side: str, adapter: str | None):
    rows = questions()
    ids, mask, positions = padded(rows, side)
    theirs = bridge(plain, adapter is not None)
    _, cache = theirs.run_with_cache(ids, attention_mask=mask, position_ids=positions)
    values = logit_lens(cache, positions=None).values
    expected = [values[:, place][:, mask[place].bool()] for place in range(len(rows))]
    assert worst(our_lens(plain.ours(), rows, adapter), expected) < TOLERANCE


def test_the_lens_is_theirs_on_the_bundled_model_in_4_bits_at_real_stems(tmp_path):
    from beliefmod.beliefs import load_belief
    from beliefmod.engine.engine import Engine
    from beliefmod.model.load import load_model
    from beliefmod.model.prompts import Prompts
    from beliefmod.model.source import find_source
    from interp.prompts.stems import lens_questions, stems

    loaded, again = (load_model("bundled", base_storage="nf4", device="cpu") for _ in range(2))
    prompts, belief = Prompts(loaded.tokenizer), load_belief("gravity")
    found = [stems(q, belief, prompts, loaded.tokenizer) for q in lens_questions(belief, 3)]
    rows = [one[arm].ids for one in found if one is not None for arm in ("base", "icl")]
    assert len(rows) == 6
    again.model.set_attn_implementation("eager")
    folder = str(find_source("bundled", None).folder)
    theirs = TransformerBridge.boot_transformers(
        folder, hf_model=again.model, tokenizer=again.tokenizer, device="cpu"
    ).eval()
    expected = [their_lens(theirs, row) for row in rows]
    assert worst(our_lens(Engine(loaded, 1, 4), rows, None), expected) < TOLERANCE


def without_norm(head: LensHead) -> LensHead:
    head.norm = nn.Identity()
    return head


def with_two_norms(head: LensHead) -> LensHead:
    head.norm = nn.Sequential(head.norm, head.norm)
    return head


@pytest.mark.parametrize("spoil", [without_norm, with_two_norms])
def test_the_oracle_sees_a_missing_and_a_double_norm(plain: World, spoil):
    [row] = questions((9,))
    engine = plain.ours()
    hidden = residuals(engine, [ProbedRow(row, tuple(range(len(row))))])[0]
    expected = their_lens(bridge(plain, False), row)
    right = LensHead(engine.model.model)
    assert worst([right.logits(hidden)], [expected]) < TOLERANCE
    wrong = spoil(LensHead(engine.model.model)).logits(hidden)
    # wrong at every entry, and by far more than the tolerance
    assert ((wrong - expected).abs().amax((1, 2)) > 1000 * TOLERANCE).all()


def test_the_oracle_sees_an_entry_that_is_one_off(plain: World):
    [row] = questions((9,))
    got, expected = our_lens(plain.ours(), [row], None)[0], their_lens(bridge(plain, False), row)
    assert worst([got[:-1]], [expected[1:]]) > 0.1


def test_ranks_and_log_probabilities_are_theirs(plain: World):
    from interp.lenses.lens_metrics import AnswerTokens

    [row] = questions((9,))
    engine = plain.ours()
    target, rival = 5, 41
    hidden = residuals(engine, [ProbedRow(row, (8,), "lora")])[0]
    [reading] = LensHead(engine.model.model).read(hidden, [AnswerTokens(target, rival)])
    found = logit_lens(
        bridge(plain, True), torch.tensor([row]), targets=[target, rival], return_type="log_probs"
    )
    theirs = found.values[:, 0].exp().double()
    assert reading["prob_target"] == pytest.approx(theirs[:, 0].tolist(), rel=1e-4)
    assert reading["prob_rival"] == pytest.approx(theirs[:, 1].tolist(), rel=1e-4)
    assert reading["rank_target"] == found.rank_trajectory(target)[:, 0].tolist()
    assert reading["rank_rival"] == found.rank_trajectory(rival)[:, 0].tolist()
    difference = (found.values[:, 0, 0] - found.values[:, 0, 1]).tolist()
    assert reading["logit_diff"] == pytest.approx(difference, abs=TOLERANCE)
    assert "kl_base" not in reading
