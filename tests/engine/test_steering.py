"""A steering vector against transformers' own model with a forward hook that adds it."""

import copy

import pytest
import torch
from transformers import PreTrainedModel

from beliefmod.engine import jobs
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import DriftRequest, GenerateRequest, ScoreRequest
from tests.engine.conftest import as_loaded, make_job, tiny_model

PROMPTS = [(4, 9, 11, 7, 30), (5, 2), (61, 8, 33, 12, 12, 40, 3)]
MORE = (17, 21, 9)
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-5}


def steered(model, layer: int, vector: torch.Tensor):
    """A copy of the model whose layer has the vector added to its output, in plain torch."""
    other = copy.deepcopy(model)

    def add(module, given, out):
        return (out[0] + vector, *out[1:]) if isinstance(out, tuple) else out + vector

    other.model.layers[layer].register_forward_hook(add)
    return other


def log_probability(model, prompt, continuation) -> float:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *continuation]]), use_cache=False).logits[0]
    chosen = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return float(chosen[range(len(continuation)), list(continuation)].sum())


@pytest.fixture
def vectors() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(32, generator=generator, dtype=torch.float64) for _ in range(2)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kind", ["qwen3", "llama", "gemma2"])
def test_arms_of_one_pass_are_what_hooks_on_the_plain_model_give(kind, dtype, vectors):
    """Two vectors behind two layers, base and an adapter beside each other: scores, drift and texts."""
    model = tiny_model(kind, dtype)
    plain = copy.deepcopy(model).eval()
    engine = Engine(as_loaded(model), slots=1, max_rank=4)
    engine.attach(make_job("lora"))
    alone: dict[str | None, PreTrainedModel] = {None: plain}
    for layer, vector in enumerate(vectors):
        engine.steer(f"v{layer}", layer, vector)
        alone[f"v{layer}"] = steered(plain, layer, vector.to(dtype))
    asked = [(name, prompt) for prompt in PROMPTS for name in ("v1", None, "v0")]
    beside = ScoreRequest("lora", PROMPTS[0], MORE)
    scores = engine.score([*(ScoreRequest(name, prompt, MORE) for name, prompt in asked), beside])
    expected = [log_probability(alone[name], prompt, MORE) for name, prompt in asked]
    assert scores[:-1] == pytest.approx(expected, abs=TOLERANCE[dtype])
    assert len({round(score, 3) for score in scores[:3]}) == 3  # the arms do differ

    [drift] = engine.drift([DriftRequest("v1", PROMPTS[0], MORE)])
    assert drift.nll == pytest.approx(-log_probability(alone["v1"], PROMPTS[0], MORE), abs=1e-4)
    assert drift.nll_base == pytest.approx(-log_probability(plain, PROMPTS[0], MORE), abs=1e-4)

    written = engine.generate([GenerateRequest(name, prompt) for name, prompt in asked], 8)
    for (name, prompt), answer in zip(asked, written, strict=True):
        ids = list(prompt)
        for token in answer.token_ids:
            with torch.no_grad():
                logits = alone[name](input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
            assert token == int(logits.argmax())
            ids.append(token)


def test_a_vector_of_zeros_changes_no_bit_and_a_released_one_is_gone(vectors):
    engine = Engine(as_loaded(tiny_model()), slots=1, max_rank=4)
    before = engine.score([ScoreRequest(None, prompt, MORE) for prompt in PROMPTS])
    engine.steer("zero", 1, vectors[0] * 0)
    engine.steer("some", 1, vectors[0])
    [drift] = engine.drift([DriftRequest("zero", PROMPTS[0], MORE)])
    assert (drift.kl, drift.kl_reverse, drift.nll - drift.nll_base) == (0.0, 0.0, 0.0)
    assert engine.attached() == ("zero", "some") and engine.free_slots() == 1
    engine.release("some")
    engine.release("zero")
    assert engine.attached() == () and not engine.model.stream._hooks
    assert engine.score([ScoreRequest(None, prompt, MORE) for prompt in PROMPTS]) == before
    with pytest.raises(jobs.UnknownAdapter):
        engine.score([ScoreRequest("some", PROMPTS[0], MORE)])


def test_the_stream_that_is_read_is_what_the_plain_models_layer_gives():
    model = tiny_model(dtype=torch.float64)
    plain = copy.deepcopy(model).eval()
    engine = Engine(as_loaded(model), slots=1, max_rank=4, pass_tokens=6)  # several passes
    for layer in (0, 1):
        seen: list[torch.Tensor] = []
        handle = plain.model.layers[layer].register_forward_hook(
            lambda module, given, out, seen=seen: seen.append(out[0] if isinstance(out, tuple) else out)
        )
        with torch.no_grad():
            for prompt in PROMPTS:
                plain(input_ids=torch.tensor([prompt]), use_cache=False)
        handle.remove()
        expected = torch.stack([stream.reshape(-1, 32)[-1] for stream in seen])
        torch.testing.assert_close(engine.model.residuals(PROMPTS, layer), expected, atol=1e-6, rtol=0)


def test_what_cannot_be_steered_is_refused(vectors):
    engine = Engine(as_loaded(tiny_model()), slots=1, max_rank=4)
    with pytest.raises(jobs.EngineError, match="no layer 2; the model's layers are 0 to 1"):
        engine.steer("beyond", 2, vectors[0])
    assert engine.attached() == ()
    engine.steer("once", 0, vectors[0])
    with pytest.raises(jobs.DuplicateTrial):
        engine.steer("once", 1, vectors[0])
