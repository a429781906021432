"""Which layers target_modules choose: PEFT's own choice, and one sentence where a layer is not there."""

import copy

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, Phi3Config
from transformers.models.phi3.modeling_phi3 import Phi3RMSNorm

from beliefmod.config import TrialConfig, unflatten
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import ScoreRequest, UnknownTarget
from beliefmod.errors import UserError
from beliefmod.model.model_files import ModelSource
from beliefmod.model.target_modules import check_targets, in_layers, linear_layers, targeted_layers
from tests.engine.conftest import as_loaded, make_job, random_ids
from tests.engine.oracle import peft_names, relative_l2, train_alone

FUSED = Phi3Config(
    vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64, pad_token_id=0,
)  # fmt: skip


def _norm(self, x):
    return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)


@pytest.fixture
def fused():
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(FUSED).eval().requires_grad_(False)


@pytest.mark.parametrize(
    "targets",
    [
        "all-linear",
        ("qkv_proj",),
        ("o_proj", "gate_up_proj"),
        ("1.mlp.down_proj",),
        ("layers.0.self_attn.qkv_proj",),
    ],
)
def test_the_layers_are_those_that_peft_chooses(fused, targets):
    layers = list(linear_layers(fused))
    chosen, problem = targeted_layers(layers, targets)
    wanted = targets if isinstance(targets, str) else list(targets)
    model = get_peft_model(fused, LoraConfig(r=1, target_modules=wanted, task_type="CAUSAL_LM"))
    theirs = {name.partition(".lora_A")[0] for name, _ in model.named_parameters() if ".lora_A" in name}
    assert {f"base_model.model.{name}" for name in chosen} == theirs and not problem


@pytest.mark.parametrize(
    ("targets", "numbers"),
    [
        (("qkv_proj",), (1,)),
        (("o_proj", "down_proj"), (0, 1)),
        (("1.mlp.down_proj", "o_proj"), (0,)),
        (("model.layers.0.mlp.down_proj", "o_proj"), (1,)),
    ],
)
def test_chosen_layers_are_those_that_peft_chooses(fused, targets, numbers):
    layers = list(linear_layers(fused))
    chosen, problem = in_layers(layers, targeted_layers(layers, targets)[0], targets, numbers)
    config = LoraConfig(
        r=1, target_modules=list(targets), layers_to_transform=list(numbers), task_type="CAUSAL_LM"
    )
    model = get_peft_model(fused, config)
    theirs = {name.partition(".lora_A")[0] for name, _ in model.named_parameters() if ".lora_A" in name}
    assert {f"base_model.model.{name}" for name in chosen} == theirs and not problem


def test_layers_of_all_linear_are_those_of_their_number(fused):
    layers = list(linear_layers(fused))
    chosen, problem = in_layers(layers, layers, "all-linear", (1,))
    assert chosen == [name for name in layers if ".1." in name] and len(chosen) == 4 and not problem


def test_a_layer_number_that_is_not_there_is_a_sentence(tmp_path):
    FUSED.save_pretrained(tmp_path)
    source = ModelSource(str(tmp_path), tmp_path)
    check_targets(source, ["all-linear"], ["all", (0, 1)])
    with pytest.raises(UserError) as refused:
        check_targets(source, ["all-linear", ("1.mlp.down_proj",)], [(0,), (2, 7)])
    where = f"model {tmp_path}: lora.layers_to_transform"
    assert list(refused.value.problems) == [
        f"{where} names 2, 7, which the model has not; its layers are 0 to 1",
        f"{where} leaves no layer of target_modules; widen one of them",
    ]


def test_fused_projections_can_be_trained(fused):
    config = TrialConfig.model_validate(unflatten({"belief": "b", "lora.target_modules": ["qkv_proj"]}))
    assert config.lora.target_modules == ("qkv_proj",)
    engine = Engine(as_loaded(fused), 1, 4)
    engine.attach(make_job("a", targets=("qkv_proj",), num_train_epochs=2, learning_rate=1e-2))
    losses = []
    while reports := engine.train_step():
        losses.append(reports[0].loss)
    assert len(losses) == 4 and losses[-1] < losses[0]
    assert set(engine.state_dict("a")["weights"]) == {f"model.layers.{n}.self_attn.qkv_proj" for n in (0, 1)}
    with pytest.raises(UnknownTarget, match="names q_proj, which the model has not; its linear layers are"):
        engine.attach(make_job("b", targets=("q_proj",)))


def test_fused_projections_in_one_pack_train_as_each_alone_and_open_in_peft(fused, tmp_path, monkeypatch):
    """Phi-3's qkv_proj and gate_up_proj, in fp64 against PEFT; saved, PEFT computes the same with them."""
    # transformers computes norms in fp32 whatever the model's dtype
    monkeypatch.setattr(Phi3RMSNorm, "forward", _norm)
    base = fused.double()
    engine = Engine(as_loaded(copy.deepcopy(base)), 3, 4)
    jobs = [
        make_job("a", seed=1, rank=4, targets=("qkv_proj",), num_train_epochs=2, learning_rate=1e-3),
        make_job("b", seed=2, rank=2, targets=("gate_up_proj", "o_proj"), learning_rate=1e-3),
        make_job("c", seed=3, rank=3, targets=("1.self_attn.qkv_proj", "down_proj"), learning_rate=1e-3),
    ]
    for job in jobs:
        engine.attach(job)
    start = {job.trial_id: peft_names(engine.state_dict(job.trial_id)["weights"]) for job in jobs}
    while engine.train_step():
        pass
    ids = random_ids(torch.Generator().manual_seed(4), 12)
    for job in jobs:
        alone = train_alone(base, job, start[job.trial_id])
        mine = peft_names(engine.state_dict(job.trial_id)["weights"])
        assert relative_l2(mine, alone) < 1e-9
        engine.save_adapter(job.trial_id, tmp_path / job.trial_id)
        opened = PeftModel.from_pretrained(copy.deepcopy(base), str(tmp_path / job.trial_id)).eval()
        with torch.no_grad():
            logs = opened(torch.tensor([ids])).logits[0].log_softmax(-1)
        expected = sum(logs[place - 1, ids[place]].item() for place in range(6, 12))
        [found] = engine.score([ScoreRequest(job.trial_id, ids[:6], ids[6:])])
        [without] = engine.score([ScoreRequest(None, ids[:6], ids[6:])])
        assert found == pytest.approx(expected, rel=1e-6) and abs(found - without) > 1e-4


def test_a_missing_layer_is_told_before_weights_are_read(tmp_path):
    FUSED.save_pretrained(tmp_path)  # a configuration and no weights
    source = ModelSource(str(tmp_path), tmp_path)
    check_targets(source, ["all-linear", ("qkv_proj", "down_proj")])
    with pytest.raises(UserError) as refused:
        check_targets(source, ["all-linear", ("q_proj", "v_proj", "o_proj"), ("lm_head",)])
    where, ends = (
        f"model {tmp_path}: lora.target_modules",
        "its linear layers are o_proj, qkv_proj, gate_up_proj, down_proj",
    )
    assert list(refused.value.problems) == [
        f"{where} names q_proj, v_proj, which the model has not; {ends}, or take all-linear",
        f"{where} names lm_head, which the model has not; {ends}, or take all-linear",
    ]
