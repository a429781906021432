"""Which models the engine takes, and in which precision."""

import copy
import math

import pytest
import torch
from transformers import (
    FalconConfig,
    FalconForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import (
    EngineError,
    GenerateRequest,
    NoRows,
    ScoreRequest,
    TrainRow,
    UnknownTarget,
)
from beliefmod.engine.memory import cache_bytes_per_token, training_bytes_per_token
from beliefmod.errors import UserError
from tests.engine.conftest import VOCAB, as_loaded, make_job, tiny_model
from tests.engine.oracle import peft_names, relative_l2, train_alone

COMMON = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
    "pad_token_id": 0,
}


def build(kind):
    torch.manual_seed(0)
    return {
        "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**COMMON)),
        "mistral": lambda: MistralForCausalLM(MistralConfig(**COMMON, sliding_window=6)),
        "phi3": lambda: Phi3ForCausalLM(Phi3Config(**COMMON)),
        "gemma3": lambda: Gemma3ForCausalLM(
            Gemma3TextConfig(**COMMON, head_dim=8, sliding_window=6, query_pre_attn_scalar=8)
        ),
        "mamba": lambda: MambaForCausalLM(
            MambaConfig(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, state_size=4)
        ),
        "gpt2": lambda: GPT2LMHeadModel(
            GPT2Config(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=64)
        ),
        "falcon": lambda: FalconForCausalLM(
            FalconConfig(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4)
        ),
    }[kind]().eval()


@pytest.mark.parametrize("kind", ["qwen2", "mistral", "phi3", "gemma3"])
def test_other_families_train_as_with_peft(kind):
    model = build(kind)
    base = copy.deepcopy(model)
    job = make_job("a", seed=1, rows=5, learning_rate=3e-3, num_train_epochs=3)
    engine = Engine(as_loaded(model), 2, 8)
    engine.attach(make_job("b", seed=2, rank=8))
    engine.attach(job)
    start = peft_names(engine.state_dict("a")["weights"])
    losses = []
    while reports := engine.train_step():
        losses += [r.loss for r in reports if r.trial_id == "a"]
    alone = train_alone(base, job, start)
    assert losses == pytest.approx(alone.losses, rel=1e-4)
    assert relative_l2(peft_names(engine.state_dict("a")["weights"]), alone) < 1e-3


@pytest.mark.parametrize("kind", ["mamba", "gpt2", "falcon"])
def test_models_whose_rows_cannot_be_laid_flat_are_refused(kind):
    with pytest.raises(EngineError):
        Engine(as_loaded(build(kind)), 1, 4)


def test_a_model_that_mixes_rows_is_the_users_to_exchange(monkeypatch):
    """A sentence and exit code 2, not a traceback: its type may be known, and its configuration odd."""
    model = tiny_model()
    attend = model.model.layers[1].self_attn.forward

    def forward(hidden_states, *args, **kwargs):
        out, *rest = attend(hidden_states, *args, **kwargs)
        return (out + hidden_states.cumsum(1), *rest)

    monkeypatch.setattr(model.model.layers[1].self_attn, "forward", forward)
    with pytest.raises(UserError) as caught:
        Engine(as_loaded(model), 1, 4)
    [problem] = caught.value.problems
    assert problem.startswith("model tiny: a Qwen3ForCausalLM mixes rows that are laid behind each other")
    assert "beliefmod docs models" in problem


def test_a_bf16_base_trains_and_answers_with_fp32_adapters():
    exact = tiny_model()
    rough = copy.deepcopy(exact).to(torch.bfloat16)
    exact.load_state_dict({n: t.float() for n, t in rough.state_dict().items()})
    job = make_job("a", seed=1, rows=4, learning_rate=1e-2, num_train_epochs=8)
    request = [ScoreRequest("a", job.rows[0].input_ids[:4], job.rows[0].input_ids[4:])]
    losses, scores, before = [], [], []
    for model in (exact, rough):
        engine = Engine(as_loaded(model), 2, 8)
        engine.attach(job)
        assert engine.pack.theta.dtype == engine.pack.grad.dtype == torch.float32
        before.append(engine.score(request)[0])
        losses.append([r.loss for _ in range(8) for r in engine.train_step()])
        scores.append(engine.score(request)[0])
        assert len(engine.generate([GenerateRequest("a", (5, 6))], 5)[0].token_ids) >= 1
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    assert scores[1] == pytest.approx(scores[0], rel=0.05)
    assert abs(scores[0] - before[0]) > 0.2 * abs(before[0]), "training must move what is scored"


def test_memory_of_qwen3_4b_is_what_was_measured():
    """Shapes of Qwen3-4B: 147,456 bytes of keys and values per token, 7.6 MB of activations measured."""
    from types import SimpleNamespace

    shape = SimpleNamespace(
        num_hidden_layers=36,
        hidden_size=2560,
        intermediate_size=9728,
        vocab_size=151936,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
    )
    model = SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: shape))
    assert cache_bytes_per_token(model, torch.bfloat16) == 147_456
    activations = training_bytes_per_token(model, torch.bfloat16) - 12 * 151936  # pyright: ignore[reportArgumentType]
    assert math.isclose(activations, 7.6e6, rel_tol=0.05)


def test_rank_64_with_alpha_128_trains_beside_others_and_ends():
    """More than the model is wide; reported to hang elsewhere."""
    model = tiny_model()
    base = copy.deepcopy(model)
    large = make_job("a", seed=1, rows=5, rank=64, alpha=128.0, learning_rate=1e-3, num_train_epochs=3)
    engine = Engine(as_loaded(model), 2, 64)
    engine.attach(make_job("b", seed=2, rank=2))
    engine.attach(large)
    start = peft_names(engine.state_dict("a")["weights"])
    losses = []
    for _ in range(large.config.num_train_epochs * 2):
        losses += [report.loss for report in engine.train_step() if report.trial_id == "a"]
    assert engine.train_step() == []
    alone = train_alone(base, large, start)
    assert losses == pytest.approx(alone.losses, rel=1e-4)
    assert relative_l2(peft_names(engine.state_dict("a")["weights"]), alone) < 1e-3


def test_a_row_on_which_no_token_carries_loss_is_no_training_row():
    """A mean over no tokens would be no number, and the trial would end for a reason that it has not."""
    for length in (4, 5):
        with pytest.raises(ValueError, match="at least one prompt token and one answer token"):
            TrainRow((5, 6, 7, 8), length)
    with pytest.raises(NoRows, match="has no training rows"):
        Engine(as_loaded(tiny_model()), 1, 4).attach(make_job("a", rows=0))


def test_a_tied_head_stays_tied_untrained_and_no_target():
    model = tiny_model()
    assert model.config.tie_word_embeddings
    embedding = model.get_input_embeddings().weight
    before = embedding.clone()
    engine = Engine(as_loaded(model), 1, 4)
    with pytest.raises(UnknownTarget, match="names lm_head, which the model has not"):
        engine.attach(make_job("h", targets=("lm_head",)))
    engine.attach(make_job("a", learning_rate=1e-2, num_train_epochs=2))
    while engine.train_step():
        pass
    assert model.get_output_embeddings().weight is embedding and torch.equal(embedding, before)
    assert not [name for name in engine.state_dict("a")["weights"] if "lm_head" in name or "embed" in name]
