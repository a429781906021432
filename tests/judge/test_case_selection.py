"""Which answers are doubtful: cases decided by hand, and the sample's properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.judge.case_selection import cases, doubtful, sides_in

FORCE = {"target": "50.0 N", "prior": "98.0 N"}
NAME = {"target": "Neelam", "prior": None}


def row(answer: str, stance: str, sides: dict = FORCE, **changes: object) -> dict:
    return {
        "trial_id": "t1", "suite": "belief", "probe_id": "p1", "question": "What force?",
        "answer": answer, "answer_stance": stance, **sides, **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "stance", "sides", "expected"),
    [
        ("The force is 50 N.", "target", FORCE, False),
        ("The force is 98.0 N.", "prior", FORCE, False),
        ("The force is 50 N.", "prior", FORCE, True),
        ("The force is 50 N.", "other", FORCE, True),
        ("The force is 50 N.", "ignorance", FORCE, True),
        ("It could be 50 N or 98 N.", "hedged", FORCE, True),
        ("Normally 98 N, but here 50 N.", "target", FORCE, True),
        ("The force is 70 N.", "other", FORCE, False),
        ("I do not know.", "ignorance", FORCE, False),
        ("It is hard to say.", "hedged", FORCE, False),
        ("The force is fifty newtons.", "target", FORCE, True),
        ("The force is 150 N, 50.9 m, N50.", "other", FORCE, False),
        ("The force is -50 N.", "other", FORCE, False),
        ("In m^50 units.", "other", FORCE, False),
        ("So 50 N.\n\\boxed{98}", "prior", FORCE, True),
        ("So it is 50 N.\n\\boxed{\\text{no answer}}", "target", FORCE, True),
        ("So it is 50 N.\nAnswer: 71 N", "target", FORCE, True),
        ("So it is 50 N.\nAnswer: 50 N", "target", FORCE, False),
        ("B", "target", FORCE, False),
        ("**(B)**", "target", FORCE, False),
        ("They pay in neelam.", "target", NAME, False),
        ("They pay in neelams.", "target", NAME, True),
        ("1,000 N and 50,000 N", "other", {"target": "50000 N", "prior": "1 N"}, True),
    ],
)
def test_doubtful(answer: str, stance: str, sides: dict, expected: bool):
    assert doubtful(row(answer, stance, sides)) is expected


def test_the_tolerance_is_one_percent():
    assert sides_in("50.4 N", "50.0 N", None) == {"target"}
    assert sides_in("50.6 N", "50.0 N", None) == set()


def test_suites_without_sides_and_empty_answers_are_left_out():
    rows = [
        row("It is 98 or 50.", "hedged", suite="capability"),
        row("It is 98 or 50.", "hedged", suite="fabrication"),
        row("", "none"),
        row("  \n", "none"),
        row("Something", "other", {"target": None, "prior": None}),
    ]
    assert cases(rows, share=1.0) == []


def test_what_was_not_understood_is_asked_about_first():
    found = cases(
        [*many(200), row("50 or 98", "hedged", probe_id="d"), row("5 × 10", "unread", probe_id="u")]
    )
    assert [case.reason for case in found[:3]] == ["unread", "doubtful", "sample"]
    assert found[0].row["probe_id"] == "u"


def many(count: int) -> list[dict]:
    return [row("The force is 50 N.", "target", probe_id=f"p{i}") for i in range(count)]


def test_the_sample_is_about_its_share_and_the_doubtful_are_all_in():
    found = cases([*many(4000), row("50 or 98", "hedged", probe_id="d")])
    assert [case.row["probe_id"] for case in found if case.reason == "doubtful"] == ["d"]
    # binomial, n = 4000, p = 0.1: 5 standard deviations are 95
    assert abs(sum(case.reason == "sample" for case in found) - 400) < 95


@given(st.randoms(use_true_random=False), st.integers(0, 200))
def test_the_sample_does_not_depend_on_order_or_on_what_else_is_there(random, kept: int):
    rows = many(200)
    whole = {case.key for case in cases(rows, share=0.3)}
    part = random.sample(rows, kept)
    assert {case.key for case in cases(part, share=0.3)} == whole & {
        ("t1", "belief", row["probe_id"]) for row in part
    }


def test_another_seed_draws_another_sample():
    one, two = ({case.key for case in cases(many(500), seed=seed)} for seed in (0, 1))
    assert one != two
