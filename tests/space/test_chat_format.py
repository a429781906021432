"""What a space says of a chat: switches of the template, and marks of thinking."""

from __future__ import annotations

import pytest

from beliefmod.errors import UserError
from beliefmod.space.chat_format import OWN, ChatFormat
from beliefmod.space.load import load_space

SPACE = "name: chat\nmodel: smollm2-think\nbeliefs: [gravity]\n"


@pytest.fixture
def space(tmp_path):
    def make(more: str = "", overrides=()):
        path = tmp_path / "space.yaml"
        path.write_text(SPACE + more)
        return load_space(path, overrides).spec

    return make


def test_a_space_that_says_nothing_takes_the_files_of_the_model(space):
    assert space().chat == OWN and OWN.switched("{{ x }}") == "{{ x }}"


def test_switches_and_marks_are_read_from_file_and_command_line(space):
    spec = space("template: {enable_thinking: false, reasoning_effort: low}\nthinking: {opened_by: model}\n")
    assert spec.chat.switches == (("enable_thinking", False), ("reasoning_effort", "low"))
    assert spec.chat.thinking is not None and spec.chat.thinking.opened_by == "model"
    spec = space("", ["template.enable_thinking=true", "thinking.opened_by=none"])
    assert spec.template == {"enable_thinking": True}
    assert spec.thinking is not None and spec.thinking.opened_by == "none"
    again = type(spec).model_validate(spec.model_dump(mode="json"))
    assert again.chat == spec.chat


@pytest.mark.parametrize("value", [False, True, 512, 0.5, "low", 'a "quoted" word'])
def test_a_switch_is_a_constant_of_the_template(value):
    from transformers.utils.chat_template_utils import render_jinja_template

    template = "\n{{ messages[0].content }}{{ switch is defined }} {{ switch }}"
    messages = [[{"role": "user", "content": "asked "}]]
    switched = ChatFormat.of(None, {"switch": value}).switched(template)
    [[given], _] = render_jinja_template(messages, chat_template=template, switch=value)
    [[baked], _] = render_jinja_template(messages, chat_template=switched)
    assert baked == given and given.startswith("\nasked True")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("thinking: {open: <a>}\n", "open and close are given together"),
        ("thinking: {open: <a>, close: <a>}\n", "open and close must differ"),
        ("thinking: {opened_by: nobody}\n", "opened_by"),
        ("thinking: {opnd_by: model}\n", "opnd_by"),
        ("template: {enable-thinking: true}\n", "enable-thinking"),
        ("template: {enable_thinking: {a: 1}}\n", "enable_thinking"),
        ("template: enable_thinking\n", "template"),
    ],
)
def test_what_is_wrong_is_a_sentence_with_its_place(space, more, says):
    with pytest.raises(UserError) as caught:
        space(more)
    assert any(says in problem and "space.yaml:4" in problem for problem in caught.value.problems)
