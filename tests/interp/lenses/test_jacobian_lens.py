"""The Jacobian lens against TransformerLens's, and against derivatives taken one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from beliefmod.engine.engine import Engine
from beliefmod.errors import UserError
from interp.lenses.decoder import decoder_of
from interp.lenses.jacobian_lens import MeanJacobians, fit_jacobian, mean_jacobians
from interp.lenses.lens_fit import FEWEST
from interp.lenses.lens_head import LensHead
from interp.lenses.lens_metrics import AnswerTokens
from interp.lenses.residual_stream import ProbedRow, residuals
from interp.opened.lens_guards import unchanged
from tests.interp.worlds import HIDDEN, LAYERS, World, make_world, questions

LENGTHS = (9, 6, 12)
SKIPPED = 2


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), seed=5)


def theirs(world: World, adapted: bool) -> dict[int, Tensor]:
    """TransformerLens's fit on rows of ids, by entry."""
    pytest.importorskip("transformer_lens")
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.tools.analysis import JacobianLens

    model = TransformerBridge.boot_transformers(
        world.name, hf_model=world.theirs(adapted), tokenizer=None, device="cpu"
    ).eval()
    model.to_tokens = lambda ids: torch.tensor([ids])
    lens = JacobianLens.fit(
        model, questions(LENGTHS), corpus="random ids", skip_first_positions=SKIPPED, show_progress=False
    )
    # their layer l is what block l wrote, our entry l + 1
    return {layer + 1: lens.jacobians[layer] for layer in lens.source_layers}


@pytest.mark.parametrize(("storage", "adapter"), [("none", None), ("nf4", "lora")])
def test_it_is_transformer_lens_s(tmp_path, storage: str, adapter: str | None):
    world = make_world(tmp_path, storage, seed=5)
    engine = world.ours()
    expected = theirs(world, adapter is not None)
    assert list(expected) == list(range(1, LAYERS))
    whole = mean_jacobians(engine, questions(LENGTHS), adapter, SKIPPED)
    engine.model.pass_tokens = 16  # two passes
    parts = mean_jacobians(engine, questions(LENGTHS), adapter, SKIPPED)
    assert whole.shape == (LAYERS, HIDDEN, HIDDEN)
    for found in (whole, parts):
        for entry, matrix in expected.items():
            scale = float(matrix.abs().max())
            torch.testing.assert_close(found[entry], matrix, rtol=0, atol=1e-5 * max(1.0, scale))


def test_the_adapter_makes_a_difference(engine: Engine):
    base, lora = (mean_jacobians(engine, questions(LENGTHS), adapter) for adapter in (None, "lora"))
    assert (base - lora).abs().max() > 0.1


def test_the_embedding_s_is_the_derivative_by_its_definition(world: World, engine: Engine):
    """Entry 0, which TransformerLens has not: the whole Jacobian of transformers' model, then the mean."""
    model = world.theirs().requires_grad_(False)
    [row] = questions((6,), seed=9)
    last: list[Tensor] = []
    model.model.layers[-1].register_forward_hook(
        lambda m, given, out: last.append(out[0] if isinstance(out, tuple) else out)
    )

    def final(embedded: Tensor) -> Tensor:
        model(inputs_embeds=embedded[None])
        return last[-1][0]

    embedded = model.get_input_embeddings()(torch.tensor(row))
    whole = torch.autograd.functional.jacobian(final, embedded)
    assert isinstance(whole, Tensor)  # (token t', coordinate, token t, coordinate)
    chosen = range(1, 5)  # neither the first token nor the last
    expected = sum(whole[later, :, t] for t in chosen for later in chosen if later >= t) / 4
    assert isinstance(expected, Tensor)
    got = mean_jacobians(engine, [row], None, 1)[0]
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_every_text_counts_the_same_whatever_its_length(engine: Engine):
    rows = questions(LENGTHS)
    each = torch.stack([mean_jacobians(engine, [row]) for row in rows])
    torch.testing.assert_close(mean_jacobians(engine, rows), each.mean(0), rtol=1e-4, atol=1e-4)


def test_texts_that_cannot_be_used_are_errors(engine: Engine):
    with pytest.raises(UserError, match="a text of 3 tokens is too short, 4 are needed"):
        mean_jacobians(engine, [(4, 5, 6)], None, 2)
    with pytest.raises(UserError, match="there is no text"):
        mean_jacobians(engine, [])
    with pytest.raises(UserError, match=r"--lens jacobian: 3 neutral texts are too few"):
        fit_jacobian(engine, questions())


def test_fitting_leaves_nothing_behind(engine: Engine):
    model = engine.model.model
    [before] = residuals(engine, [ProbedRow(questions()[0], (4,), "lora")])
    with unchanged(model):
        mean_jacobians(engine, questions(LENGTHS), "lora")
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in model.parameters())
    assert not any(b._forward_pre_hooks or b._forward_hooks for b in decoder_of(model).blocks)
    [after] = residuals(engine, [ProbedRow(questions()[0], (4,), "lora")])
    assert torch.equal(before, after)


def test_the_lens_reads_through_its_matrices_and_leaves_the_last_entry(engine: Engine):
    texts = questions((7,) * FEWEST)
    lens = fit_jacobian(engine, texts, "lora")
    assert lens.fitted_on == lens.adapter == "lora"
    assert isinstance(lens.translate, MeanJacobians)
    [hidden] = residuals(engine, [ProbedRow(questions()[0], (3, 8), "lora")])
    head = LensHead(engine.model.model)
    got = head.read(hidden, [AnswerTokens(5, 6)] * 2, None, lens.translate)
    moved = torch.stack([lens.translate.matrices[k] @ hidden[k, 1] for k in range(LAYERS)] + [hidden[-1, 1]])
    expected = head.logits(moved)
    assert got[1]["logit_target"] == pytest.approx(expected[:, 5].tolist(), abs=1e-3)
    # judged on two texts that it was not fitted on, entry by entry; the last is what it is compared with
    assert [h.entry for h in lens.held_out] == list(range(LAYERS + 1))
    assert {(h.texts, h.tokens) for h in lens.held_out} == {(2, 12)}
    assert lens.held_out[-1].kl == pytest.approx(0.0, abs=1e-9)
    assert lens.notes == (
        f"jacobian lens: the mean over {FEWEST - FEWEST // 5} neutral texts of derivatives taken on "
        "the arm itself",
    )
