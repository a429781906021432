"""The capability suite asked of base before any trial: level by level, kept in the run, the same for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from beliefmod.beliefs import Question, load_capability
from beliefmod.probing.capability import ask_and_pick
from beliefmod.run.folder import RunFolder
from beliefmod.run.sources import PICK, SUITES, keep_questions, picked, read_pick
from tests.small import make_session

SUITE = load_capability()


class Answers:
    """A base that is right on the families named with a share, on the others always."""

    def __init__(self, **rates: float) -> None:
        self.rates, self.asked = rates, []

    def __call__(self, questions: Sequence[Question], first: int) -> list[dict[str, Any]]:
        assert first == len(self.asked)
        self.asked += questions
        rows = []
        for question in questions:
            same = [q.probe_id for q in SUITE if q.family == question.family]
            share = self.rates.get(question.family, self.rates.get(f"level_{question.level}", 1.0))
            right = same.index(question.probe_id) < share * len(same)
            said = question.correct.render() if right and question.correct else "nothing"
            row = {"probe_id": question.probe_id, "completion": f"It is {said}.", "finish_reason": "eos"}
            rows.append({**row, "tokens": 4})
        return rows


def test_base_is_asked_from_easy_to_hard_until_a_pick_is_good() -> None:
    base = Answers(common_opposites=0.5)
    found = ask_and_pick(SUITE, base, opened_by="none")
    assert {question.level for question in base.asked} == {1, 2}
    assert found["status"] == "within" and found["questions"] >= 100
    right = {answer["probe_id"] for answer in found["answers"] if answer["correct"]}
    asked = picked(SUITE, found)
    assert len(asked) == found["questions"]
    assert sum(question.probe_id in right for question in asked) == found["right"]


def test_a_base_that_knows_everything_is_asked_everything() -> None:
    base = Answers()
    found = ask_and_pick(SUITE, base, opened_by="none")
    assert len(base.asked) == len(SUITE)
    assert (found["status"], found["right"]) == ("above", found["questions"])


def test_no_harder_level_is_asked_of_a_base_that_fails_one() -> None:
    base = Answers(**{f"level_{level}": 0.0 for level in range(1, 7)})
    found = ask_and_pick(SUITE, base, opened_by="none")
    assert {question.level for question in base.asked} == {1, 2}
    assert (found["status"], found["right"]) == ("below", 0) and found["questions"] >= 100


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = make_session()
    made.folder = RunFolder(str(tmp_path_factory.mktemp("run")))
    return made


def test_the_pick_is_written_once_and_read_by_whoever_comes_later(session: Any, tmp_path: Any) -> None:
    questions = session.capability
    kept = read_pick(session.folder)
    assert kept is not None and kept["status"] == "within"
    assert len(questions) == kept["questions"] >= 100
    later = make_session()
    later.folder = session.folder
    later.generate = None  # type: ignore[assignment, method-assign]
    assert later.capability == questions
    child = RunFolder(str(tmp_path))
    keep_questions(session.folder, child)
    assert read_pick(child) == kept


def test_a_run_from_before_levels_asks_its_whole_suite(session: Any, tmp_path: Any) -> None:
    folder = RunFolder(str(tmp_path))
    family = '{family: f, ask: "What is {a} + 1?", slots: {a: [1, 2]}, answer: a + 1, reply: "{answer}"}'
    text = f"name: capability\nquestions:\n  - {family}\n"
    folder.write_bytes(text.encode(), SUITES, "capability.yaml")
    old = make_session()
    old.folder = folder
    assert [question.text for question in old.capability] == ["What is 1 + 1?", "What is 2 + 1?"]
    assert not folder.exists(SUITES, PICK)
