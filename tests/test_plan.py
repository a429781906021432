"""The plan's arithmetic against the real model and real PEFT."""

import pytest
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from beliefmod.bundled import weights_dir
from beliefmod.fleet.resources import Capacity
from beliefmod.model.load import load_tokenizer
from beliefmod.model.source import find_source
from beliefmod.plan import lora_parameters_per_rank, make_plan, model_size
from beliefmod.space_file import load_space
from tests.small import write_belief

LLAMA = LlamaConfig(
    vocab_size=100, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, tie_word_embeddings=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("config", "build"),
    [
        (AutoConfig.from_pretrained(weights_dir()), AutoModelForCausalLM.from_config),
        (LLAMA, LlamaForCausalLM),
    ],
    ids=["bundled", "llama"],
)
def test_sizes_are_those_of_the_model_and_of_peft(config, build):
    model = build(config)
    matrices = sum(p.numel() for p in model.parameters() if p.dim() > 1)
    assert model_size(config) == matrices
    adapted = get_peft_model(model, LoraConfig(r=1, target_modules="all-linear", task_type="CAUSAL_LM"))
    assert lora_parameters_per_rank(config) == sum(p.numel() for p in adapted.parameters() if p.requires_grad)


def test_tokens_and_probes_by_hand(tmp_path):
    belief = write_belief(tmp_path)
    path = tmp_path / "space.yaml"
    path.write_text(
        f"name: plan\nbeliefs: [{belief}]\naxes: {{num_train_epochs: [2, 3]}}\n"
        "fixed: {data.style: own_trace, data.num_examples: 4}\ncontrols: none\n"
        "evaluation: {trained_probes: 2}\n"
    )
    source = find_source("bundled")
    tokenizer = load_tokenizer(source)
    config = AutoConfig.from_pretrained(source.folder)
    plan = make_plan(load_space(path), tokenizer, config, 40, Capacity().on({"CPU": 2}))
    assert plan.arms == {"base": 1, "icl": 1, "lora": 2}
    assert plan.optimizer_steps == 5
    # held out, trained, locality and capability questions of each of four trials
    assert plan.probes == 4 * (3 + 2 + 1 + 63)
    assert plan.generated_tokens == 40 * plan.probes
    # rows of 40 tokens behind their prompts, four rows in five epochs
    assert 4 * 5 * 40 < plan.training_tokens < 4 * 5 * (40 + 60)
    assert plan.seconds > 0
    assert plan.total_bytes > plan.host_bytes * plan.hosts
