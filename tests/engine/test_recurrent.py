"""Short convolutions and gated delta nets in packs against transformers and PEFT, one by one."""

import copy
from functools import partial

import pytest
import torch
import transformers as hf
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, PreTrainedModel

from beliefmod.engine.attention import RowBlocks
from beliefmod.engine.engine import Engine
from beliefmod.engine.forward import flat_ids
from beliefmod.engine.jobs import GenerateRequest, ScoreRequest
from tests.engine.conftest import VOCAB, as_loaded, make_job, random_ids
from tests.engine.oracle import peft_names, relative_l2, train_alone
from tests.engine.test_generation_oracle import alone, peft_models

LENGTHS = (23, 5, 11, 5, 1, 2, 70)  # shorter than a convolution, longer than a chunk of the delta rule (64)
SHAPE = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
DELTA = {
    "head_dim": 8,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_conv_kernel_dim": 4,
    "layer_types": ["linear_attention", "linear_attention", "full_attention", "linear_attention"],
}
ROTARY = {
    "rope_type": "default",
    "rope_theta": 1e4,
    "partial_rotary_factor": 0.5,
    "mrope_section": [1, 1, 0],
}
CONV = {
    "layer_types": ["conv", "full_attention", "conv", "conv"],
    "conv_L_cache": 3,
    "block_auto_adjust_ff_dim": False,
}
KINDS = {
    "qwen3.5": partial(hf.Qwen3_5TextConfig, **SHAPE, **DELTA, rope_parameters=ROTARY),
    "lfm2": partial(hf.Lfm2Config, **SHAPE, **CONV),
    "lfm2-bias": partial(hf.Lfm2Config, **SHAPE, **CONV, conv_bias=True),
}


def build(kind: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(KINDS[kind]())
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.15)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.to(dtype).eval().requires_grad_(False)


def rows_of(lengths) -> list[tuple[int, ...]]:
    generator = torch.Generator().manual_seed(sum(lengths))
    return [random_ids(generator, length) for length in lengths]


def flat_logits(engine: Engine, rows: list[tuple[int, ...]]) -> torch.Tensor:
    blocks = RowBlocks([len(row) for row in rows], engine.model.device)
    ids = flat_ids(rows, engine.model.device)
    with torch.inference_mode():
        return engine.model.logits(ids, blocks, blocks.positions, (), torch.arange(len(ids)))


def alone_logits(model: PreTrainedModel, row: tuple[int, ...]) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([row]), use_cache=False).logits[0]


@pytest.mark.parametrize("kind", KINDS)
def test_states_start_anew_in_every_row(kind):
    model = build(kind)
    engine = Engine(as_loaded(copy.deepcopy(model)), 1, 4)
    assert len(engine.model.recurrent.layers) == 3
    for lengths in (LENGTHS, LENGTHS[::-1], (7, 7, 7), (9,)):
        rows = rows_of(lengths)
        expected = torch.cat([alone_logits(model, row) for row in rows])
        got = flat_logits(engine, rows)
        assert float((got - expected).abs().max()) < 1e-4 * float(expected.abs().max())
    row = rows_of((12,))[0]  # and behind it the model is an ordinary one of transformers
    torch.testing.assert_close(
        alone_logits(engine.model.model, row), alone_logits(model, row), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_that_went_on_into_the_next_row_would_show(kind):
    model = build(kind)
    first, second = rows_of((20, 9))
    together, apart = alone_logits(model, first + second)[20:], alone_logits(model, second)
    assert float((together - apart).abs().max()) > 0.05 * float(apart.abs().max())


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 12), min_size=2, max_size=6), kind=st.sampled_from(list(KINDS)))
def test_neighbours_do_not_change_a_row(shared_engines, lengths, kind):
    engine = shared_engines[kind]
    rows = rows_of(lengths)
    together = flat_logits(engine, rows).split(lengths)
    for row, got in zip(rows, together, strict=True):
        torch.testing.assert_close(got, flat_logits(engine, [row]), rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def shared_engines():
    return {kind: Engine(as_loaded(build(kind)), 1, 4) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_packed_training_equals_each_trial_with_peft_fp64(kind, monkeypatch):
    """The delta rule itself computes in fp32 whatever the model's dtype, and in a padded row in other
    blocks: its gradients agree to fp32, those of convolutions to fp64."""
    from transformers.models.lfm2.modeling_lfm2 import Lfm2RMSNorm

    def norm(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)

    monkeypatch.setattr(Lfm2RMSNorm, "forward", norm)
    model = build(kind, torch.float64)
    exact = kind.startswith("lfm2") and 1e-9
    jobs = [
        make_job("a", seed=1, rows=5, rank=2, alpha=4.0, learning_rate=1e-3, num_train_epochs=2),
        make_job("b", seed=2, rows=7, rank=8, learning_rate=3e-3, num_train_epochs=2),
        make_job("c", seed=3, rows=4, rank=8, learning_rate=3e-3, num_train_epochs=2, targets=("out_proj",)),
    ]
    engine = Engine(as_loaded(copy.deepcopy(model)), 3, 8)
    for job in jobs:
        engine.attach(job)
    start = {job.trial_id: peft_names(engine.state_dict(job.trial_id)["weights"]) for job in jobs}
    losses: dict[str, list] = {job.trial_id: [] for job in jobs}
    norms: dict[str, list] = {job.trial_id: [] for job in jobs}
    while reports := engine.train_step():
        for report in reports:
            losses[report.trial_id].append(report.loss)
            norms[report.trial_id].append(report.grad_norm)
    for job in jobs:
        peft = train_alone(copy.deepcopy(model), job, start[job.trial_id])
        assert losses[job.trial_id] == pytest.approx(peft.losses, rel=exact or 1e-6)
        assert norms[job.trial_id] == pytest.approx(peft.norms, rel=exact or 1e-5)
        assert relative_l2(peft_names(engine.state_dict(job.trial_id)["weights"]), peft) < (exact or 1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_packed_answers_and_scores_equal_peft_one_by_one(kind, tmp_path):
    model = build(kind)
    engine = Engine(as_loaded(copy.deepcopy(model), tuple(range(2, 8))), 3, 8)
    for number, trial_id in enumerate("abc"):
        engine.attach(
            make_job(trial_id, seed=number, rank=2 ** (number + 1), learning_rate=2e-2, num_train_epochs=3)
        )
    while engine.train_step():
        pass
    models = peft_models(engine, model, tmp_path)
    lengths = [1 + 3 * k % 17 for k in range(24)]
    adapters = (None, "a", "b", "c")
    requests = [GenerateRequest(adapters[k % 4], row) for k, row in enumerate(rows_of(lengths))]
    expected = [alone(models[r.adapter], r.input_ids, range(2, 8)) for r in requests]
    assert len({len(e) for e in expected}) > 3 and len(set(expected)) > 15
    assert [c.token_ids for c in engine.generate(requests, 20)] == expected
    scores = [ScoreRequest(r.adapter, r.input_ids, (5, 9, 11)) for r in requests]
    wanted = []
    for score in scores:
        logs = alone_logits(models[score.adapter], score.input_ids + score.continuation_ids).log_softmax(-1)
        at = len(score.input_ids) - 1
        wanted.append(sum(float(logs[at + k, t]) for k, t in enumerate(score.continuation_ids)))
    assert engine.score(scores) == pytest.approx(wanted, rel=1e-4)
