"""Base's first answers against what its chat template shows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from beliefmod.model import template as t
from beliefmod.probing.thinking_guard import contradiction
from tests.model.chats import CHATS
from tests.model.family_chats import FAMILY_CHATS

PLAIN, THOUGHT = "The force is 10 N.", "<think>\nTwo times five.\n</think>\n\nThe force is 10 N."
INSIDE, EMPTY = THOUGHT.removeprefix("<think>\n"), "<think>\n\n</think>\n\nThe force is 10 N."


def marks_of(name: str):
    chat = CHATS[name] if name in CHATS else FAMILY_CHATS[name]
    return t.think_marks(chat.tokenizer())


def answers(*texts: str, finish: str = "eos"):
    return [(text, finish) for text in texts]


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("qwen3-thinking", [INSIDE] * 24),
        ("qwen3-thinking", [PLAIN] * 20 + [INSIDE] * 4),  # some that skip it are an arm's own business
        ("qwen3-hybrid", [THOUGHT] * 24),
        ("qwen3-hybrid", [THOUGHT] * 4 + [PLAIN] * 20),
        ("qwen3-instruct", [PLAIN] * 24),
        ("qwen3-instruct", [PLAIN] * 22 + [THOUGHT] * 2),
        ("qwen3-instruct", [EMPTY] * 24),  # Gemma 4 writes an empty channel where thinking is off
        ("qwen3-instruct", [THOUGHT] * 4),  # too few to tell
    ],
)
def test_answers_as_the_template_shows_them_pass(name, texts):
    assert contradiction(answers(*texts), marks_of(name)) is None


def test_a_model_taken_for_one_without_thinking_that_thinks():
    found = contradiction(answers(*[THOUGHT] * 17, *[PLAIN] * 7), marks_of("qwen3-instruct"))
    assert found is not None and found.startswith("base writes <think> in 17 of 24 first answers")
    assert "thinking: {opened_by: model}, or switch thinking off" in found and "\n" not in found
    # also where every answer is cut off in its thinking
    assert contradiction(answers(*["<think> Well,"] * 24, finish="length"), marks_of("qwen3-instruct"))


@pytest.mark.parametrize("kind", ["prompt", "model", "none"])
def test_the_word_of_the_space_stands(kind):
    """What a refusal advises must not be refused again."""
    named = replace(marks_of("qwen3-thinking"), kind=kind)
    texts = answers(*[THOUGHT if kind == "none" else PLAIN] * 24)
    assert contradiction(texts, named) is not None
    assert contradiction(texts, replace(named, stated=True)) is None


def test_marks_of_another_family():
    said = ["[THINK]Two times five.[/THINK]The force is 10 N."] * 24
    for name in ("qwen3-instruct", "qwen3-hybrid"):
        found = contradiction(answers(*said), marks_of(name))
        assert found is not None and "base writes [THINK] in 24 of 24 first answers" in found
        assert 'thinking: {open: "[THINK]", close: ..., opened_by: model}' in found


def test_a_model_that_never_opens_thinking():
    found = contradiction(answers(*[PLAIN] * 24), marks_of("qwen3-hybrid"))
    assert found is not None and "base answers at once in 24 of 24 first answers" in found
    assert "thinking: {opened_by: none}" in found
    # harmony's answer at once is one too
    assert contradiction(answers(*["</think>" + PLAIN] * 24), marks_of("qwen3-hybrid")) is None


def test_a_model_that_never_closes_what_its_prompt_opens():
    found = contradiction(answers(*[PLAIN] * 24), marks_of("qwen3-thinking"))
    assert found is not None and "base never writes </think> in 24 of 24 first answers that it ended" in found
    # what was cut off might have closed it
    assert contradiction(answers(*[PLAIN] * 24, finish="length"), marks_of("qwen3-thinking")) is None
