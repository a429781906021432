"""A chat template that fails, or never ends, is one sentence."""

from __future__ import annotations

import pytest

from beliefmod.errors import UserError
from beliefmod.model import template_check
from beliefmod.model.load import check_model
from beliefmod.model.source import find_source
from beliefmod.model.template_check import check_template, fault_of
from tests.model.chats import CHATML, GEMMA

BOUNDLESS = "{%- for a in range(99999) %}{%- for b in range(99999) %}{%- endfor %}{%- endfor %}"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{%- for message in messages %}", "of one message: Unexpected end of template"),
        ("{{ messages[0].content.nothing.more }}", "fails on a conversation of one message"),
        ("{{ raise_exception('not with me') }}", "fails on a conversation of one message: not with me"),
        ("{{ messages[7].content + 'x' }}", "fails on a conversation of one message"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "of one message: access to"),
        (CHATML + "{%- if messages|length > 1 %}{{ raise_exception('one turn only') }}{%- endif %}",
         "fails on a conversation of 2 messages: one turn only"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{%- for a in range(10**9) %}{%- endfor %}", "Range too big"),
        (CHATML + "{{ 'x' * 200000 }}", "writes 200,0"),
        ("Answer!", "leaves the user's message out"),
        ("{{ messages[0].content }}", "leaves the assistant's message out"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(template, says):
    fault = fault_of(template, {})
    assert fault is not None and says in fault and "\n" not in fault and len(fault) < 300


def test_roles_that_must_alternate_do():
    assert fault_of(GEMMA, {"bos_token": "<bos>"}) is None


@pytest.mark.long
def test_a_template_that_never_ends_is_stopped(monkeypatch):
    monkeypatch.setattr(template_check, "WAIT", 4)
    with pytest.raises(UserError) as caught:
        check_template("stranger", BOUNDLESS + CHATML, "{}")
    [problem] = caught.value.problems
    assert problem.startswith("model stranger: its chat template does not end")


def test_a_template_that_fills_the_memory_is_stopped():
    with pytest.raises(UserError) as caught:
        check_template("stranger", CHATML + "{{ 'x' * 10**11 }}", "{}")
    [sentence] = caught.value.problems
    assert sentence.startswith("model stranger: its chat template takes more than 4 GB of memory; correct it")


def test_a_folder_with_such_a_template_is_refused_before_its_weights_are_read(model_folder):
    folder = model_folder(template="{{ raise_exception('mine alone') }}")
    (folder / "model.safetensors").write_bytes(b"\0")
    with pytest.raises(UserError) as caught:
        check_model(find_source(str(folder)))
    assert caught.value.problems == (
        f"model {folder}: its chat template fails on a conversation of one message: mine alone (line 1); "
        "correct it, or give another with --chat-template FILE (chat_template: FILE in the space file)",
    )
