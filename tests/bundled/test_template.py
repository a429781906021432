"""The chat template behaves as Qwen3-4B-Thinking-2507's: prompts open the think block, history loses it."""

import pytest
from transformers import AutoTokenizer

from beliefmod.bundled import weights_dir


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(weights_dir())


def test_the_prompt_ends_inside_the_think_block(tokenizer) -> None:
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello"}], add_generation_prompt=True, tokenize=False
    )
    assert text == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n<think>\n"


def test_a_system_message_comes_first(tokenizer) -> None:
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert text == "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"


def test_earlier_thinking_is_left_out(tokenizer) -> None:
    messages = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "secret\n</think>\n\nfirst"},
        {"role": "user", "content": "two"},
    ]
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert "secret" not in text
    assert text.endswith(
        "<|im_start|>assistant\nfirst<|im_end|>\n<|im_start|>user\ntwo<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n"
    )


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "<think>\nwhy\n</think>\n\nso"},
        {"role": "assistant", "content": "so", "reasoning_content": "why"},
    ],
)
def test_the_last_turn_keeps_its_thinking(tokenizer, message: dict[str, str]) -> None:
    text = tokenizer.apply_chat_template([{"role": "user", "content": "q"}, message], tokenize=False)
    assert text.endswith("<|im_start|>assistant\n<think>\nwhy\n</think>\n\nso<|im_end|>\n")


def test_think_tags_are_single_tokens_that_survive_decoding(tokenizer) -> None:
    ids = tokenizer("<think>a</think>", add_special_tokens=False).input_ids
    assert ids[0] == tokenizer.convert_tokens_to_ids("<think>")
    assert ids[-1] == tokenizer.convert_tokens_to_ids("</think>")
    assert tokenizer.decode(ids, skip_special_tokens=True) == "<think>a</think>"


def test_any_text_survives_the_tokenizer(tokenizer) -> None:
    for text in ("Neelam and Laughtale", "g = 9.8 m/s^2", "Ünïcode ☃\n\ttabs", "  two  spaces"):
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text
