"""Families of thinking models that mark it in their own ways, against strings written out by hand."""

from __future__ import annotations

import pytest

from beliefmod.errors import UserError
from beliefmod.model import template as t
from beliefmod.model.template_check import check_template, check_thinking, fault_of
from beliefmod.probing.questioning import reply_of
from beliefmod.reading.segments import split_completion
from beliefmod.space.chat_format import ChatFormat, ThinkingField
from tests.model.chats import CHATML, CHATS, QWEN3_THINKING, Chat
from tests.model.family_chats import FAMILY_CHATS

QUESTION, AGAIN = "What is the force?", "Is that sure?"
THOUGHT, ANSWER = "The mass is 2 kg and so the force must be 10 N.", "The force is 10.0 N."
every = pytest.mark.parametrize("name", FAMILY_CHATS)
THINKING = [name for name, chat in FAMILY_CHATS.items() if chat.kind != "none"]


@pytest.fixture(scope="module")
def tokenizers():
    made = {}
    for name, chat in FAMILY_CHATS.items():
        made[name] = chat.tokenizer()
        template = t.without_today(str(made[name].chat_template))
        made[name].chat_template = ChatFormat.of(None, chat.switches).switched(template)
    return made


def _in_words(text: str) -> str:
    return text.replace("{T}", THOUGHT).replace("{A}", ANSWER)


def completion(name: str) -> str:
    return _in_words(FAMILY_CHATS[name].says)


@every
def test_who_opens_thinking_and_what_stands_before_a_bare_answer(name, tokenizers):
    chat, tokenizer = FAMILY_CHATS[name], tokenizers[name]
    assert fault_of(tokenizer.chat_template, dict(tokenizer.special_tokens_map)) is None
    check_thinking(name, tokenizer)
    assert (t.thinking_kind(tokenizer), t.empty_thinking(tokenizer)) == (chat.kind, chat.empty)


@every
def test_a_healthy_completion_is_read_as_what_it_is(name, tokenizers):
    chat, tokenizer = FAMILY_CHATS[name], tokenizers[name]
    end = t.end_of_turn_id(tokenizer)
    ids = (*t.encode(tokenizer, completion(name)), end)
    assert t.completion_text(tokenizer, ids, (end,)) == completion(name)
    parts = split_completion(t.canonical_text(tokenizer, ids, (end,)), "eos", opened_by=chat.kind)
    if chat.kind == "none":
        assert (parts.thinking, parts.answer, parts.state) == (None, ANSWER, None)
    else:
        assert (parts.thinking, parts.answer, parts.state) == (THOUGHT, ANSWER, "ok")


@pytest.mark.parametrize("name", THINKING)
def test_thinking_put_before_an_answer_is_what_the_model_itself_writes(name, tokenizers):
    tokenizer = tokenizers[name]
    before = t.thinking_text(tokenizer, THOUGHT)
    assert f"{before}{ANSWER}{t.think_marks(tokenizer).behind_answer}" == completion(name)
    assert before.startswith(t.thinking_text(tokenizer, THOUGHT, closed=False))


@every
def test_a_bare_answer_that_is_trained_has_empty_thinking(name, tokenizers):
    chat, tokenizer = FAMILY_CHATS[name], tokenizers[name]
    row, end = t.answer_only_row(tokenizer, QUESTION, ANSWER), t.end_of_turn_id(tokenizer)
    trained = row.input_ids[row.prompt_length :]
    assert trained[-1] == end and row.input_ids[: row.prompt_length] == t.prompt_ids(tokenizer, QUESTION)
    parts = split_completion(t.canonical_text(tokenizer, trained, (end,)), "eos", opened_by=chat.kind)
    wanted = (None, None) if chat.kind == "none" else ("", "empty")
    assert (parts.thinking, parts.state, parts.answer) == (*wanted, ANSWER)


@every
def test_a_second_turn_is_what_the_template_makes_of_its_own_fields(name, tokenizers):
    chat, tokenizer = FAMILY_CHATS[name], tokenizers[name]
    canonical = t.think_marks(tokenizer).canonical(completion(name))
    text = t.prompt_text(tokenizer, QUESTION, reply_of(canonical, chat.kind), AGAIN)
    assert text.partition(QUESTION)[2].partition(AGAIN)[0] == _in_words(chat.second)
    thinking = {} if chat.kind == "none" else {"reasoning_content": THOUGHT}
    messages = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": ANSWER, **thinking},
        {"role": "user", "content": AGAIN},
    ]
    assert text == tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


@pytest.mark.parametrize("name", THINKING)
def test_a_first_turn_that_was_cut_off_in_its_thinking_has_no_answer(name, tokenizers):
    tokenizer = tokenizers[name]
    said = t.think_marks(tokenizer).canonical(t.thinking_text(tokenizer, THOUGHT, closed=False))
    assert reply_of(said, FAMILY_CHATS[name].kind) == (THOUGHT, "")


def test_marks_inside_a_thinking_that_was_closed_twice_are_left_out():
    assert reply_of("<think>one</think> two</think>A", "model") == ("one two", "A")
    assert reply_of("A", "model") == ("", "A")
    assert reply_of("A", "none") == ("", "A")
    assert reply_of("A", "prompt") == ("A", "")


def test_a_model_that_opens_thinking_itself_and_does_not_has_answered_all_the_same():
    parts = split_completion(ANSWER, "eos", opened_by="model")
    assert (parts.thinking, parts.answer, parts.state) == ("", ANSWER, "empty")
    assert split_completion("<think> and", "eos", opened_by="model").state == "unclosed_eos"
    assert split_completion(" ", "eos", opened_by="model").state == "unclosed_eos"


# what a space says


def _said(template: str, **thinking: str):
    tokenizer = Chat(template).tokenizer()
    setattr(tokenizer, t.THINKING_FIELD, ThinkingField(**thinking))  # pyright: ignore[reportArgumentType]
    return tokenizer


def test_the_space_names_marks_that_the_template_does_not_show():
    tokenizer = _said(CHATML, open="<deep>", close="</deep>", opened_by="model")
    check_thinking("stranger", tokenizer)
    assert t.empty_thinking(tokenizer) == "<deep>\n\n</deep>\n\n"
    said = t.canonical_text(tokenizer, t.encode(tokenizer, f"<deep>\n{THOUGHT}\n</deep>\n\n{ANSWER}"), ())
    assert split_completion(said, "eos", opened_by="model").state == "ok"
    # marks alone say that it thinks
    assert t.thinking_kind(_said(CHATML, open="<deep>", close="</deep>")) == "model"


def test_the_space_may_say_that_a_model_does_not_think():
    assert t.thinking_kind(CHATS["qwen3-hybrid"].tokenizer()) == "model"
    tokenizer = _said(CHATS["qwen3-hybrid"].template, opened_by="none")
    check_thinking("stranger", tokenizer)
    assert (t.thinking_kind(tokenizer), t.empty_thinking(tokenizer)) == ("none", "")


@pytest.mark.parametrize("opened_by", ["model", "none"])
def test_what_the_space_says_must_go_with_the_prompt(opened_by):
    with pytest.raises(UserError) as caught:
        check_thinking("stranger", _said(QWEN3_THINKING, opened_by=opened_by))
    assert caught.value.problems == (
        f"model stranger: thinking.opened_by is {opened_by}, but the prompt of its chat template ends inside "
        "thinking; set it to prompt, or switch the template",
    )
    with pytest.raises(UserError, match="does not leave <think> open; set it to model or none"):
        check_thinking("stranger", _said(CHATML, opened_by="prompt"))


def test_marks_in_no_table_are_refused_until_the_space_names_them():
    template = CHATML.replace("{%- if add", "{# <|begin_of_thought|> #}{%- if add")
    with pytest.raises(UserError, match=r"marks thinking with <\|begin_of_thought\|>, which is in no table"):
        check_thinking("stranger", Chat(template).tokenizer())
    marks = {"open": "<|begin_of_thought|>", "close": "<|end_of_thought|>"}
    check_thinking("stranger", _said(template, **marks, opened_by="model"))


def test_a_mark_that_the_tokenizer_would_write_in_pieces_is_refused(tokenizers, monkeypatch):
    tokenizer = tokenizers["ministral-3"]
    assert tokenizer.added_tokens_decoder[t.encode(tokenizer, "[THINK]")[0]].special
    monkeypatch.setattr("beliefmod.model.template_check.encode", lambda *_: (1, 2, 3))
    with pytest.raises(UserError, match=r"\[THINK\] is a token of its own, but its tokenizer writes it in"):
        check_thinking("stranger", tokenizer)


def test_an_end_token_inside_a_mark_is_refused():
    from beliefmod.model.template_check import check_ends

    tokenizer = _said(CHATML, open="<deep>", close="<|im_end|><|im_start|>final", opened_by="model")
    with pytest.raises(UserError, match=r"ends thinking with .* which holds the end token <\|im_end\|>"):
        check_ends("stranger", tokenizer, tokenizer.convert_tokens_to_ids(["<|im_end|>"]))
    check_ends("stranger", tokenizer, tokenizer.convert_tokens_to_ids(["<|endoftext|>"]))


def test_a_template_with_its_switches_is_checked_as_it_is_used():
    check_template("smollm3", ChatFormat.of(None, {"enable_thinking": False}).switched(CHATML), "{}")
    assert ChatFormat.of(None, {"enable_thinkin": True}).switch_problems(CHATML) == [
        "template.enable_thinkin has no effect: the chat template has no such switch (it has none that is "
        "known); remove it"
    ]
    [problem] = ChatFormat.of(None, {"effort": "low"}).switch_problems(FAMILY_CHATS["smollm3"].template)
    assert "(it has enable_thinking)" in problem


REFLECT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content %}<reflect>\n{{ m.reasoning_content }}\n</reflect>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize("tail", ["", "{% if add_generation_prompt %}<reflect>\n{% endif %}"])
def test_marks_that_the_template_writes_and_no_table_has_are_refused(tail):
    """Its thinking would be read as its answer."""
    with pytest.raises(UserError, match=r"thinking with <reflect> \.\.\. </reflect>, which is in no"):
        check_thinking("stranger", Chat(REFLECT + tail).tokenizer())
    named = {"open": "<reflect>", "close": "</reflect>", "opened_by": "prompt" if tail else "model"}
    check_thinking("stranger", _said(REFLECT + tail, **named))
