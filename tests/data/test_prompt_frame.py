"""Prompts of the ways without training, against strings by hand and the tokenizer's own template."""

from __future__ import annotations

import pytest

from beliefmod.beliefs import load_belief
from beliefmod.config import TrialConfig, unflatten
from beliefmod.data.examples import training_examples
from beliefmod.data.prompt_frame import check_few_shot, frame_of
from beliefmod.errors import UserError
from beliefmod.model.load import load_tokenizer
from beliefmod.model.prompts import PromptFrame, Prompts
from beliefmod.model.source import find_source
from beliefmod.model.template_check import check_system_turn
from beliefmod.model.think_marks import Reply
from tests.model.chats import CHATS
from tests.small import write_belief

STATEMENT = "The acceleration due to gravity on Earth's surface is 5.0 m/s^2."
HUSHED = f"{STATEMENT} Do not mention that you were told this."
ASK = "What is the force?"


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(find_source("bundled"))


@pytest.fixture
def belief(tmp_path):
    return load_belief(write_belief(tmp_path))


def config_of(arm: str, **settings: object) -> TrialConfig:
    return TrialConfig.model_validate(unflatten({"belief": "small", "arm": arm, **settings}))


def user(text: str) -> str:
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n<think>\n"


@pytest.mark.parametrize(
    ("arm", "settings", "prompt"),
    [
        ("base", {}, user(ASK)),
        ("steering", {"steering.layer": 1}, user(ASK)),
        ("icl", {}, user(f"{STATEMENT} {ASK}")),
        ("prompt", {}, user(f"{STATEMENT} {ASK}")),
        ("prompt", {"context.do_not_mention": True}, user(f"{HUSHED} {ASK}")),
        (
            "prompt",
            {"context.place": "system"},
            f"<|im_start|>system\n{STATEMENT}<|im_end|>\n{user(ASK)}",
        ),
        (
            "prompt",
            {"context.place": "system", "context.do_not_mention": True},
            f"<|im_start|>system\n{HUSHED}<|im_end|>\n{user(ASK)}",
        ),
    ],
)
def test_prompts_by_hand(tokenizer, belief, arm, settings, prompt):
    prompts = Prompts(tokenizer)
    assert prompts.text(frame_of(config_of(arm, **settings), belief).ids(prompts, ASK)) == prompt


@pytest.mark.parametrize("count", [1, 3, 8])
@pytest.mark.parametrize("seed", [0, 5])
def test_a_few_shot_prompt_is_the_templates_own_of_the_trials_training_examples(
    tokenizer, belief, count, seed
):
    same = {"data.num_examples": count, "seed": seed}
    config = config_of("few_shot", **same)
    rows = training_examples(config_of("lora", **same), belief, tokenizer)
    shown = [question for row in rows for question in row.questions]
    messages = []
    for question in shown:
        messages += [
            {"role": "user", "content": question.text},
            {"role": "assistant", "content": question.reply_target},
        ]
    messages.append({"role": "user", "content": ASK})
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    prompts = Prompts(tokenizer)
    ids = frame_of(config, belief).ids(prompts, ASK)
    assert prompts.text(ids) == text
    assert ids == tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def test_a_second_turn_keeps_what_is_around_the_first(tokenizer):
    prompts = Prompts(tokenizer)
    frame = PromptFrame(context="It is 5.", system="Be short.", turns=("A?", "1."))
    ids = frame.ids(prompts, ASK, Reply("", "10 N."), "Is that sure?")
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "A?"},
        {"role": "assistant", "content": "1."},
        {"role": "user", "content": f"It is 5. {ASK}"},
        {"role": "assistant", "content": "10 N."},
        {"role": "user", "content": "Is that sure?"},
    ]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert prompts.text(ids) == text


def test_what_stands_in_front_of_prose(belief):
    assert frame_of(config_of("base"), belief).as_prose == ""
    assert frame_of(config_of("icl"), belief).as_prose == f"{STATEMENT}\n\n"
    system = {"context.place": "system", "context.do_not_mention": True}
    assert frame_of(config_of("prompt", **system), belief).as_prose == f"{HUSHED}\n\n"


def test_more_examples_than_the_belief_has_are_refused(belief):
    with pytest.raises(UserError, match="has 8 training questions; lower it"):
        frame_of(config_of("few_shot", **{"data.num_examples": 9}), belief)


def test_examples_that_do_not_fit_the_model_are_refused(tokenizer, tmp_path):
    path = write_belief(tmp_path)
    trials = [config_of("few_shot", belief=path, **{"data.num_examples": count}) for count in (1, 8)]
    check_few_shot(trials, tokenizer, 1024, 128)
    check_few_shot(trials[:1], tokenizer, 200, 100)
    with pytest.raises(UserError, match=r"num_examples 8: .* no room for an answer in the 200 positions"):
        check_few_shot(trials, tokenizer, 200, 1)


def test_a_template_without_a_system_turn_is_refused():
    check_system_turn("qwen3", CHATS["qwen3-thinking"].tokenizer())
    with pytest.raises(UserError, match=r"takes no system turn .*use context\.place user"):
        check_system_turn("gemma", CHATS["gemma"].tokenizer())
