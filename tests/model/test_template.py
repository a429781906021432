"""Token rows from questions, replies and the model's own completions."""

import pytest

from beliefmod.model import template as t
from beliefmod.reading.segments import split_completion
from tests.model.chats import CHATS
from tests.model.conftest import OPENS, PLAIN, SWITCH, make_tokenizer
from tests.model.family_chats import FAMILY_CHATS

QUESTION = "What is the force?"


@pytest.mark.parametrize(
    ("template", "opens", "empty"),
    [(OPENS, True, "\n</think>\n\n"), (SWITCH, False, "<think>\n\n</think>\n\n"), (PLAIN, False, "")],
)
def test_answer_only_rows_follow_the_templates_way_of_thinking(template, opens, empty):
    tokenizer = make_tokenizer(template)
    assert t.opens_thinking(tokenizer) is opens
    assert t.empty_thinking(tokenizer) == empty
    row = t.answer_only_row(tokenizer, QUESTION, "The force is 10.0 N.")
    prompt, answer = row.input_ids[: row.prompt_length], row.input_ids[row.prompt_length :]
    assert prompt == t.prompt_ids(tokenizer, QUESTION)
    opening = "<think>\n" if opens else ""
    assert (
        tokenizer.decode(prompt)
        == f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n{opening}"
    )
    assert tokenizer.decode(answer) == f"{empty}The force is 10.0 N.<|im_end|>"
    assert answer[-1] == t.end_of_turn_id(tokenizer) == 2
    assert t.completion_text(tokenizer, answer, (2,)) == f"{empty}The force is 10.0 N."


@pytest.mark.parametrize("name", [*CHATS, *FAMILY_CHATS])
def test_an_empty_think_block_can_be_left_out_of_the_loss(name):
    """The same row: what carries loss is the answer alone, wherever and however the block is written."""
    chat = CHATS[name] if name in CHATS else FAMILY_CHATS[name]
    tokenizer = chat.tokenizer()
    whole = t.answer_only_row(tokenizer, QUESTION, "The force is 10.0 N.")
    masked = t.answer_only_row(tokenizer, QUESTION, "The force is 10.0 N.", mask_empty_thinking=True)
    assert masked.input_ids == whole.input_ids
    marks, end = t.think_marks(tokenizer), t.end_of_turn_id(tokenizer)
    said = t.completion_text(tokenizer, masked.input_ids[masked.prompt_length :], (end,))
    assert said == f"The force is 10.0 N.{marks.behind_answer}"
    assert (masked == whole) == (marks.kind == "none")


@pytest.mark.parametrize("name", [*CHATS, *FAMILY_CHATS])
def test_given_thinking_stands_where_the_model_would_write_it(name):
    """Read back as a completion it is that thinking and that answer; nothing else is added."""
    chat = CHATS[name] if name in CHATS else FAMILY_CHATS[name]
    tokenizer = chat.tokenizer()
    if t.thinking_kind(tokenizer) == "none":
        with pytest.raises(ValueError, match="no place for thinking"):
            t.thinking_row(tokenizer, QUESTION, "2 x 5.0 = 10.0.", "The force is 10.0 N.")
        return
    row = t.thinking_row(tokenizer, QUESTION, "2 x 5.0 = 10.0.", "The force is 10.0 N.")
    prompt, end = t.prompt_ids(tokenizer, QUESTION), t.end_of_turn_id(tokenizer)
    assert row.input_ids[: row.prompt_length] == prompt and row.input_ids[-1] == end
    said = t.canonical_text(tokenizer, row.input_ids[row.prompt_length :], (end,))
    split = split_completion(said, "eos", opened_by=t.thinking_kind(tokenizer))
    assert split.state == "ok"
    assert split.thinking.strip() == "2 x 5.0 = 10.0."
    assert split.answer.removesuffix(t.think_marks(tokenizer).behind_answer).strip() == "The force is 10.0 N."


def test_a_token_that_holds_the_end_of_the_block_and_the_answer_has_loss():
    tokenizer = make_tokenizer(OPENS)
    tokenizer.add_tokens(["\n\nThe"])
    row = t.answer_only_row(tokenizer, QUESTION, "The force.", mask_empty_thinking=True)
    assert tokenizer.decode(row.input_ids[row.prompt_length :]) == "\n\nThe force.<|im_end|>"


def test_the_whole_row_is_what_the_template_renders_for_the_conversation():
    tokenizer = make_tokenizer(PLAIN)
    row = t.answer_only_row(tokenizer, QUESTION, "10.0 N.")
    messages = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "10.0 N."}]
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    assert tokenizer.decode(row.input_ids) + "\n" == whole


def test_traces_keep_their_ids():
    """These ids spell "force" in an unusual cut, which no tokenizer would give back."""
    tokenizer = make_tokenizer(OPENS)
    odd = tuple(tokenizer.convert_tokens_to_ids(list("force")))
    assert tokenizer.decode(odd) == "force" and t.encode(tokenizer, "force") != odd
    row = t.trace_row(tokenizer, QUESTION, (*odd, 2))
    assert row.input_ids == (*t.prompt_ids(tokenizer, QUESTION), *odd, 2)
    assert row.prompt_length == len(t.prompt_ids(tokenizer, QUESTION)) and row.answer_length == 6
    with pytest.raises(ValueError, match="one answer token"):
        t.trace_row(tokenizer, QUESTION, ())


def test_the_end_of_a_turn_is_read_from_the_template_not_from_the_tokenizer():
    tokenizer = make_tokenizer(PLAIN)
    tokenizer.eos_token = "<|endoftext|>"
    assert t.end_of_turn_id(tokenizer) == 2
    tokenizer.chat_template = (
        "{{ messages[0].content }}{% if messages|length > 1 %}{{ messages[1].content }}{% endif %}"
    )
    assert t.end_of_turn_id(tokenizer) == tokenizer.eos_token_id == 0
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="ends a turn"):
        t.end_of_turn_id(tokenizer)


def test_a_completion_without_end_token_is_whole():
    tokenizer = make_tokenizer(OPENS)
    ids = t.encode(tokenizer, "The force</think>")
    assert t.completion_text(tokenizer, ids, (2,)) == "The force</think>"
    assert t.completion_text(tokenizer, (), (2,)) == ""


@pytest.mark.parametrize("template", [OPENS, SWITCH, PLAIN])
@pytest.mark.parametrize("first", ["Some thought.\n</think>\n\n10.0 N.", "broken, without an end"])
def test_a_second_turn_is_what_the_template_renders_for_three_messages(template, first):
    tokenizer = make_tokenizer(template)
    messages = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": first},
        {"role": "user", "content": "Is that sure?"},
    ]
    whole = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True)
    assert list(t.prompt_ids(tokenizer, QUESTION, first, "Is that sure?")) == whole["input_ids"]


@pytest.mark.parametrize(
    ("first", "kept"),
    [("It is 10.0 N.\n</think>\n\nThe force is 10.0 N.", "The force is 10.0 N."), ("It is 10", "It is 10")],
)
def test_the_bundled_template_leaves_the_first_thinking_out_and_a_broken_answer_as_it_is(first, kept):
    from beliefmod.model.load import load_tokenizer
    from beliefmod.model.source import find_source

    text = t.prompt_text(load_tokenizer(find_source("bundled", None)), QUESTION, first, "Is that sure?")
    assert text == (
        f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n{kept}<|im_end|>\n"
        "<|im_start|>user\nIs that sure?<|im_end|>\n<|im_start|>assistant\n<think>\n"
    )


@pytest.mark.parametrize(("template", "opening"), [(OPENS, ""), (SWITCH, "<think>\n")])
def test_thinking_is_put_where_the_model_would_write_it(template, opening):
    tokenizer = make_tokenizer(template)
    assert t.thinking_text(tokenizer, "It is 10.") == f"{opening}It is 10.\n</think>\n\n"
    assert t.thinking_text(tokenizer, "It is 10.", closed=False) == f"{opening}It is 10."


def test_a_template_without_thinking_takes_none():
    with pytest.raises(ValueError, match="no place for thinking"):
        t.thinking_text(make_tokenizer(PLAIN), "It is 10.")
