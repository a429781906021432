"""Adapters on disk: PEFT is the judge."""

import copy
import json

import pytest
import torch
from peft import AutoPeftModelForCausalLM, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from beliefmod.config import LoraSettings, TrialConfig
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import AdapterJob, EngineError, ScoreRequest, TrainRow
from beliefmod.errors import UserError
from beliefmod.model.adapter_files import read_adapter, target_modules, write_adapter
from beliefmod.model.load import load_model


@pytest.fixture
def trained(model_folder):
    """An engine with a trained adapter of 3 kinds of layers, and a copy of its base."""
    loaded = load_model(str(model_folder()))
    base = copy.deepcopy(loaded.model)
    engine = Engine(loaded, 2, 8)
    lora = LoraSettings(r=3, lora_alpha=7.0, target_modules=("q_proj", "up_proj", "down_proj"))
    config = TrialConfig(belief="gravity", num_train_epochs=5, learning_rate=1e-2, lora=lora)
    engine.attach(AdapterJob("a", config, (TrainRow(tuple(range(20, 40)), 12),)))
    while engine.train_step():
        pass
    return engine, base


def score_by_hand(model, prompt, continuation):
    with torch.no_grad():
        logs = model(torch.tensor([prompt + continuation])).logits[0].double().log_softmax(-1)
    return sum(logs[len(prompt) - 1 + k, token].item() for k, token in enumerate(continuation))


def test_what_we_save_opens_in_plain_peft_with_the_same_logits(trained, tmp_path):
    engine, base = trained
    engine.save_adapter("a", tmp_path / "adapters" / "a")
    assert sorted(p.name for p in (tmp_path / "adapters").iterdir()) == ["a"]
    opened = PeftModel.from_pretrained(copy.deepcopy(base), str(tmp_path / "adapters" / "a")).eval()
    prompt, continuation = (30, 31, 32), (33, 34, 35)
    request = [ScoreRequest("a", prompt, continuation), ScoreRequest(None, prompt, continuation)]
    with_adapter, without = engine.score(request)
    assert score_by_hand(opened, prompt, continuation) == pytest.approx(with_adapter, rel=1e-5)
    assert score_by_hand(base, prompt, continuation) == pytest.approx(without, rel=1e-5)
    assert abs(with_adapter - without) > 0.1
    config = opened.peft_config["default"]
    assert (
        config.r == 3
        and config.lora_alpha == 7.0
        and config.target_modules == {"q_proj", "up_proj", "down_proj"}
    )


def test_an_adapter_says_where_its_base_is(trained, tmp_path, monkeypatch):
    """An absolute folder, so that it opens from wherever it is opened."""
    engine, base = trained
    engine.save_adapter("a", tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # PEFT asks the hub for a tokenizer beside the adapter
    opened = AutoPeftModelForCausalLM.from_pretrained("a", dtype=torch.float32).eval()
    plain = AutoModelForCausalLM.from_pretrained(engine.loaded.adapter_base.path, dtype=torch.float32)
    by_hand = PeftModel.from_pretrained(plain, "a").eval()
    prompt, continuation = (30, 31, 32), (33, 34, 35)
    assert score_by_hand(opened, prompt, continuation) == score_by_hand(by_hand, prompt, continuation)
    assert score_by_hand(opened, prompt, continuation) != score_by_hand(base, prompt, continuation)


def test_what_peft_saves_opens_in_the_engine(trained, tmp_path):
    engine, base = trained
    torch.manual_seed(1)
    theirs = get_peft_model(
        copy.deepcopy(base),
        LoraConfig(r=5, lora_alpha=9, target_modules="all-linear", init_lora_weights=False),
    ).eval()
    theirs.save_pretrained(tmp_path)
    engine.load_adapter(tmp_path, "theirs")
    prompt, continuation = (30, 31, 32), (33, 34, 35)
    (mine,) = engine.score([ScoreRequest("theirs", prompt, continuation)])
    assert mine == pytest.approx(score_by_hand(theirs, prompt, continuation), rel=1e-5)


def test_saving_again_replaces_the_folder_whole(trained, tmp_path):
    engine, _ = trained
    engine.save_adapter("a", tmp_path / "a")
    (tmp_path / "a" / "stale").touch()
    first = read_adapter(tmp_path / "a")
    engine.save_adapter("a", tmp_path / "a")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    again = read_adapter(tmp_path / "a")
    assert (again.rank, again.alpha, again.base_model) == (first.rank, first.alpha, first.base_model)
    assert all(torch.equal(again.tensors[n][k], first.tensors[n][k]) for n in first.tensors for k in (0, 1))


def test_a_write_that_fails_leaves_nothing_behind(trained, tmp_path, monkeypatch):
    engine, _ = trained
    engine.save_adapter("a", tmp_path / "a")
    before = (tmp_path / "a" / "adapter_model.safetensors").read_bytes()
    monkeypatch.setattr("beliefmod.model.adapter_files.json.dumps", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_adapter(tmp_path / "a", read_adapter(tmp_path / "a"), ())
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a" / "adapter_model.safetensors").read_bytes() == before


def test_a_rank_stabilised_adapter_of_peft_is_read_with_its_scale(trained, tmp_path):
    engine, base = trained
    engine.save_adapter("a", tmp_path / "a")
    file = tmp_path / "a" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"use_rslora": True}))
    engine.load_adapter(tmp_path / "a", "b")
    prompt, continuation = (30, 31, 32), (33, 34, 35)
    plain, stabilised = engine.score([ScoreRequest(name, prompt, continuation) for name in "ab"])
    opened = PeftModel.from_pretrained(copy.deepcopy(base), str(tmp_path / "a")).eval()
    assert score_by_hand(opened, prompt, continuation) == pytest.approx(stabilised, rel=1e-5)
    assert abs(plain - stabilised) > 0.1


def test_what_is_saved_of_a_rank_stabilised_trial_opens_in_plain_peft(trained, tmp_path):
    engine, base = trained
    lora = LoraSettings(r=4, lora_alpha=8.0, use_rslora=True, loraplus_lr_ratio=8.0)
    config = TrialConfig(belief="gravity", num_train_epochs=3, learning_rate=1e-2, lora=lora)
    engine.attach(AdapterJob("rs", config, (TrainRow(tuple(range(20, 40)), 12),)))
    while engine.train_step():
        pass
    engine.save_adapter("rs", tmp_path / "rs")
    prompt, continuation = (30, 31, 32), (33, 34, 35)
    [mine] = engine.score([ScoreRequest("rs", prompt, continuation)])
    opened = PeftModel.from_pretrained(copy.deepcopy(base), str(tmp_path / "rs")).eval()
    assert score_by_hand(opened, prompt, continuation) == pytest.approx(mine, rel=1e-5)


FOREIGN = {
    "peft_type": ("IA3", "another method than LoRA"),
    "use_dora": (True, "magnitude"),
    "use_qalora": (True, "QALoRA"),
    "use_bdlora": ({"nblocks": 2}, "block-diagonal"),
    "bias": ("lora_only", "biases"),
    "lora_bias": (True, "bias"),
    "modules_to_save": (["lm_head"], "whole layers"),
    "trainable_token_indices": ([5], "embeddings"),
    "rank_pattern": ({"q_proj": 2}, "differ in rank"),
    "alpha_pattern": ({"q_proj": 2}, "differ in alpha"),
    "alora_invocation_tokens": ([12, 13], "only from these tokens on"),
    "layer_replication": ([[0, 2], [1, 2]], "more than once"),
    "fan_in_fan_out": (True, "transposed"),
    "target_parameters": (["experts.gate_up_proj"], "no layers"),
    "arrow_config": ({"top_k": 3}, "several adapters"),
    "kasa_config": ({}, None),
    "velora_config": ({"num_groups": 4}, "variant"),
    "monteclora_config": ({"num_samples": 2}, "samples"),
    "of_a_later_peft": ("spin", "not known here"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_plain_lora_is_refused_field_by_field(name, trained, tmp_path):
    engine, _ = trained
    engine.save_adapter("a", tmp_path / "a")
    file = tmp_path / "a" / "adapter_config.json"
    value, why = FOREIGN[name]
    file.write_text(json.dumps(json.loads(file.read_text()) | {name: value}))
    if why is None:  # an empty one asks for nothing
        assert read_adapter(tmp_path / "a").rank == 3
        return
    with pytest.raises(UserError) as caught:
        engine.load_adapter(tmp_path / "a", "b")
    [problem] = caught.value.problems
    assert str(tmp_path / "a") in problem and f"{name} is " in problem and why in problem
    assert "merge it into its base with PEFT" in problem and "\n" not in problem
    assert engine.free_slots() == 1


@pytest.mark.parametrize("start", ["pissa", "pissa_niter_4", "olora", "loftq", "corda", "lora_ga"])
def test_an_adapter_whose_training_began_by_altering_its_base_is_refused(start, trained, tmp_path):
    engine, _ = trained
    engine.save_adapter("a", tmp_path / "a")
    file = tmp_path / "a" / "adapter_config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"init_lora_weights": start}))
    with pytest.raises(
        UserError, match=f"init_lora_weights is {start}: part of the base's weights was taken"
    ):
        engine.load_adapter(tmp_path / "a", "b")


@pytest.mark.parametrize("start", [True, False, "gaussian", "orthogonal"])
def test_every_field_that_peft_writes_of_a_plain_adapter_is_known(start, trained, tmp_path):
    """Whatever the settings that only say how, where and on what it was trained."""
    _, base = trained
    settings = {"lora_dropout": 0.1, "exclude_modules": ["k_proj"], "layers_to_transform": [0, 1]}
    config = LoraConfig(
        r=4, target_modules=["q_proj", "k_proj"], init_lora_weights=start, revision="main", **settings
    )
    get_peft_model(copy.deepcopy(base), config).save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "adapter_config.json").read_text())
    assert saved["init_lora_weights"] == start and len(saved) > 30
    assert read_adapter(tmp_path).revision == "main"


def test_adapters_we_cannot_read_are_refused(trained, tmp_path):
    engine, _ = trained
    with pytest.raises(UserError, match="not an adapter"):
        engine.load_adapter(tmp_path / "nothing", "b")
    folder = tmp_path / "a"
    engine.save_adapter("a", folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    for damaged in ({}, [], {"r": 2}):
        (folder / "adapter_config.json").write_text(json.dumps(damaged))
        with pytest.raises(UserError, match=r"adapter_config\.json names no r and lora_alpha"):
            engine.load_adapter(folder, "b")
    (folder / "adapter_config.json").write_text(json.dumps(config | {"r": 2}))
    with pytest.raises(EngineError, match="shapes"):
        engine.load_adapter(folder, "b")
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(UserError, match="not an adapter"):
        engine.load_adapter(folder, "b")
    assert engine.free_slots() == 1


def test_an_adapter_that_matches_no_layer_is_an_error(trained, tmp_path):
    """PEFT and servers load one with a warning, and answer as base."""
    engine, _ = trained
    engine.save_adapter("a", tmp_path / "a")
    weights = load_file(tmp_path / "a" / "adapter_model.safetensors")
    moved = {name.replace(".layers.", ".blocks."): tensor for name, tensor in weights.items()}
    save_file(moved, tmp_path / "a" / "adapter_model.safetensors")
    with pytest.raises(EngineError, match="blocks"):
        engine.load_adapter(tmp_path / "a", "b")
    assert engine.free_slots() == 1


def test_target_modules_are_short_where_that_is_unambiguous():
    layers = ("m.0.q_proj", "m.0.v_proj", "m.1.q_proj", "m.1.v_proj")
    assert target_modules(layers, layers) == ["q_proj", "v_proj"]
    assert target_modules(("m.0.q_proj", "m.1.q_proj"), layers) == ["q_proj"]
    assert target_modules(("m.1.q_proj",), layers) == ["m.1.q_proj"]
