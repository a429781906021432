"""The script for one GPU, at tiny size on the CPU: both sides do the same steps and write as many tokens."""

from pathlib import Path

import pytest
import torch

from benchmarks.gpu import Plan, arguments, baseline_trial, engine_trials, main
from benchmarks.random_model import SHAPES, write_random_model


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    torch.set_num_threads(1)
    write_random_model(tmp_path, SHAPES["tiny"])
    return Plan(
        model_folder=str(tmp_path),
        shape="tiny",
        trials=3,
        rows=6,
        epochs=2,
        rank=4,
        prompts=3,
        prompt_tokens=7,
        max_new_tokens=5,
        batch=2,
        slots=2,
    )


def test_prompts_have_the_length_asked_for(plan: Plan):
    prompts = plan.prompt_ids()
    assert [len(prompt) for prompt in prompts] == [7, 7, 7]
    assert len(set(prompts)) == 3


def test_the_engines_side_does_every_trial_whatever_the_slots(plan: Plan):
    found = engine_trials(plan)
    assert found["steps"] == 3 * 2 * 2
    assert found["generated"] == 3 * 3 * 5
    assert found["load"] > 0 and found["train"] > 0 and found["generate"] > 0


@pytest.mark.slow
def test_the_baseline_does_the_same_for_one_trial(plan: Plan):
    pytest.importorskip("trl", reason="the baseline is not installed: pip install -e '.[bench]'")
    found = baseline_trial(plan)
    assert (found["steps"], found["generated"]) == (2 * 2, 3 * 5)


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu"])
    with pytest.raises(SystemExit, match="PyTorch sees no GPU here; give --tiny"):
        main()


def test_tiny_makes_everything_small_and_the_default_is_a_4b_model():
    assert arguments([]).shape == "qwen3-4b"
    assert arguments(["--tiny", "--trials", "16"]).trials == 3
    shape = SHAPES["qwen3-4b"]
    hidden, size = shape.hidden_size, shape.head_dim
    attention = hidden * size * (2 * shape.num_attention_heads + 2 * shape.num_key_value_heads)
    linear = shape.num_hidden_layers * (attention + 3 * hidden * shape.intermediate_size)
    # Qwen3-4B: 3.633e9 parameters in linear layers, 3.890e8 in the embedding
    assert linear == pytest.approx(3.633e9, rel=1e-3)
    assert shape.vocab_size * hidden == pytest.approx(3.890e8, rel=1e-3)
