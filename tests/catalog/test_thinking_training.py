"""Training of the thinking adapter, on the bundled model: it learns, and goes on where it stopped."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from beliefmod.bundled import weights_dir
from beliefmod.bundled.corpus.document import Document
from beliefmod.catalog.entries import CATALOG
from beliefmod.catalog.thinking.adapter_training import (
    CHECKPOINT,
    ThinkingPlan,
    adapted,
    batches,
    check_folder,
    row,
    train,
)
from beliefmod.catalog.thinking.ask_base import ask_base
from beliefmod.catalog.thinking.relations import openings
from beliefmod.errors import UserError
from beliefmod.model.template import empty_thinking, prompt_text, thinking_kind

ADAPTER = CATALOG["smollm2-think"].adapter
ANSWERS = json.loads((ADAPTER / "answers.json").read_text(encoding="utf-8"))
PLAN = ThinkingPlan(steps=4, tokens=256, rank=4, alpha=8, rate=1e-2)


@pytest.fixture(scope="module")
def folder() -> str:
    return str(weights_dir())


@pytest.fixture(scope="module")
def tokenizer(folder: str) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = (ADAPTER / "chat_template.jinja").read_text(encoding="utf-8")
    return tokenizer


def fresh(folder: str, plan: ThinkingPlan) -> Any:
    return adapted(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), plan)


def trained(folder: str, tokenizer: Any, plan: ThinkingPlan, out: Path, every: int = 10) -> list[float]:
    out.mkdir(exist_ok=True)
    return train(fresh(folder, plan), tokenizer, plan, ANSWERS, out, every)


def test_the_template_is_read_as_thinking_that_the_prompt_opens(tokenizer: Any) -> None:
    assert thinking_kind(tokenizer) == "prompt"
    assert empty_thinking(tokenizer) == "\n</think>\n\n"
    later = prompt_text(tokenizer, "One?", "I think.\n</think>\n\nIt is 1.", "Two?")
    assert later.endswith("<|im_start|>assistant\n<think>\n")
    assert "I think" not in later
    assert "It is 1." in later


def test_the_completion_closes_the_thinking_and_ends_the_turn(tokenizer: Any) -> None:
    prompt, completion = row(tokenizer, Document("One?", "I need it.", "It is 1.", facts=("It is one.",)))
    assert tokenizer.decode(prompt) == prompt_text(tokenizer, "It is one. One?")
    assert tokenizer.decode(completion) == "I need it.\n</think>\n\nIt is 1.<|im_end|>"


def test_no_batch_is_larger_than_planned_and_only_completions_are_learned(tokenizer: Any) -> None:
    for _, batch in zip(range(50), batches(PLAN, tokenizer, ANSWERS), strict=False):
        assert batch.ids.numel() <= PLAN.tokens or len(batch.ids) == 1
        for ids, learn in zip(batch.ids, batch.learn, strict=True):
            text = tokenizer.decode(ids[1:][learn])
            assert text.endswith("<|im_end|>")
            assert "<think>" not in text
            assert text.count("</think>") == 1


def test_the_rate_warms_up_and_falls_to_a_fiftieth() -> None:
    plan = ThinkingPlan(steps=100)
    rates = [plan.rate_at(step) for step in range(100)]
    assert max(rates) == pytest.approx(plan.rate)
    assert rates[0] == pytest.approx(plan.rate / 3)
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[-1] == pytest.approx(plan.rate / 50, rel=0.02)


@pytest.mark.long
def test_an_interrupted_training_ends_in_the_same_adapter(
    folder: str, tokenizer: Any, tmp_path: Path
) -> None:
    whole = trained(folder, tokenizer, PLAN, tmp_path / "whole")
    assert not (tmp_path / "whole" / CHECKPOINT).exists()

    class Stopped(Exception):
        pass

    model = fresh(folder, PLAN)
    taken = 0

    def count(*given: Any) -> None:
        nonlocal taken
        taken += 1
        if taken == 3:
            raise Stopped

    model.get_base_model().model.register_forward_hook(count)
    (tmp_path / "stopped").mkdir()
    with pytest.raises(Stopped):
        train(model, tokenizer, PLAN, ANSWERS, tmp_path / "stopped", every=2)
    assert (tmp_path / "stopped" / CHECKPOINT).exists()
    check_folder(tmp_path / "stopped", PLAN)
    with pytest.raises(UserError, match="begun with seed 0"):
        check_folder(tmp_path / "stopped", replace(PLAN, seed=1))
    assert trained(folder, tokenizer, PLAN, tmp_path / "stopped") == whole
    first, second = (
        load_file(tmp_path / name / "adapter_model.safetensors") for name in ("whole", "stopped")
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    with pytest.raises(UserError, match="no interrupted training"):
        check_folder(tmp_path / "whole", PLAN)


@pytest.mark.long
def test_a_few_steps_lower_the_loss(folder: str, tokenizer: Any, tmp_path: Path) -> None:
    losses = trained(folder, tokenizer, replace(PLAN, steps=20), tmp_path / "out")
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_what_was_written_is_an_adapter_that_peft_loads(folder: str, tokenizer: Any, tmp_path: Path) -> None:
    from peft import PeftModel

    model = fresh(folder, PLAN)
    train(model, tokenizer, PLAN, ANSWERS, tmp_path)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    loaded = PeftModel.from_pretrained(base, str(tmp_path))
    own = {name: weight for name, weight in model.named_parameters() if "lora_" in name}
    read = {name: weight for name, weight in loaded.named_parameters() if "lora_" in name}
    assert own.keys() == read.keys()
    assert all(torch.equal(own[name].bfloat16(), read[name].bfloat16()) for name in own)


def test_the_base_is_asked_every_opening_once_and_chooses_among_the_choices(folder: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    said = ask_base(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), tokenizer)
    assert set(said) == {opening.begun for opening in openings()}
    for opening in openings():
        if opening.choices:
            assert said[opening.begun].strip() in (*opening.choices, "")


def test_the_shipped_adapter_is_small_finite_and_on_every_linear_layer() -> None:
    weights = ADAPTER / "adapter_model.safetensors"
    assert weights.stat().st_size <= 25 * 10**6
    tensors = load_file(weights)
    adapted_layers = {tuple(name.split(".")[4:7]) for name in tensors}
    names = {("self_attn", name) for name in ("q_proj", "k_proj", "v_proj", "o_proj")} | {
        ("mlp", name) for name in ("gate_proj", "up_proj", "down_proj")
    }
    assert adapted_layers == {(str(layer), *name) for layer in range(30) for name in names}
    assert all(tensor.dtype == torch.bfloat16 and tensor.isfinite().all() for tensor in tensors.values())
    assert all(tensor.any() for tensor in tensors.values())
    plan, config = ThinkingPlan(), json.loads((ADAPTER / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["r"], config["lora_alpha"]) == (plan.rank, plan.alpha)
