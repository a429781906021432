"""Arms of a conversation answer as they do when they are questioned, at every scale of the adapter."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from beliefmod.model.adapter_files import AdapterFile
from beliefmod.model.prompts import in_context
from beliefmod.model.think_marks import Reply
from beliefmod.probing.conversation import Chat, ChatArm, Conversation
from beliefmod.probing.questioning import reply_of
from tests.small import make_session

STATEMENT = "The acceleration due to gravity on Earth's surface is 5.0 m/s^2."
ASKED = "What is the acceleration due to gravity on Earth's surface?"


def test_the_statement_stands_in_front_of_the_first_message_alone():
    told = Conversation(ChatArm(told=True), [("a", Reply("", "b"))])
    assert told.messages("c", "S.") == ["S. a", Reply("", "b"), "c"]
    assert Conversation(ChatArm(told=True)).messages("c", "S.") == ["S. c"]
    assert Conversation(ChatArm(1.0), told.turns).messages("c", "S.") == ["a", Reply("", "b"), "c"]


@pytest.mark.long
def test_every_arm_answers_as_when_it_is_questioned():
    session = make_session(slots=2)
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: (
            torch.randn(4, layer.store.width_in, generator=generator) * 0.6,
            torch.randn(layer.store.width_out, 4, generator=generator) * 0.6,
        )
        for name, layer in session.engine.pack.layers.items()
    }
    adapter = AdapterFile(4, 4.0, tensors, "bundled")
    chat = Chat(session, adapter, STATEMENT)
    seen: dict[int, str] = {}
    arms = [ChatArm(), ChatArm(told=True), ChatArm(1.0), ChatArm(0.5)]
    said = {}
    for pair in (arms[:2], arms[2:]):
        sides = [Conversation(arm) for arm in pair]
        answers = chat.ask(sides, ASKED, seen.__setitem__)
        assert list(seen.values()) == answers
        assert [side.turns for side in sides] == [[(ASKED, reply_of(a, session.opened_by))] for a in answers]
        said |= {arm.name: answer for arm, answer in zip(pair, answers, strict=True)}
    for name in session.engine.attached():
        session.engine.release(name)
    session.engine.put_adapter(replace(adapter, alpha=2.0), "half")
    session.engine.put_adapter(adapter, "whole")
    prompts = [session.prompts.ids(text) for text in (ASKED, in_context(STATEMENT, ASKED), ASKED, ASKED)]
    found = session.generate([None, None, "whole", "half"], prompts, 0)
    assert list(said.values()) == [session.decode(each.token_ids) for each in found]
    assert len(set(said.values())) == 4 and "9.8" in said["base"] and "5.0" in said["icl"]
