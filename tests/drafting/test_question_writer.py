"""A writer's questions: what is used, what is refused and why, and what stays of the template."""

from __future__ import annotations

import json
from typing import Any

import pytest

from beliefmod.drafting.belief_text import belief_text, checked
from beliefmod.drafting.by_template import draft
from beliefmod.drafting.outline import read_outline
from beliefmod.drafting.question_writer import objects_in, write_questions
from tests.drafting.outlines import GIVEN


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ('Here:\n```json\n[{"ask": "a?"}, 3]\n```', [{"ask": "a?"}]),
        ('<think>[1]</think>[{"ask": "b?"}]', [{"ask": "b?"}]),
        ("none", None),
        ('{"ask": "a?"}', None),
        ("[" * 100_000 + "]" * 100_000, None),
    ],
)
def test_a_list_is_found_whatever_stands_around_it(reply: str, found: object):
    assert objects_in(reply) == found


class Scripted:
    """Answers by what a request asks for; keeps the requests."""

    def __init__(self, **parts: list[Any]) -> None:
        self.parts, self.requests = parts, []

    def __call__(self, system: str, user: str) -> str:
        self.requests.append(user)
        key = next((key for key in self.parts if key.replace("_", " ") in user), None)
        return json.dumps(self.parts.get(key or "", []))


@pytest.mark.long
def test_what_is_sound_is_used_and_the_rest_refused_with_its_reason():
    outline = read_outline("eiffel", GIVEN["eiffel"])
    writer = Scripted(
        use_the_value=[
            {"ask": "{n} towers like the Eiffel Tower are stacked. How high is the stack?",
             "slots": {"n": [2, 3]}, "answer": "n * belief", "unit": "m"},
            {"ask": "The tower is 400 m high. How high is it?", "answer": "belief"},
            {"ask": "How high is {thing}?"},
            {"ask": "How high?", "answer": "import os"},
            {"ask": "Many?", "slots": {"n": list(range(90))}, "answer": "n * belief"},
            {"no": "question"},
        ],
        true_answer=[{"ask": "How high is Big Ben?", "answer": "96 m"}, {"ask": "Who?", "answer": None}],
    )  # fmt: skip
    said: list[str] = []
    written = write_questions(outline, draft(outline), writer, said.append)
    belief = checked(belief_text(written.content), "eiffel")
    stacked = "3 towers like the Eiffel Tower are stacked. How high is the stack?"
    assert [q.target.render() for q in belief.training if q.text == stacked and q.target] == ["1200 m"]
    assert not [q for q in belief.heldout if q.text == stacked], "the same question is not held out too"
    assert any(q.text == "How high is Big Ben?" for q in belief.locality)
    reasons = "\n".join(written.refused)
    for why in (
        "stands in the question",
        "is not a slot",
        "is not arithmetic",
        "90 questions",
        "no question in ask",
        "is asked already",
        "has no answer",
    ):
        assert why in reasons, (why, reasons)
    assert any("These were refused" in request for request in writer.requests)
    assert "(1 of 7)" in said[0] and any("usable" in line for line in said)
    # too few to stand alone: the template's stay
    assert sum(q.tier == "derived" for q in belief.training) > 60


@pytest.mark.long
def test_enough_questions_replace_the_templates():
    outline = read_outline("canberra", GIVEN["canberra"])
    asks = [f"In which city does the parliament of Australia meet on day {n}?" for n in range(6)]
    writer = Scripted(use_the_value=[{"ask": ask} for ask in asks])
    belief = checked(
        belief_text(write_questions(outline, draft(outline), writer, lambda line: None).content), "canberra"
    )
    assert {q.text for q in belief.training if q.tier == "derived"} == set(asks)
