"""Every chat template that TRL ships, as installed: rendered, read, and compared with what it writes."""

from __future__ import annotations

import re
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from beliefmod.model import template as t
from beliefmod.model.template_check import check_thinking, fault_of
from beliefmod.model.think_marks import Reply
from beliefmod.probing.questioning import reply_of
from beliefmod.reading.segments import split_completion
from beliefmod.space.chat_format import SWITCHES, ChatFormat
from tests.model.chats import Chat

# found, not imported: its import loads what is not needed here
FOLDER = Path(str(distribution("trl").locate_file("trl"))) / "chat_templates"
TEMPLATES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.jinja"))}
OWN = [name for name in TEMPLATES if not name.endswith("_training")]
QUESTION, AGAIN = "What is the force?", "Is that sure?"
THOUGHT, ANSWER = "The mass is 2 kg and so the force must be 10 N.", "The force is 10.0 N."
ASKED: list[dict[str, Any]] = [{"role": "user", "content": QUESTION}]
# TRL's own variants for training are taken to think as the templates that they were made from
KINDS = {
    "prompt": {
        "deepseek_r1_distill", "deepseekv3", "nemotron_3_5_lightning", "nemotron_3_nano", "nemotron_3_super",
        "nemotron_3_ultra", "qwen3_5_think", "qwen3_6", "qwen3_8",
    },
    "model": {
        "glm4moe", "gptoss", "lfm2_2_5", "lfm2_2_5_v2", "lfm2_2_5_vl", "muse_glimmer", "qwen3",
    },
    "none": {
        "cohere", "cohere2", "diffusion_gemma", "gemma", "gemma3", "gemma4", "gemma4_v2", "gemma4_v3",
        "gemma4_v4", "gemma4_v5", "lfm2", "lfm2_v2", "llama3", "llama3_1", "llama3_2", "phi3", "phi3_5",
        "qwen2_5", "qwen2_5_vl", "qwen3_5_nothink", "qwen3_instruct_2507", "qwen3_vl",
    },
    # they take a message in parts only, for they are of models that see
    "refused": {"idefics3", "llava_next", "smolvlm"},
}  # fmt: skip
SWITCHED = {
    ("qwen3", "enable_thinking", False): "none",
    ("qwen3", "enable_thinking", True): "model",
    ("qwen3_5_nothink", "enable_thinking", True): "prompt",
    ("qwen3_5_think", "enable_thinking", False): "none",
    ("qwen3_8", "enable_thinking", False): "none",
    ("qwen3_8", "reasoning_effort", "low"): "prompt",
    ("glm4moe", "enable_thinking", False): "none",
    ("gemma4", "enable_thinking", True): "model",
    ("gemma4_v5", "enable_thinking", True): "model",
    ("gptoss", "reasoning_effort", "high"): "model",
    ("nemotron_3_nano", "enable_thinking", False): "none",
}
# written with their thinking where it is the last turn: the template itself says how its model writes
WRITES_THINKING = [
    "gemma4_v5", "glm4moe", "gptoss", "lfm2_2_5", "lfm2_2_5_v2", "lfm2_2_5_vl", "muse_glimmer",
    "nemotron_3_5_lightning", "nemotron_3_nano", "nemotron_3_super", "nemotron_3_ultra", "qwen3",
    "qwen3_5_think", "qwen3_6", "qwen3_8",
]  # fmt: skip
SPECIAL = re.compile(r"<[|｜][^<>{}'\" ]+[|｜]>|<(?:end|start)_of_turn>|<turn\|>|<\|turn>")
KEEPS_EARLIER_THINKING = {"muse_glimmer", "qwen3_8"}


def kind_of(name: str) -> str:
    [kind] = [kind for kind, names in KINDS.items() if name.removesuffix("_training") in names]
    return kind


def tokenizer_of(name: str, **switches: Any):
    template = TEMPLATES[name]
    special = sorted({*SPECIAL.findall(template)})
    chat = Chat(template, ("<bos>", "<eos>", *special), eos="<eos>", bos="<bos>", pad="<eos>", tags="added")
    tokenizer = chat.tokenizer()
    tokenizer.chat_template = ChatFormat.of(None, switches).switched(t.without_today(template))
    return tokenizer


def render(tokenizer: Any, messages: list[dict[str, Any]], **options: Any) -> str:
    """transformers alone."""
    return tokenizer.apply_chat_template(messages, tokenize=False, **options)


def readable(names):
    return [name for name in names if kind_of(name) != "refused"]


def test_every_template_is_in_the_table():
    assert len(TEMPLATES) >= 70
    assert {name.removesuffix("_training") for name in TEMPLATES} == set().union(*KINDS.values())


@pytest.mark.parametrize("name", TEMPLATES)
def test_who_opens_thinking(name):
    fault = fault_of(TEMPLATES[name], {"bos_token": "<bos>", "eos_token": "<eos>"})
    if kind_of(name) == "refused":
        assert fault == "leaves the user's message out"
        return
    assert fault is None
    tokenizer = tokenizer_of(name)
    check_thinking(name, tokenizer)
    assert t.thinking_kind(tokenizer) == kind_of(name)


@pytest.mark.parametrize(("name", "switch", "value"), SWITCHED)
def test_a_switch_decides_who_opens_thinking(name, switch, value):
    assert t.thinking_kind(tokenizer_of(name, **{switch: value})) == SWITCHED[name, switch, value]


@pytest.mark.parametrize("name", readable(TEMPLATES))
def test_a_switch_that_stands_in_the_template_is_one_that_is_given_to_it(name):
    values = {"reasoning_effort": "low", "thinking_budget": 512}
    for switch in SWITCHES:
        if ChatFormat.of(None, {switch: True}).switch_problems(TEMPLATES[name]):
            continue
        for value in [values[switch]] if switch in values else [True, False]:
            plain, switched = tokenizer_of(name), tokenizer_of(name, **{switch: value})
            messages = [*ASKED, Reply(THOUGHT, ANSWER).message(), *ASKED]
            for asked in (ASKED, messages):
                given = render(plain, asked, add_generation_prompt=True, **{switch: value})
                assert render(switched, asked, add_generation_prompt=True) == given, (switch, value)


@pytest.mark.long
@pytest.mark.parametrize("name", readable(TEMPLATES))
def test_a_second_turn_is_the_templates_own(name):
    tokenizer, kind = tokenizer_of(name), kind_of(name)
    marks = t.think_marks(tokenizer)
    said = ANSWER if kind == "none" else marks.around(THOUGHT) + ANSWER
    text = t.prompt_text(tokenizer, QUESTION, reply_of(marks.canonical(said), marks.kind), AGAIN)
    thinking = {} if kind == "none" else {"reasoning_content": THOUGHT}
    messages = [
        *ASKED,
        {"role": "assistant", "content": ANSWER, **thinking},
        {"role": "user", "content": AGAIN},
    ]
    assert text == render(tokenizer, messages, add_generation_prompt=True)
    # neither an orphan nor thinking twice
    between = text.partition(QUESTION)[2].partition(AGAIN)[0]
    assert between.count(ANSWER) == 1
    assert between.count(marks.open) == between.count(marks.family.close) or marks.family.header
    if not name.endswith("_training"):
        assert (THOUGHT in between) == (name in KEEPS_EARLIER_THINKING)


@pytest.mark.long
@pytest.mark.parametrize("name", readable(TEMPLATES))
def test_what_is_trained_and_what_is_read_agree(name):
    tokenizer = tokenizer_of(name)
    marks, end = t.think_marks(tokenizer), t.end_of_turn_id(tokenizer)
    row = t.answer_only_row(tokenizer, QUESTION, ANSWER)
    trained = row.input_ids[row.prompt_length :]
    parts = split_completion(t.canonical_text(tokenizer, trained, (end,)), "eos", opened_by=marks.kind)
    wanted = (None, None) if marks.kind == "none" else ("", "empty")
    assert trained[-1] == end and (parts.thinking, parts.state, parts.answer) == (*wanted, ANSWER)
    if marks.kind == "none":
        return
    ids = (*t.encode(tokenizer, marks.around(THOUGHT) + ANSWER), end)
    parts = split_completion(t.canonical_text(tokenizer, ids, (end,)), "eos", opened_by=marks.kind)
    assert (parts.thinking, parts.state, parts.answer) == (THOUGHT, "ok", ANSWER)


@pytest.mark.long
@pytest.mark.parametrize("name", WRITES_THINKING)
def test_thinking_stands_where_the_template_itself_writes_it(name):
    switches = {"enable_thinking": True} if name == "gemma4_v5" else {}
    tokenizer = tokenizer_of(name, **switches)
    written = render(tokenizer, [*ASKED, Reply(THOUGHT, ANSWER).message()])
    before = t.prompt_text(tokenizer, QUESTION) + t.thinking_text(tokenizer, THOUGHT)
    assert written.startswith(before + ANSWER)
    end = tokenizer.convert_ids_to_tokens(t.end_of_turn_id(tokenizer))
    behind = written.removeprefix(before + ANSWER).lstrip()
    # GLM's template writes nothing behind a reply: the next turn's header is what ends it
    assert behind == "" if name == "glm4moe" else behind.startswith(end)


def test_harmony_ends_an_answer_and_not_its_thinking():
    tokenizer = tokenizer_of("gptoss")
    assert tokenizer.convert_ids_to_tokens(t.end_of_turn_id(tokenizer)) == "<|return|>"
    marks = t.think_marks(tokenizer)
    two = "<|channel|>analysis<|message|>one<|end|><|start|>assistant<|channel|>analysis<|message|>two<|end|>"
    said = f"{two}<|start|>assistant<|channel|>final<|message|>{ANSWER}"
    assert marks.canonical(said) == f"<think>one\n\ntwo</think>{ANSWER}"
    # an answer at once has thought nothing
    parts = split_completion(
        marks.canonical(f"<|channel|>final<|message|>{ANSWER}"), "eos", opened_by="model"
    )
    assert (parts.thinking, parts.answer, parts.state) == ("", ANSWER, "empty")
    cut = split_completion(marks.canonical("<|channel|>analysis<|message|>We"), "length", opened_by="model")
    assert (cut.thinking, cut.answer, cut.state) == ("We", "", "unclosed_length")
