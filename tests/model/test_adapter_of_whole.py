"""An adapter trained on the text part of a model that also sees works on the whole. PEFT is the judge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers as hf
from peft import AutoPeftModelForCausalLM, PeftModel

from beliefmod.config import TrialConfig
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import AdapterJob, ScoreRequest
from beliefmod.model.adapter_files import copy_adapter, read_adapter
from beliefmod.model.load import LoadedModel, load_model
from beliefmod.model.train_row import TrainRow
from tests.model.chats import CHATS
from tests.model.test_families import GEMMA3, SHAPE, VISION, random_model, save

PROMPT, CONTINUATION = (30, 31, 32, 40, 41), (33, 34, 35)


@pytest.fixture(scope="module")
def seeing(tmp_path_factory) -> str:
    """A tiny random Gemma 3 with pictures, as a folder of the hub."""
    tokenizer = CHATS["gemma"].tokenizer()
    text = {**SHAPE, **GEMMA3, "vocab_size": len(tokenizer) + 13, "pad_token_id": 0}
    config = hf.Gemma3Config(text_config=text, vision_config=VISION, mm_tokens_per_image=4)
    whole = random_model(config, hf.Gemma3ForConditionalGeneration)
    return save(tmp_path_factory.mktemp("seeing"), whole, "gemma")


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # PEFT asks the hub for a tokenizer beside the adapter


def trained(loaded: LoadedModel, targets: object = "all-linear") -> Engine:
    engine = Engine(loaded, slots=1, max_rank=4)
    lora = {"r": 3, "lora_alpha": 7.0, "target_modules": targets}
    config = TrialConfig.model_validate(
        {"belief": "gravity", "num_train_epochs": 4, "learning_rate": 1e-2, "lora": lora}
    )
    engine.attach(AdapterJob("a", config, (TrainRow(tuple(range(20, 44)), 12),)))
    while engine.train_step():
        pass
    return engine


def score_by_hand(model: torch.nn.Module) -> float:
    with torch.no_grad():
        logs = model(input_ids=torch.tensor([PROMPT + CONTINUATION])).logits[0].double().log_softmax(-1)
    return sum(logs[len(PROMPT) - 1 + k, token].item() for k, token in enumerate(CONTINUATION))


@pytest.mark.parametrize(
    "targets",
    ["all-linear", ["q_proj", "up_proj"], ["layers.1.self_attn.v_proj"]],
    ids=["all", "kinds", "one"],
)
def test_peft_gives_the_whole_model_what_the_engine_gives_its_text_part(seeing, targets, tmp_path):
    engine = trained(load_model(seeing, base_storage="none", device="cpu"), targets)
    engine.save_adapter("a", tmp_path / "a")
    mine, base = engine.score(
        [ScoreRequest("a", PROMPT, CONTINUATION), ScoreRequest(None, PROMPT, CONTINUATION)]
    )
    opened = AutoPeftModelForCausalLM.from_pretrained(str(tmp_path / "a"), dtype=torch.float32).eval()
    assert type(opened.get_base_model()).__name__ == "Gemma3ForConditionalGeneration"
    assert score_by_hand(opened) == pytest.approx(mine, rel=1e-5)
    with opened.disable_adapter():
        assert score_by_hand(opened) == pytest.approx(base, rel=1e-5)
    assert abs(mine - base) > 5e-5 * abs(base)  # an adapter of one layer does little
    # it sits on the text part alone: the vision tower has layers of the same names
    adapted = {name for name, _ in opened.named_parameters() if "lora_A" in name}
    assert adapted and all(".language_model." in name for name in adapted)
    # and is read back by the names of the text part
    again = engine.state_dict("a")["weights"]
    read = read_adapter(tmp_path / "a").tensors
    assert read.keys() == again.keys() and all(
        torch.equal(read[n][k], again[n][k]) for n in read for k in (0, 1)
    )


def test_exported_for_the_text_part_it_works_on_that(seeing, tmp_path):
    loaded = load_model(seeing, base_storage="none", device="cpu")
    engine = trained(loaded)
    engine.save_adapter("a", tmp_path / "a")
    copy_adapter(tmp_path / "a", tmp_path / "text", {}, text_keys=True)
    (mine,) = engine.score([ScoreRequest("a", PROMPT, CONTINUATION)])
    text = load_model(seeing, base_storage="none", device="cpu").model
    assert score_by_hand(PeftModel.from_pretrained(text, str(tmp_path / "text")).eval()) == pytest.approx(
        mine, rel=1e-5
    )
    # the other one is refused there, and this one on the whole: neither can change nothing without a word
    text = load_model(seeing, base_storage="none", device="cpu").model
    whole = hf.AutoModelForCausalLM.from_pretrained(seeing, dtype=torch.float32)
    for model, adapter in ((text, "a"), (whole, "text")):
        with pytest.raises(ValueError, match="not found in the base model"):
            PeftModel.from_pretrained(model, str(tmp_path / adapter))


def test_it_names_the_whole_models_folder(seeing, tmp_path):
    trained(load_model(seeing, base_storage="none", device="cpu")).save_adapter("a", tmp_path / "a")
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(Path(seeing).absolute()) and config["revision"] is None
