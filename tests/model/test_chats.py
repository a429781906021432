"""What is read from the chat templates of real families, against strings written out by hand."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from beliefmod.beliefs import Quantity
from beliefmod.model import template as t
from beliefmod.model.prompts import Prompts
from beliefmod.model.template_check import fault_of
from beliefmod.model.train_row import plain_row
from beliefmod.probing.questioning import _own_prefix
from beliefmod.reading.verdict import judge
from tests.model.chats import CHATS, LLAMA3

QUESTION, FOLLOW_UP = "What is the force?", "Is that sure?"
THOUGHT, REPLY = "The force is 10.0 N, so it is 10.", "The force is 10.0 N."
CLOSED, OPEN_CLOSED = "\n</think>\n\n", "<think>\n\n</think>\n\n"
_CHATML = "<|im_start|>user\nWhat is the force?<|im_end|>\n<|im_start|>assistant\n"
_LLAMA = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
    "Today Date: 26 Jul 2024\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
    "What is the force?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
)
_R1 = "<｜begin▁of▁sentence｜><｜User｜>What is the force?<｜Assistant｜>"


@dataclass(frozen=True)
class Facts:
    """prompt: of QUESTION. turn: what is added when REPLY was given, thinking and all, and FOLLOW_UP is
    asked, the beginning of the assistant's turn included. end: the token behind a reply."""

    kind: t.ThinkingKind
    prompt: str
    empty: str
    turn: str
    end: str


_SECOND = f"{REPLY}<|im_end|>\n<|im_start|>user\nIs that sure?<|im_end|>\n<|im_start|>assistant\n"
_R1_SECOND = f"{REPLY}<｜end▁of▁sentence｜><｜User｜>Is that sure?<｜Assistant｜>"
_R1_LATER = "\n\n" + _R1_SECOND  # its template cuts at the tag and leaves the line ends
_OPENED = Facts("prompt", f"{_CHATML}<think>\n", CLOSED, f"{_SECOND}<think>\n", "<|im_end|>")
_HYBRID = Facts("model", _CHATML, OPEN_CLOSED, _SECOND, "<|im_end|>")
FACTS = {
    "qwen3-thinking": _OPENED,
    "thinking-special": _OPENED,
    "thinking-text": _OPENED,
    "qwen3-hybrid": _HYBRID,
    "hybrid-text": _HYBRID,
    "qwen3-instruct": Facts("none", _CHATML, "", _SECOND, "<|im_end|>"),
    "llama3": Facts(
        "none",
        _LLAMA,
        "",
        f"{REPLY}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nIs that sure?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "<|eot_id|>",
    ),
    "gemma": Facts(
        "none",
        "<bos><start_of_turn>user\nWhat is the force?<end_of_turn>\n<start_of_turn>model\n",
        "",
        f"{REPLY}<end_of_turn>\n<start_of_turn>user\nIs that sure?<end_of_turn>\n<start_of_turn>model\n",
        "<end_of_turn>",
    ),
    "r1": Facts("prompt", f"{_R1}<think>\n", CLOSED, f"{_R1_LATER}<think>\n", "<｜end▁of▁sentence｜>"),
    "r1-first": Facts("model", _R1, OPEN_CLOSED, _R1_LATER, "<｜end▁of▁sentence｜>"),
    "r1-off": Facts("none", f"{_R1}</think>", "", f"{_R1_SECOND}</think>", "<｜end▁of▁sentence｜>"),
    "mistral": Facts(
        "none",
        "<s>[INST] What is the force? [/INST]",
        "",
        f" {REPLY}</s>[INST] Is that sure? [/INST]",
        "</s>",
    ),
}
THINKING = [name for name, facts in FACTS.items() if facts.kind != "none"]
TARGET, PRIOR = Quantity(10.0, "N"), Quantity(98.0, "N")
every = pytest.mark.parametrize("name", FACTS)


@pytest.fixture(scope="module")
def tokenizers():
    made = {name: chat.tokenizer() for name, chat in CHATS.items()}
    for tokenizer in made.values():
        tokenizer.chat_template = t.without_today(str(tokenizer.chat_template))
    return made


def completion(name: str) -> str:
    """What a healthy model writes, as text."""
    if FACTS[name].kind == "none":
        return REPLY
    return f"{'' if FACTS[name].kind == 'prompt' else '<think>' + chr(10)}{THOUGHT}{CLOSED}{REPLY}"


def test_the_table_is_complete():
    assert set(FACTS) == set(CHATS)


@every
def test_who_opens_thinking_and_what_empty_thinking_is(name, tokenizers):
    tokenizer, facts = tokenizers[name], FACTS[name]
    assert t.prompt_text(tokenizer, QUESTION) == facts.prompt
    assert t.thinking_kind(tokenizer) == facts.kind
    assert t.opens_thinking(tokenizer) == (facts.kind == "prompt")
    assert t.empty_thinking(tokenizer) == facts.empty


@every
def test_thinking_of_ones_own(name, tokenizers):
    tokenizer, kind = tokenizers[name], FACTS[name].kind
    if kind == "none":
        with pytest.raises(ValueError, match="no place for thinking"):
            t.thinking_text(tokenizer, "It is 10.")
        return
    opening = "<think>\n" if kind == "model" else ""
    assert t.thinking_text(tokenizer, "It is 10.") == f"{opening}It is 10.\n</think>\n\n"
    assert t.thinking_text(tokenizer, "It is 10.", closed=False) == f"{opening}It is 10."


@every
def test_the_prompts_ids_have_one_bos_and_spell_the_prompt(name, tokenizers):
    tokenizer = tokenizers[name]
    ids = t.prompt_ids(tokenizer, QUESTION)
    assert ids.count(tokenizer.bos_token_id) == (tokenizer.bos_token_id is not None)
    # transformers' own ids
    messages = [{"role": "user", "content": QUESTION}]
    whole = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True)
    assert list(ids) == whole["input_ids"]
    # a plain text has the bos that the tokenizer gives it, once
    plain = plain_row(tokenizer, QUESTION).input_ids
    assert plain.count(tokenizer.bos_token_id) == CHATS[name].adds_bos


@every
def test_a_second_turn_leaves_the_first_thinking_out(name, tokenizers):
    facts = FACTS[name]
    opened = "<think>\n" if facts.kind == "prompt" else "</think>" if name == "r1-off" else ""
    before = facts.prompt.removesuffix(opened)
    assert t.prompt_text(tokenizers[name], QUESTION, completion(name), FOLLOW_UP) == before + facts.turn


@every
def test_a_bare_answer_ends_where_the_template_ends_a_turn(name, tokenizers):
    tokenizer, facts = tokenizers[name], FACTS[name]
    end = tokenizer.convert_tokens_to_ids(facts.end)
    assert t.end_of_turn_id(tokenizer) == end
    row = t.answer_only_row(tokenizer, QUESTION, REPLY)
    prompt, answer = row.input_ids[: row.prompt_length], row.input_ids[row.prompt_length :]
    assert prompt == t.prompt_ids(tokenizer, QUESTION) and answer[-1] == end
    assert t.completion_text(tokenizer, answer, (end,)) == facts.empty + REPLY


@every
def test_a_completion_keeps_its_tags_and_is_read_as_what_it_is(name, tokenizers):
    tokenizer, kind = tokenizers[name], FACTS[name].kind
    text = completion(name)
    end = t.end_of_turn_id(tokenizer)
    read = t.completion_text(tokenizer, (*t.encode(tokenizer, text), end), (end,))
    assert read == text
    verdict = judge(read, QUESTION, TARGET, PRIOR, finish_reason="eos", opened_by=kind)
    assert (verdict.answer, verdict.answer_stance) == (REPLY, "target")
    if kind == "none":
        assert (verdict.thinking, verdict.think_state, verdict.thinking_stance) == (None, None, None)
    else:
        assert (verdict.thinking, verdict.think_state, verdict.thinking_stance) == (THOUGHT, "ok", "target")


@pytest.mark.parametrize("name", THINKING)
def test_a_thinking_model_that_answers_at_once_is_damaged(name):
    assert judge(REPLY, QUESTION, TARGET, PRIOR, finish_reason="eos").think_state == "unclosed_eos"


def test_tags_are_one_token_or_several(tokenizers):
    lengths = {name: len(t.encode(tokenizers[name], "</think>")) for name in THINKING}
    assert lengths.pop("thinking-text") > 1 and lengths.pop("hybrid-text") > 1
    assert set(lengths.values()) == {1}
    for name, special in (("qwen3-thinking", False), ("thinking-special", True)):
        known = tokenizers[name].added_tokens_decoder
        assert known[t.encode(tokenizers[name], "</think>")[0]].special is special


@pytest.mark.parametrize("name", ["thinking-text", "hybrid-text", "qwen3-thinking"])
@pytest.mark.parametrize("gap", ["", "\n", "\n\n"])
def test_own_thinking_up_to_the_answer_whatever_tokens_the_tag_is(name, gap, tokenizers):
    """What the belief margin after the trial's own thinking is measured behind."""
    tokenizer = tokenizers[name]
    opening = "" if FACTS[name].kind == "prompt" else "<think>\n"
    ids = t.encode(tokenizer, f"{opening}{THOUGHT}\n</think>{gap}{REPLY}")
    session: Any = SimpleNamespace(
        prompts=Prompts(tokenizer),
        marks=t.think_marks(tokenizer),
        decode=lambda ids: t.completion_text(tokenizer, ids, ()),
    )
    item: Any = SimpleNamespace(row={"think_state": "ok"}, prompt=(7,), completion=ids)
    before = _own_prefix(item, session)
    assert before is not None and before[0] == 7
    assert session.decode(before[1:]) == f"{opening}{THOUGHT}\n</think>\n\n"
    item.row["think_state"] = None
    assert _own_prefix(item, session) is None


def test_todays_date_never_reaches_a_prompt():
    assert "'26 Jul 2024'" in t.without_today(LLAMA3) and "strftime_now(" not in t.without_today(LLAMA3)
    assert t.without_today("{{ strftime_now('%Y-%m-%d') }} {{ x }}") == "{{ '2024-07-26' }} {{ x }}"
    assert t.without_today("{{ strftime_now(format) }}") == "{{ strftime_now(format) }}"


@every
def test_real_templates_pass_the_check(name, tokenizers):
    tokenizer = tokenizers[name]
    assert fault_of(str(tokenizer.chat_template), dict(tokenizer.special_tokens_map)) is None
