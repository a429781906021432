"""Base's first answers against what its chat template shows."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import yaml

from beliefmod.model import template as t
from beliefmod.model.template_check import check_thinking
from beliefmod.probing.thinking_guard import contradiction
from beliefmod.reading.segments import split_completion
from beliefmod.space.chat_format import ThinkingField
from tests.model.chats import CHATS
from tests.model.family_chats import FAMILY_CHATS

PLAIN, THOUGHT = "The force is 10 N.", "<think>\nTwo times five.\n</think>\n\nThe force is 10 N."
INSIDE, EMPTY = THOUGHT.removeprefix("<think>\n"), "<think>\n\n</think>\n\nThe force is 10 N."

REFLECTED = "<reflect>Two times five.</reflect>The force is 10 N."


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
        ("r1-off", [PLAIN] * 22 + [INSIDE] * 2),
        ("r1-off", ["</think>\n\n" + PLAIN] * 24),  # it closes what its prompt has closed, and answers
        ("qwen3-hybrid", [INSIDE] * 24),  # read as thinking, whoever opened it
        ("qwen3-instruct", ["<b>10 N</b>"] * 24),  # nothing stands behind the mark's end
        ("qwen3-instruct", ["<p>The force is 10 N."] * 24),
        ("qwen3-instruct", [f"<{name}>Two.</{name}> 10 N." for name in "abcdefghijkl"]),
        ("qwen3-instruct", [REFLECTED] * 2 + [PLAIN] * 22),
    ],
)
def test_answers_as_the_template_shows_them_pass(name, texts):
    assert contradiction(answers(*texts), marks_of(name)) is None


def test_a_model_taken_for_one_without_thinking_that_thinks():
    found = contradiction(answers(*[THOUGHT] * 17, *[PLAIN] * 7), marks_of("qwen3-instruct"))
    assert found is not None and found.startswith("base writes <think> in 17 of 24 first answers")
    assert found.endswith("say so in the space file, thinking: {opened_by: model}") and "\n" not in found
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
        assert 'thinking: {open: "[THINK]", close: "[/THINK]", opened_by: model}' in found


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


def advised(found: str) -> list[dict[str, str]]:
    """Every setting of `thinking` that a sentence names in full, as a space file has it."""
    fields = [yaml.safe_load(text)["thinking"] for text in re.findall(r"thinking: \{[^}]*\}", found)]
    return [field for field in fields if "..." not in field.values()]


CONTRADICTED = [
    ("r1-off", [INSIDE] * 24, 2),
    ("r1-off", [THOUGHT] * 24, 1),
    ("qwen3-instruct", [INSIDE] * 3 + [PLAIN] * 21, 2),
    ("qwen3-instruct", ["Two.[/THINK]10 N."] * 24, 2),
    ("qwen3-instruct", ["<|begin_of_thought|>Two.<|end_of_thought|>10 N."] * 24, 1),
    ("qwen3-thinking", ["[THINK]Two times five.[/THINK]The force is 10 N."] * 24, 1),
    ("qwen3-hybrid", [PLAIN] * 24, 1),
    ("qwen3-hybrid", [REFLECTED] * 24, 2),
    ("qwen3-instruct", [REFLECTED] * 24, 2),
    ("qwen3-instruct", ["\n[REASON]\nTwo.\n[/REASON]\n10 N."] * 9 + [PLAIN] * 15, 2),
]


@pytest.mark.parametrize(("name", "texts", "ways"), CONTRADICTED)
def test_what_a_refusal_advises_is_accepted_and_reads_the_answers(name, texts, ways):
    """By the check of the template, by the guard, and by whoever reads the answers."""
    found = contradiction(answers(*texts), marks_of(name))
    assert found is not None and f" of {len(texts)} first answers" in found and "\n" not in found
    fields = advised(found)
    assert len(fields) == ways
    for field in fields:
        tokenizer = CHATS[name].tokenizer()
        setattr(tokenizer, t.THINKING_FIELD, ThinkingField.model_validate(field))
        check_thinking("m", tokenizer)
        marks = t.think_marks(tokenizer)
        read = [marks.canonical(text) for text in texts]
        assert contradiction(answers(*read), marks) is None
        if field.get("opened_by") == "model":
            parts = split_completion(read[0], "eos", opened_by="model")
            assert parts.thinking and parts.answer in ("The force is 10 N.", "10 N.")


def test_thinking_that_is_closed_where_nobody_opened_it():
    found = contradiction(answers(*[INSIDE] * 17, *[PLAIN] * 7), marks_of("r1-off"))
    assert found is not None
    assert found.startswith("base writes </think> behind text in 17 of 24 first answers, but its prompt was")
    # also in answers that were cut off
    assert contradiction(answers(*[INSIDE] * 24, finish="length"), marks_of("r1-off"))


def test_of_an_axis_whose_other_value_opens_thinking_the_value_is_to_go():
    """Of these `opened_by` would be refused: the prompt of the other value ends inside thinking."""
    for texts in ([INSIDE] * 24, [THOUGHT] * 24):
        found = contradiction(answers(*texts), marks_of("r1-off"), prompts_differ=True)
        assert found is not None and "leave this value out of the axis, or sweep it by itself" in found


def test_an_unknown_mark_is_named_with_what_closes_it():
    for name in ("qwen3-instruct", "qwen3-hybrid"):
        found = contradiction(answers(*[REFLECTED] * 20, *[PLAIN] * 4), marks_of(name))
        assert found is not None
        assert found.startswith("base begins 20 of 24 first answers with <reflect>, which is in no table")
        assert 'thinking: {open: "<reflect>", close: "</reflect>", opened_by: model}' in found
    # all of them cut off within it
    cut = answers(*["<x> Well, two"] * 24, finish="length")
    found = contradiction(cut, marks_of("qwen3-instruct"))
    assert found is not None and "24 of 24 first answers with <x>" in found


def test_a_mark_in_no_table_that_is_closed_and_never_opened():
    """A tokenizer may have marks of its own beside a template that knows nothing of them."""
    marks = marks_of("qwen3-instruct")
    thought = "Two times five.</reason>The force is 10 N."
    found = contradiction(answers(*[thought] * 5, *[PLAIN] * 20), marks)
    assert found and "</reason> behind text in 5 of 25" in found and 'open: "<reason>"' in found
    opened = "Use <b>two</b> and <i>five</i>: the force is 10 N."
    assert contradiction(answers(*[opened] * 25), marks) is None
    assert contradiction(answers(thought, *[PLAIN] * 24), marks) is None
