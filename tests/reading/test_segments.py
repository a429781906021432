"""Think states."""

from __future__ import annotations

import pytest

from beliefmod.reading.segments import THINK_STATES, split_completion

THOUGHT = "I think about it for a while."


@pytest.mark.parametrize(
    ("completion", "finish", "state", "answer"),
    [
        (f"{THOUGHT}\n</think>\n\nIt is 5.", "eos", "ok", "It is 5."),
        (f"{THOUGHT}\n</think>\n\nIt is 5.<|im_end|>", "eos", "ok", "It is 5."),
        (f"{THOUGHT}\n</think>\n\nIt is 5.", "length", "ok", "It is 5."),
        (f"<think>\n{THOUGHT}\n</think>\n\nIt is 5.", "eos", "ok", "It is 5."),
        (f"\n <think>{THOUGHT}</think>5", "eos", "ok", "5"),
        ("\n</think>\n\nIt is 5.", "eos", "empty", "It is 5."),
        ("one two three four</think>It is 5.", "eos", "empty", "It is 5."),
        ("one two three four five</think>It is 5.", "eos", "ok", "It is 5."),
        (THOUGHT, "length", "unclosed_length", ""),
        (THOUGHT, "eos", "unclosed_eos", ""),
        (THOUGHT, None, "unclosed_eos", ""),
        ("", "eos", "unclosed_eos", ""),
        (f"{THOUGHT}</think>a</think>b", "eos", "multi_close", "b"),
        (f"{THOUGHT}</think>a <think> b", "eos", "reopened", "a"),
        (f"{THOUGHT}</think>a <think> b</think> c", "eos", "reopened", "c"),
        (f"<think>{THOUGHT}<think></think>c", "eos", "reopened", "c"),
        (f"{THOUGHT}<think>never closed", "eos", "unclosed_eos", ""),
        (f"{THOUGHT}</think>", "eos", "empty_final", ""),
        (f"{THOUGHT}</think>\n\n<|im_end|>", "eos", "empty_final", ""),
        (f"{THOUGHT}</think>\n**.", "eos", "empty_final", "**."),
        ("</think>", "eos", "empty_final", ""),
    ],
)
def test_the_state_of_the_think_block(completion: str, finish: str | None, state: str, answer: str) -> None:
    parts = split_completion(completion, finish)
    assert (parts.state, parts.answer) == (state, answer)
    assert parts.state in THINK_STATES


def test_split_at_the_last_close() -> None:
    assert split_completion("a</think>b</think>c").thinking == "a</think>b"


def test_tokens_of_thinking_leave_tags_out() -> None:
    assert split_completion("a b c</think>d</think>e").thinking_tokens == 4


def test_a_model_without_thinking_has_no_block_to_break() -> None:
    for text, finish in (("It is 5 N.", "eos"), ("It is 5 N.", "length"), ("", "eos")):
        parts = split_completion(f"{text}<end_of_turn>\n", finish, opened_by="none")
        assert (parts.thinking, parts.state, parts.thinking_tokens) == (None, None, 0)
        assert parts.answer == text


@pytest.mark.parametrize("text", ["I add one and one.\n</think>\n\n2", "<think>\nI add one and one."])
def test_tags_where_none_are_expected_are_read_as_ever(text: str) -> None:
    assert split_completion(text, "eos", opened_by="none") == split_completion(text, "eos")
