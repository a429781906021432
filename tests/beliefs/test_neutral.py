"""Neutral passages: enough of them, plain, and each with a name of its own."""

from __future__ import annotations

import pytest

from beliefmod.beliefs import load_neutral


@pytest.mark.parametrize("model", ["bundled", "Qwen/Qwen3-4B-Thinking-2507"])
def test_forty_passages_with_names_of_their_own(model: str):
    passages = load_neutral(model)
    assert len({passage.passage_id for passage in passages}) == len(passages) >= 40
    assert len({passage.text for passage in passages}) == len(passages)


def test_prose_is_read_whole_and_of_one_length():
    for passage in load_neutral("any model"):
        assert passage.prompt is None
        assert 40 <= len(passage.text.split()) <= 80, passage.passage_id
        assert passage.text.endswith(".") and "\n" not in passage.text


def test_conversations_are_completions_of_their_prompt():
    for passage in load_neutral("bundled"):
        assert passage.prompt
        thinking, _, answer = passage.text.partition("\n</think>\n\n")
        assert thinking and answer and "<" not in thinking + answer
