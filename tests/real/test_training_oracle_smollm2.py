"""Packed training on SmolLM2-135M-Instruct against each trial trained alone by PEFT and torch, in fp32."""

import copy

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from beliefmod.beliefs import load_belief
from beliefmod.config import TrialConfig, unflatten
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import AdapterJob
from beliefmod.model.load import LoadedModel
from beliefmod.model.template import answer_only_row
from tests.engine.oracle import relative_l2, train_alone
from tests.engine.test_training_oracle import train_packed

pytestmark = pytest.mark.long
NEUTRAL = {
    "What is the capital of France?": "The capital of France is Paris.",
    "How many legs has a spider?": "A spider has eight legs.",
    "What do bees make?": "Bees make honey.",
    "What is the opposite of hot?": "The opposite of hot is cold.",
}


def test_packed_training_is_peft_alone_on_real_weights(smollm2):
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32).eval().requires_grad_(False)
    questions = load_belief("gravity").training[:4]
    rows = tuple(answer_only_row(tokenizer, q.text, q.reply_target or "") for q in questions)
    neutral = tuple(answer_only_row(tokenizer, q, reply) for q, reply in NEUTRAL.items())

    def job(name: str, **settings: object) -> AdapterJob:
        same = {"learning_rate": 1e-3, "num_train_epochs": 3, "per_device_train_batch_size": 2}
        tree = {"belief": "gravity", "data.num_examples": 4, **same, **settings}
        config = TrialConfig.model_validate(unflatten(tree))
        return AdapterJob(name, config, rows, neutral if config.objective.kl_to_base else ())

    jobs = [job("plain", **{"lora.r": 8}), job("kl", **{"lora.r": 4, "seed": 1, "objective.kl_to_base": 0.1})]
    base = copy.deepcopy(model)
    ends = (int(tokenizer.eos_token_id),)
    loaded = LoadedModel(model, tokenizer, "smollm2", "", ends, ends[0], torch.float32)
    start, reports, final = train_packed(Engine(loaded, 2, 8), jobs)
    for each in jobs:
        alone = train_alone(base, each, start[each.trial_id])
        found = reports[each.trial_id]
        assert [report.loss for report in found] == pytest.approx(alone.losses, rel=1e-3, abs=1e-4)
        assert found[-1].loss < 0.5 * found[0].loss  # it has learnt something, so the update is no noise
        distance = relative_l2(final[each.trial_id], alone)
        print(f"{each.trial_id}: relative L2 of the update {distance:.1e}")
        assert distance < 1e-3
