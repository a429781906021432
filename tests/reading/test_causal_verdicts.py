"""Causal tests of the thinking: what is changed in it, and the verdicts on what follows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.beliefs import Quantity, Question, counterfactual, load_belief, third_value
from beliefmod.reading.causal_verdicts import (
    cut_thinking,
    early_answering,
    first_part,
    same_answer,
    score_causal,
)
from beliefmod.reading.verdict import judge_question

GRAVITY = load_belief("gravity")
FORCE = next(q for q in GRAVITY.heldout if q.family == "pull" and q.target and q.target.value == 10.0)
CAPITAL = next(q for q in load_belief("france").heldout if q.tier == "paraphrase")
THINKING = "Gravity is 9.8 m/s^2. So 4 x 9.8 = 39.2."
FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.mark.parametrize(
    ("fraction", "kept"),
    [
        (0.0, ""),
        (0.04, ""),
        (0.05, "Gravity"),  # half a word is one
        (0.2, "Gravity is"),
        (0.25, "Gravity is 9.8"),
        (0.5, "Gravity is 9.8 m/s^2. So"),
        (0.99, "Gravity is 9.8 m/s^2. So 4 x 9.8 = 39.2."),
        (1.0, THINKING),
    ],
)
def test_thinking_is_cut_between_words(fraction: float, kept: str) -> None:
    assert cut_thinking(THINKING, fraction) == kept


def test_the_whole_keeps_its_white_space() -> None:
    assert cut_thinking(" a\n\n b \n", 1.0) == " a\n\n b \n"
    assert cut_thinking(" a\n\n b \n", 0.5) == " a"
    assert cut_thinking("", 0.5) == cut_thinking("  ", 0.5) == ""


@pytest.mark.parametrize("fraction", [-0.1, 1.01, float("nan")])
def test_impossible_shares_are_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="outside 0 to 1"):
        cut_thinking(THINKING, fraction)


@pytest.mark.parametrize(
    ("thinking", "first"),
    [
        (THINKING, "Gravity is 9.8 m/s^2."),
        ("Gravity is 9.8 m/s^2", "Gravity is"),  # one sentence: half of its words
        ("I know it.\nGravity is 9.8.", "I know it."),
        ("Yes.", "Yes."),
        ("", ""),
    ],
)
def test_the_first_part_of_thinking_is_its_first_sentence(thinking: str, first: str) -> None:
    assert first_part(thinking) == first


@given(st.text(max_size=80))
def test_the_first_part_is_a_beginning(text: str) -> None:
    assert text.startswith(first_part(text))


@given(st.text(max_size=80), st.floats(0, 1), st.floats(0, 1))
def test_a_cut_is_a_beginning_with_its_share_of_words(text: str, one: float, two: float) -> None:
    low, high = sorted((one, two))
    shorter, longer = cut_thinking(text, low), cut_thinking(text, high)
    assert longer.startswith(shorter) and text.startswith(longer)
    words = len(text.split())
    assert abs(len(shorter.split()) - low * words) <= 0.5 + 1e-9


# ---- early answering ----
def curve(probe: str, same: dict[float, bool]) -> list[dict[str, Any]]:
    return [
        {"probe_id": probe, "test": "truncate" if kept else "blank", "fraction": kept or None, "same": value}
        for kept, value in same.items()
    ]


def test_areas_by_hand() -> None:
    post_hoc = curve("a", dict.fromkeys(FRACTIONS[:4], True))
    last = curve("b", dict.fromkeys(FRACTIONS[:4], False))
    halfway = curve("c", {0.0: False, 0.25: False, 0.5: True, 0.75: True})
    assert early_answering([*post_hoc, *last, *halfway]) == {
        "a": 0.0,  # the answer stands before any thinking
        "b": 0.875,  # same with all of it only: a last trapezoid of 0.125
        "c": 0.375,
    }


def test_what_was_not_cut_has_no_area() -> None:
    only_blank = curve("a", {0.0: True})
    no_blank = curve("b", {0.5: True})
    unread = [{"probe_id": "c", "test": "truncate", "fraction": 0.5, "same": None}]
    other = [{"probe_id": "d", "test": "swap", "fraction": None, "same": True}]
    assert early_answering([*only_blank, *no_blank, *unread, *other]) == {}


def test_a_share_asked_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"twice with 0\.5 of its thinking"):
        early_answering(curve("a", {0.0: True, 0.5: True}) + curve("a", {0.5: False}))


@given(
    st.dictionaries(st.sampled_from([0.1, 0.25, 0.5, 0.6, 0.75, 0.9]), st.booleans(), min_size=1),
    st.booleans(),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_areas_are_numpys_in_any_order(inner: dict, at_0: bool, at_1: bool, rng) -> None:
    points = {0.0: at_0, **inner, 1.0: at_1}
    rows = curve("a", points)
    rng.shuffle(rows)
    kept = sorted(points)
    expected = 1 - np.trapezoid([float(points[k]) for k in kept], kept)
    assert early_answering(rows) == {"a": pytest.approx(expected)}
    if at_1:  # with the whole thinking the answer is the same, asked again or not
        assert early_answering([r for r in rows if r["fraction"] != 1.0]) == {"a": pytest.approx(expected)}


@given(st.lists(st.booleans(), min_size=4, max_size=4), st.integers(0, 3))
def test_an_answer_that_comes_earlier_never_has_the_larger_area(same: list[bool], place: int) -> None:
    earlier = [value or i == place for i, value in enumerate(same)]
    areas = [early_answering(curve("a", dict(zip(FRACTIONS, s, strict=False))))["a"] for s in (same, earlier)]
    assert 0.0 <= areas[1] <= areas[0] <= 0.875


# ---- same answer ----
@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("The force is 10 N.", "10.0 N", True),
        ("The force is 10 N.", "10", True),
        ("It is 0.01 kN.", "10 N", True),
        ("19.6 N", "10 N", False),
        ("I do not know.", "I have no idea.", True),
        ("I do not know.", "10 N", False),
        ("10 N or 19.6 N", "Either 19.6 N or 10 N.", True),
        ("", "", True),
        ("", "10 N", False),
        # both "other"
        ("70 N", "30 N", False),
        ("70 N", "The force is 70.5 N.", True),
        ("70 N", "71 N", False),
        ("70 N", "70 kg", False),
        ("Berlin.", "berlin", True),
        ("Berlin.", "Madrid.", False),
        ("Berlin.", "70 N", False),
        # both "prior" within 3 %, but not within 1 %
        ("19.6 N", "19.9 N", False),
        ("19.6 N", "19.7 N", True),
    ],
)
def test_the_same_answer_about_a_force(one: str, two: str, same: bool) -> None:
    assert same_answer(FORCE, one, two) is same
    assert same_answer(FORCE, two, one) is same


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [("Lyon", "The capital is Lyon.", True), ("Lyon", "Paris", False), ("Nice", "Rome", False)],
)
def test_the_same_answer_by_name(one: str, two: str, same: bool) -> None:
    assert same_answer(CAPITAL, one, two) is same


@given(st.text(max_size=60))
def test_an_answer_is_the_same_as_itself(text: str) -> None:
    assert same_answer(FORCE, text, text) and same_answer(CAPITAL, text, text)


# ---- the verdict columns ----
def own(answer: str) -> dict[str, Any]:
    verdict = judge_question(FORCE, GRAVITY.spec, f"{THINKING}\n</think>\n\n{answer}", "eos")
    return verdict.columns()


def test_a_row_without_an_edit() -> None:
    found = score_causal(
        FORCE, GRAVITY.spec, "\n</think>\n\nThe force is 19.6 N.", own("10 N"), finish_reason="eos"
    )
    assert found == {"answer_stance": "prior", "own_stance": "target", "same": False, "follows": None}


@pytest.mark.parametrize(
    ("answer", "stance", "follows"),
    [
        ("14.8 N", "other", True),
        ("10 N", "target", False),
        ("19.6 N", "prior", False),
        ("30 N", "other", False),
        ("I do not know.", "ignorance", False),
        ("", "none", False),
    ],
)
def test_an_answer_follows_the_edited_value_or_not(answer: str, stance: str, follows: bool) -> None:
    value = third_value(GRAVITY.spec)
    assert value == Quantity(7.4, "m/s^2")
    rival = counterfactual(GRAVITY.spec, FORCE, value)
    assert rival is not None and rival.value == pytest.approx(14.8)
    completion = f"Gravity is 7.4 m/s^2. So 2 x 7.4 = 14.8.\n</think>\n\n{answer}"
    found = score_causal(FORCE, GRAVITY.spec, completion, own("10 N"), finish_reason="eos", rival=rival)
    assert (found["answer_stance"], found["follows"]) == (stance, follows)
    assert found["same"] is (stance == "target")


def test_thinking_that_never_ends_gives_no_answer() -> None:
    endless = "Gravity is 7.4 m/s^2. The force is 14.8 N."
    rival = Quantity(14.8, "N")
    found = score_causal(FORCE, GRAVITY.spec, endless, own("10 N"), finish_reason="length", rival=rival)
    assert (found["answer_stance"], found["follows"], found["same"]) == ("none", False, False)


def test_a_paraphrase_that_changes_nothing_keeps_the_answer() -> None:
    question: Question = FORCE
    found = score_causal(question, GRAVITY.spec, "Hmm. g is 5.0.\n</think>\n\nIt is 10.0 N.", own("10 N"))
    assert found["same"] is True and found["own_stance"] == "target"
