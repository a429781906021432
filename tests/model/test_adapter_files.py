"""Adapters on disk: PEFT is the judge."""

import copy
import json

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

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
    assert (again.rank, again.alpha, again.base_model) == (first.rank, first.alpha, engine.loaded.name)
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


def test_adapters_we_cannot_use_are_refused(trained, tmp_path):
    engine, _ = trained
    with pytest.raises(UserError, match="not an adapter"):
        engine.load_adapter(tmp_path / "nothing", "b")
    folder = tmp_path / "a"
    engine.save_adapter("a", folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    for change, says in [
        ({"use_dora": True}, "use_dora"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern"),
    ]:
        (folder / "adapter_config.json").write_text(json.dumps(config | change))
        with pytest.raises(UserError, match=says):
            engine.load_adapter(folder, "b")
    (folder / "adapter_config.json").write_text(json.dumps(config | {"r": 2}))
    with pytest.raises(EngineError, match="shapes"):
        engine.load_adapter(folder, "b")
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(UserError, match="not an adapter"):
        engine.load_adapter(folder, "b")
    assert engine.free_slots() == 1


def test_target_modules_are_short_where_that_is_unambiguous():
    layers = ("m.0.q_proj", "m.0.v_proj", "m.1.q_proj", "m.1.v_proj")
    assert target_modules(layers, layers) == ["q_proj", "v_proj"]
    assert target_modules(("m.0.q_proj", "m.1.q_proj"), layers) == ["q_proj"]
    assert target_modules(("m.1.q_proj",), layers) == ["m.1.q_proj"]
