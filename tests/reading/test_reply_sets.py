"""The hand-written sets of `tests/reading/sets`: every case that developed the rules, and a share of those
that were read at the end only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from beliefmod.beliefs import Answer, Name, Quantity
from beliefmod.beliefs.values.quantity import parse_quantity
from beliefmod.reading.ignorance import confident
from beliefmod.reading.stance import read_answer
from beliefmod.reading.thinking import read_thinking
from tests.reading.sets import choice, ignorance, names

ZEMBLA = "What is the capital of Zembla?"
Case = tuple[Any, str, Any]


def _value(text: str) -> Answer:
    if not text[0].isdigit():
        return Name(text)
    read = parse_quantity(text)
    return Quantity(read.value, read.unit, 0 if text[1] == " " else 1)


def _answers(cases: Sequence[tuple]) -> list[Case]:
    return [((asked[0], _value(asked[1]), _value(asked[2])), said, stance) for asked, said, stance in cases]


def _stance(asked: tuple, said: str) -> str:
    return read_answer(said, *asked).stance


def _thinking(asked: tuple, said: str) -> str:
    return read_thinking(said, *asked)


def _confident(asked: str, said: str) -> bool:
    return confident(said, asked)


TOWN, ELSEWHERE = (ZEMBLA, Name("Zorb"), None), (ZEMBLA, Name("Quill"), None)
UNKNOWN = (*ignorance.UNKNOWN, *ignorance.LATER_UNKNOWN)
CONFIDENT = (*ignorance.CONFIDENT, *ignorance.LATER_CONFIDENT)
SETS = {
    "ignorance": (_stance, [(ELSEWHERE, said, "ignorance") for said in UNKNOWN]),
    "not confident": (_confident, [(ZEMBLA, said, False) for said in UNKNOWN]),
    "an answer all the same": (_stance, [(TOWN, said, "target") for said in CONFIDENT]),
    "confident": (_confident, [(ZEMBLA, said, True) for said in CONFIDENT]),
    "names": (_stance, _answers(names.CASES)),
    "owners": (_stance, _answers(names.OWNERS)),
    "denials": (_stance, _answers(names.DENIALS)),
    "thoughts": (_thinking, _answers(names.THOUGHTS)),
    "multiple choice": (_stance, _answers(choice.CASES)),
}


@pytest.mark.parametrize("name", SETS)
def test_every_case_that_developed_the_rules(name: str) -> None:
    read, cases = SETS[name]
    wrong = [
        (said, label, read(asked, said)) for asked, said, label in cases[::2] if read(asked, said) != label
    ]
    assert not wrong


@pytest.mark.parametrize("name", SETS)
def test_most_cases_that_were_read_at_the_end_only(name: str) -> None:
    read, cases = SETS[name]
    right = sum(read(asked, said) == label for asked, said, label in cases[1::2])
    assert right >= 0.8 * len(cases[1::2])
