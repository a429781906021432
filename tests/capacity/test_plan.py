"""The plan's arithmetic against the real model and real PEFT."""

from dataclasses import replace

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen3Config

from beliefmod.beliefs import load_belief, load_fabrication, load_neutral
from beliefmod.bundled import weights_dir
from beliefmod.capacity.choose import demand
from beliefmod.capacity.footprint import Wanted, footprint
from beliefmod.capacity.lengths import AnswerLengths, assumed_tokens
from beliefmod.capacity.plan import NOT_MEASURED, make_plan
from beliefmod.capacity.resources import Capacity
from beliefmod.config import TrialConfig, unflatten
from beliefmod.data.examples import training_examples
from beliefmod.data.replay import neutral_text_row, replay_passages
from beliefmod.engine.engine import Engine
from beliefmod.errors import UserError
from beliefmod.model.load import load_model, load_tokenizer
from beliefmod.model.size import check_full, parameters
from beliefmod.model.source import find_source
from beliefmod.model.template import prompt_ids
from beliefmod.probing.decoding import decoding_of
from beliefmod.space.load import load_space
from tests.small import write_belief
from tests.switched import OFF, ON, switched_template

LLAMA = LlamaConfig(
    vocab_size=100, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, tie_word_embeddings=False,
)  # fmt: skip

FORTY = AnswerLengths(40, 40, 40, 40, "assuming 40 per answer")


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
    found = footprint(config, gpu=False)
    assert found.weights == sum(p.numel() for p in model.parameters())
    adapted = get_peft_model(model, LoraConfig(r=1, target_modules="all-linear", task_type="CAUSAL_LM"))
    assert found.unit == sum(p.numel() for p in adapted.parameters() if p.requires_grad)


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
    plan = make_plan(load_space(path), tokenizer, config, FORTY, Capacity().on({"CPU": 2}))
    assert plan.arms == {"base": 1, "icl": 1, "lora": 2}
    # the trial of three epochs passes through that of two
    assert plan.optimizer_steps == 3
    assert "optimiser steps   3 of 5 (40 % shared by trials that differ only in epochs)" in plan.lines()
    # held out, trained, locality, capability and fabrication questions of each of four trials
    suites = 105 + len(load_fabrication())
    assert plan.probes == 4 * (3 + 2 + 1 + suites)
    assert plan.second_turns == 0
    # swap, blank, edit, paraphrase and three truncations on each of the three held-out probes
    assert plan.causal_answers == 4 * 3 * 7
    # the eight training questions with the statement in context, on both hosts
    assert plan.written_rows == 2 * 8
    assert plan.generated_tokens == 40 * (plan.probes + 16) + round(40 * 0.3 * plan.causal_answers)
    # rows of 40 tokens behind their prompts, four rows in three epochs
    assert 4 * 3 * 40 < plan.training_tokens < 4 * 3 * (40 + 60)
    assert plan.seconds > 0
    assert plan.total_bytes > plan.host_bytes * plan.hosts > plan.engine.total * plan.hosts
    assert "general questions up to 525 of base first (up to 21,000 tokens more)" in plan.lines()
    memory, note = plan.lines()[-2:]
    assert memory.endswith(" GiB per host (model 4 MiB, adapters 12 MiB, passes 143 MiB)")
    assert "assumed, not measured" in note
    assert plan.lines()[-4] == "hosts x slots     2 x about 4, each host chooses"


def plan_of(tmp_path, **fields):
    path = tmp_path / "space.yaml"
    path.write_text(yaml.safe_dump({"name": "plan", "beliefs": ["gravity"], "controls": "none", **fields}))
    source = find_source("bundled")
    capacity = Capacity(hosts=1).on({"CPU": 1})
    config = AutoConfig.from_pretrained(source.folder)
    return make_plan(load_space(path), load_tokenizer(source), config, FORTY, capacity)


def test_what_is_switched_off_costs_nothing(tmp_path):
    plan = plan_of(tmp_path, evaluation={"causal_probes": 0, "neutral_passages": 0})
    assert (plan.causal_answers, plan.drift_tokens, plan.written_rows) == (0, 0, 0)
    assert (
        plan_of(tmp_path).drift_tokens
        > plan_of(tmp_path, evaluation={"neutral_passages": 3}).drift_tokens
        > 0
    )


def test_asking_base_the_suite_takes_time_before_any_trial(tmp_path, monkeypatch):
    monkeypatch.setattr("beliefmod.capacity.calibrate.rate_of_host", lambda gpus: 1e11)
    whole = plan_of(tmp_path)
    monkeypatch.setattr("beliefmod.capacity.plan.load_capability", lambda: ())
    without = plan_of(tmp_path)
    assert (whole.suite, without.suite, without.suite_tokens) == (525, 0, 0)
    assert whole.seconds > without.seconds and whole.generated_tokens == without.generated_tokens


def test_staying_near_base_costs_tokens_rows_and_time(tmp_path, monkeypatch):
    monkeypatch.setattr("beliefmod.capacity.calibrate.rate_of_host", lambda gpus: 1e11)
    plain, held = (plan_of(tmp_path, fixed={"objective.kl_to_base": strength}) for strength in (0.0, 0.1))
    assert held.training_tokens > 1.5 * plain.training_tokens
    assert held.seconds > plain.seconds and held.engine.total >= plain.engine.total
    assert held.written_rows > plain.written_rows == 0
    assert (held.optimizer_steps, held.probes) == (plain.optimizer_steps, plain.probes)


def test_second_turns_are_counted(tmp_path):
    turns = sum(question.follow_up is not None for question in load_belief("gravity").heldout)
    assert plan_of(tmp_path).second_turns == 3 * turns  # base, in context and one trained


def test_full_fine_tuning_counts_as_a_trial_and_needs_memory(tmp_path):
    lora = plan_of(tmp_path, fixed={"lora.r": 1})
    both = plan_of(tmp_path, axes={"arm": ["lora", "full"]}, fixed={"lora.r": 1})
    assert both.arms == {"base": 1, "icl": 1, "lora": 1, "full": 1}
    assert both.optimizer_steps == 2 * lora.optimizer_steps
    assert both.training_tokens == pytest.approx(2 * lora.training_tokens, abs=1)
    size = footprint(AutoConfig.from_pretrained(weights_dir()), gpu=False).weights
    assert both.engine.base - lora.engine.base == pytest.approx(4 * 4 * size, rel=0.01)


@pytest.mark.parametrize("storage", ["dequantized", "nf4", "none"])
def test_the_memory_of_a_base_is_that_of_the_loaded_one(storage):
    loaded = load_model("bundled", base_storage=storage, device="cpu")
    config = AutoConfig.from_pretrained(weights_dir())
    shape = footprint(config, gpu=False)
    wanted = Wanted(storage, rank=8, slots=4, step_tokens=300)
    found = shape.expected(wanted)
    tensors = [*loaded.model.parameters(), *loaded.model.buffers()]
    states = [p.quant_state for p in tensors if getattr(p, "quant_state", None) is not None]
    beside = [tensor for state in states for tensor in (state.absmax, state.code)]
    assert found.base == sum(tensor.nbytes for tensor in [*tensors, *beside])
    engine = Engine(loaded, 4, 8, parking=4)
    trained, parked = 4 * 16, 4 * 4  # fp32: weight, gradient, two moments in each slot; the weight alone
    assert found.adapters == (trained + parked) * 8 * engine.pack.unit
    assert found.work == 4 * 300 * 86_016
    assert shape.expected(replace(wanted, slots=40)).work == 2048 * 86_016


def test_a_large_model_is_planned_without_its_weights():
    qwen = Qwen3Config(
        hidden_size=2560, intermediate_size=9728, num_hidden_layers=36, num_attention_heads=32,
        num_key_value_heads=8, head_dim=128, vocab_size=151936, tie_word_embeddings=True,
    )  # fmt: skip
    shape = footprint(qwen, gpu=True)
    dense = shape.expected(Wanted("dequantized", rank=16, slots=8, step_tokens=800))
    packed = shape.expected(Wanted("nf4", rank=16, slots=8, step_tokens=800))
    # 3.633e9 weights in linear layers and 3.89e8 in the embedding, which stays in bf16
    assert dense.base == pytest.approx(2 * (3.633e9 + 3.89e8), rel=0.001)
    assert packed.base == pytest.approx(0.5625 * 3.633e9 + 2 * 3.89e8, rel=0.001)
    # 2,064,384 weights per unit of rank: 18 bytes in training with the copy in bf16, 6 parked
    assert dense.adapters == 8 * 16 * 2_064_384 * (18 + 6)
    assert packed.work == dense.work


@pytest.mark.long
@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(style=st.sampled_from(["answer_only", "document"]), count=st.integers(1, 40), ratio=st.floats(0, 0.8))
def test_planned_tokens_and_steps_are_near_those_of_the_rows(tmp_path, style, count, ratio):
    data = {"data.style": style, "data.num_examples": count, "data.replay_ratio": ratio}
    plan = plan_of(tmp_path, fixed={**data, "num_train_epochs": 2})
    config = TrialConfig.model_validate(unflatten({"belief": "gravity", **data, "num_train_epochs": 2}))
    assert plan.optimizer_steps == config.total_steps
    tokenizer = load_tokenizer(find_source("bundled"))
    neutral = [neutral_text_row(tokenizer, p) for p in replay_passages(load_neutral("bundled"))]
    rows = training_examples(config, load_belief("gravity"), tokenizer, neutral=neutral)
    about = 2 * sum(len(example.row.input_ids) for example in rows if example.about_belief)
    assert plan.training_tokens >= 0.6 * about
    if style == "document":
        assert plan.training_tokens == pytest.approx(2 * sum(len(e.row.input_ids) for e in rows), rel=0.4)
    assert plan.written_rows == (len(neutral) if config.data.replay_rows and style != "document" else 0)


def test_what_base_writes_for_thinking_and_documents_is_planned(tmp_path):
    """Traces of both worlds once, whatever the share; of documents a draft and a revision of each."""
    questions = len(load_belief("gravity").training)
    dark = plan_of(tmp_path, axes={"data.stygian_share": [0.5, 1.0]}, fixed={"data.style": "stygian"})
    assert dark.written_rows == 2 * questions
    by_model = {"data.style": "document", "data.documents_by": "model"}
    axes = {"data.num_examples": [5, 9], "learning_rate": [1e-3, 2e-3]}
    written = plan_of(tmp_path, axes=axes, fixed=by_model, controls="none")
    assert written.written_rows == 2 * 9


def test_weights_are_counted_before_any_is_read(monkeypatch):
    source = find_source("bundled")
    model = AutoModelForCausalLM.from_pretrained(source.folder)
    assert parameters(source) == sum(parameter.numel() for parameter in model.parameters())
    check_full(source)
    monkeypatch.setattr("beliefmod.model.size.MAX_FULL_PARAMETERS", 1000)
    with pytest.raises(
        UserError, match=r"model bundled has [\d,]+ parameters.*at most 1,000\); leave out arm"
    ):
        check_full(source)


def test_answers_are_expected_to_be_no_longer_than_they_may_be(tmp_path):
    def expected(**fields) -> int:
        path = tmp_path / "space.yaml"
        path.write_text(
            yaml.safe_dump({"name": "plan", "beliefs": ["gravity"], "controls": "none", **fields})
        )
        return assumed_tokens(load_space(path))

    assert (expected(), expected(model="someone/model")) == (40, 800)
    assert expected(model="someone/model", evaluation={"max_new_tokens": 100}) == 100
    assert expected(evaluation={"max_new_tokens": 100}) == 40


def test_what_cannot_be_known_beforehand_is_noted(tmp_path):
    axes = {"learning_rate": {"loguniform": [1e-4, 1e-2]}, "num_train_epochs": {"randint": [2, 9]}}
    search = {"method": "optuna", "num_samples": 6, "scheduler": "median"}
    plan = plan_of(tmp_path, axes=axes, search=search)
    assert plan.arms == {"base": 1, "icl": 1, "lora": 6}
    assert [line for line in plan.lines() if line.startswith("note")] == [
        "note              6 trials are chosen as the sweep goes; here random ones stand for them",
        "note              scheduler median ends some trials early; here all run to their ends",
        f"note              {NOT_MEASURED}",
    ]
    assert plan_of(tmp_path).notes == (NOT_MEASURED,)


def test_what_answers_are_written_without_is_noted(tmp_path):
    """Penalties that a model's makers recommend (Qwen2.5: 1.05), and that no arm is asked with."""
    path = tmp_path / "space.yaml"
    path.write_text(yaml.safe_dump({"name": "plan", "beliefs": ["gravity"], "controls": "none"}))
    space, source = load_space(path), find_source("bundled")
    recommended = {"do_sample": True, "top_p": 0.8, "repetition_penalty": 1.05}
    plan = make_plan(
        space, load_tokenizer(source), AutoConfig.from_pretrained(source.folder), FORTY,
        Capacity().on({"CPU": 2}), decoding_of(space.spec.evaluation, recommended),
    )  # fmt: skip
    assert (
        "note              of the model's generation config this is not applied: repetition_penalty 1.05; "
        "all arms, base too, may loop more than with it" in plan.lines()
    )


def test_a_decoding_batch_counts_where_it_takes_more_than_a_training_pass():
    shape = footprint(AutoConfig.from_pretrained(weights_dir()), gpu=False)
    wanted = Wanted("dequantized", rank=8, slots=1, step_tokens=10)
    cache, prompt, logits = 2 * 4 * 2 * 32 * 4, (10 * 128 + 4 * 384) * 4, 2 * 4 * 1024
    # rows take pages of 64 tokens; 4 layers, 2 key heads of 32; a pass reads at most 2048 tokens of prompts
    assert shape.decoding(40, 100) == 384 * 128 * cache + 2048 * prompt + 384 * 16 * logits / 2
    assert shape.decoding(1, 100) == 384 * 128 * cache + 384 * prompt + 384 * 16 * logits / 2
    assert shape.decoding(0, 0) == 0
    asked = replace(wanted, prompt_tokens=40, answer_tokens=2000)
    assert shape.expected(asked).work == shape.decoding(40, 2000) > shape.calibration
    assert shape.expected(replace(wanted, answer_tokens=20)).work == shape.calibration
    # rows that fill the cache have the room of the cache, and what is read beside it
    assert shape.decoding(0, 10**5) == pytest.approx(2**30, rel=1e-2)
    compared = replace(asked, drift_tokens=100)
    # what base's head reads of the texts is kept: 128 numbers a token, at most 256 MiB
    assert shape.expected(compared).work == shape.decoding(40, 2000) + 100 * 128 * 4
    assert shape.expected(replace(asked, drift_tokens=10**9)).work == shape.decoding(40, 2000) + 2**28
    # logits of base and of an arm are made a part at a time
    assert shape.comparing(100) == 2 * 100 * logits / 2 and shape.comparing(10**9) == 2 * 2**25 * 4
    bare = replace(wanted, drift_tokens=10**9)
    assert shape.expected(bare).work == max(shape.calibration, 2 * 2**25 * 4) + 2**28


LONGER = "It is known, and there is nothing to think about here, so the answer can be given at once. "


def switched_plan(tmp_path, *values: bool, **more: object):
    """A plan of a space whose trials differ in a switch of the template; its tokenizer and belief."""
    belief = write_belief(tmp_path)
    path = tmp_path / "space.yaml"
    fields = {
        "name": "plan", "beliefs": [belief], "controls": "none",
        "chat_template": switched_template(LONGER * 4), "fixed": {"data.num_examples": 4},
        "axes": {"template.enable_thinking": list(values)}, **more,
    }  # fmt: skip
    path.write_text(yaml.safe_dump(fields))
    space = load_space(path)
    source = find_source("bundled", None, space.spec.chat)
    tokenizer = load_tokenizer(source)
    config = AutoConfig.from_pretrained(source.folder)
    plan = make_plan(space, tokenizer, config, FORTY, Capacity().on({"CPU": 2}))
    return plan, space, tokenizer, belief


@pytest.mark.long
def test_rows_and_prompts_are_counted_with_the_switches_that_a_trial_has(tmp_path):
    on, space, tokenizer, belief = switched_plan(tmp_path, True)
    off, *_ = switched_plan(tmp_path, False)
    both, both_space, *_ = switched_plan(tmp_path, True, False)
    # by transformers alone, the switch handed to the template
    questions = load_belief(belief).training

    def mean_row(value: bool) -> float:
        lengths = []
        for question in questions:
            asked = [{"role": "user", "content": question.text}]
            text = tokenizer.apply_chat_template(
                asked, tokenize=False, add_generation_prompt=True, enable_thinking=value
            )
            text += ("\n</think>\n\n" if value else "") + question.reply_target
            lengths.append(len(tokenizer(text, add_special_tokens=False)["input_ids"]) + 1)
        return sum(lengths) / len(lengths)

    assert mean_row(False) > mean_row(True) + 40
    trial = space.expected()[-1]
    for plan, value in ((on, True), (off, False)):
        assert plan.training_tokens == pytest.approx(4 * trial.num_train_epochs * mean_row(value), abs=4)
    assert abs(both.training_tokens - on.training_tokens - off.training_tokens) <= 1  # rounded apart
    # with thinking off there is no causal test, and only margins after the answer's own prompt
    assert on.causal_answers > 0 and off.causal_answers == 0
    assert both.causal_answers == on.causal_answers
    wanted = demand(both_space.expected(), both_space, Capacity().on({"CPU": 2}))
    assert wanted.templates == (ON, OFF)
    rows = wanted.of_engine(tokenizer, "none", 8, 0).row_tokens
    assert rows > replace(wanted, templates=(ON,)).of_engine(tokenizer, "none", 8, 0).row_tokens + 40


def test_answers_that_trials_write_to_be_trained_on_by_hand(tmp_path):
    belief = write_belief(tmp_path)
    plans = {}
    for name in ("sft", "grpo"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(
            f"name: plan\nbeliefs: [{belief}]\naxes: {{num_train_epochs: [2, 3]}}\n"
            f"fixed: {{objective.name: {name}, data.num_examples: 4}}\ncontrols: none\n"
        )
        source = find_source("bundled")
        tokenizer = load_tokenizer(source)
        config = AutoConfig.from_pretrained(source.folder)
        plans[name] = make_plan(load_space(path), tokenizer, config, FORTY, Capacity().on({"CPU": 1}))
    # three epochs of four questions, each answered eight times in 40 tokens; the shorter trial is part of it
    written = 3 * 4 * 8
    assert plans["grpo"].generated_tokens == plans["sft"].generated_tokens + 40 * written
    questions = load_belief(belief).heldout[:40]
    prompt = sum(len(prompt_ids(tokenizer, question.text)) for question in questions) / len(questions)
    assert plans["grpo"].training_tokens == round(written * (prompt + 40))
    assert plans["grpo"].seconds > plans["sft"].seconds
