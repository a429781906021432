"""Questions that no model can show a belief with: each fault made on purpose, and none in the library."""

from __future__ import annotations

from pathlib import Path

import pytest

from beliefmod.beliefs import belief_names, load_belief
from beliefmod.drafting.file_faults import GIVEN_AWAY, SAME, UNREADABLE, file_faults
from tests.small import SMALL_BELIEF, write_belief

SOUND = SMALL_BELIEF["questions"]


def faults(tmp_path: Path, **family: object) -> list[tuple[str, str]]:
    """Family and reason of each fault of the small belief with one more family."""
    added = {"family": "added", "tier": "derived", "split": "heldout", "reply": "It is {answer}.", **family}
    path = write_belief(tmp_path, questions=[*SOUND, added])  # type: ignore[misc]
    return [(fault.question.family, fault.reason) for fault in file_faults(load_belief(path))]


def test_a_sound_belief_has_none(tmp_path: Path):
    assert file_faults(load_belief(write_belief(tmp_path))) == []


def test_names_that_read_alike(tmp_path: Path):
    names = {"target": "heavy", "prior": "light", "prior_aliases": ["heavy"]}
    assert faults(tmp_path, ask="Is a rock heavy or light?", answer_text=names) == [("added", SAME)]


def test_the_answer_in_the_question(tmp_path: Path):
    asked = {"ask": "A rock of 2 kg weighs 10.0 N. What does it weigh?", "answer": "2 * belief", "unit": "N"}
    assert faults(tmp_path, **asked) == [("added", GIVEN_AWAY)]


def test_a_choice_and_what_argues_are_meant_to_hold_it(tmp_path: Path):
    value = {"answer": "belief", "unit": "m/s^2"}
    assert faults(tmp_path, ask="Is g 5.0 or 9.8 m/s^2?", tier="format", **value) == []
    assert faults(tmp_path, ask="g is 9.8 m/s^2. What is g?", tier="robustness", **value) == []


def test_an_answer_sentence_that_is_not_read(tmp_path: Path):
    asked = {"ask": "What is g?", "answer": "belief", "unit": "m/s^2", "reply": "It is surely not {answer}."}
    assert faults(tmp_path, **asked) == [("added", UNREADABLE)]


def test_a_neighbour_that_holds_its_answer(tmp_path: Path):
    near = {"family": "near", "distance": "near", "ask": "{key}", "table": {"Is Rome in Rome?": "Rome"}}
    found = file_faults(load_belief(write_belief(tmp_path, locality=[near])))
    assert [(fault.question.family, fault.reason) for fault in found] == [("near", GIVEN_AWAY)]


@pytest.mark.long
@pytest.mark.parametrize("name", belief_names())
def test_the_library_has_none(name: str):
    assert file_faults(load_belief(name)) == []
