"""Products with weights laid out a second time, against torch's own product and transformers alone."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from beliefmod.engine import prepacked
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import GenerateRequest, ScoreRequest
from beliefmod.engine.prepacked import PrepackedLinear, linear, prepack_head
from beliefmod.engine.routing import Routing
from tests.engine.conftest import as_loaded, tiny_model


@pytest.fixture
def every_size(monkeypatch):
    """Weights of every size are laid out twice."""
    monkeypatch.setattr(prepacked, "LEAST_WEIGHTS", 1)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 70), st.integers(1, 40), st.integers(1, 40), st.booleans(), st.integers(0, 99))
def test_the_product_is_torchs(rows, width_in, width_out, with_bias, seed):
    generator = torch.Generator().manual_seed(seed)
    x, weight = (torch.randn(n, width_in, generator=generator) for n in (rows, width_out))
    bias = torch.randn(width_out, generator=generator) if with_bias else None
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, 64)
    assert_close(linear(x, weight, bias, packed), nn.functional.linear(x, weight, bias))


def test_small_weights_other_types_and_layouts_are_left_as_they_are():
    assert prepacked.prepacked(torch.zeros(8, 8)) is None
    assert prepacked.prepacked(torch.zeros(600, 600, dtype=torch.float64)) is None
    assert prepacked.prepacked(torch.zeros(600, 600, device="meta")) is None
    assert prepacked.prepacked(torch.zeros(600, 600)) is not None


def test_a_head_that_is_laid_out_twice_serves_while_answers_are_written_and_a_copy_is_plain(every_size):
    model, routing = tiny_model("llama"), Routing(torch.float32, torch.device("cpu"), 1)
    ids = torch.arange(4, 20)[None]
    with torch.no_grad():
        before = model(ids).logits
        prepack_head(model, routing)
        assert type(model.lm_head) is PrepackedLinear
        assert model.lm_head.weight is model.model.embed_tokens.weight
        assert torch.equal(model(ids).logits, before)
        with routing.of((), writing=True):
            assert_close(model(ids).logits, before, rtol=1e-5, atol=1e-5)
        model.lm_head.packed = prepacked.prepacked(torch.zeros_like(model.lm_head.weight))
        with routing.of((), writing=True):
            assert not model(ids).logits.any()
    copied = copy.deepcopy(model)
    assert type(copied.lm_head) is nn.Linear and copied.lm_head.weight is copied.model.embed_tokens.weight


@pytest.mark.parametrize("kind", ["qwen3", "llama", "gemma2"])
def test_an_engine_answers_and_scores_as_transformers_does(every_size, kind):
    alone = tiny_model(kind)
    engine = Engine(as_loaded(tiny_model(kind)), 2, 4)
    layers = engine.pack.layers.values()
    assert all(layer.prepacked is not None for layer in layers)
    prompts = [(5, 6, 7, 8), (9, 10), (11, 12, 13)]
    answers = engine.generate([GenerateRequest(None, ids) for ids in prompts], 6)
    for ids, answer in zip(prompts, answers, strict=True):
        text = list(ids)
        for token in answer.token_ids:
            with torch.no_grad():
                assert token == int(alone(torch.tensor([text])).logits[0, -1].argmax())
            text.append(token)
    [found] = engine.score([ScoreRequest(None, (5, 6, 7), (8, 9))])
    with torch.no_grad():
        said = alone(torch.tensor([[5, 6, 7, 8, 9]])).logits[0].log_softmax(-1)
    assert found == pytest.approx(float(said[2, 8] + said[3, 9]), rel=1e-4)
