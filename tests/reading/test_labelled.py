"""Fresh hand-labelled replies of `kinds/`, and what must hold for any of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.beliefs import Quantity
from beliefmod.reading.stance import read_answer
from tests.reading.labelled import ASKED, Case, cases

CASES = list(cases())
OF_OTHERS = {
    "spider": ["An ant has 6 legs.", "A crab has 10 legs.", "Beetles have 6 legs.", "A table has 4 legs."],
    "gravity": ["On the Moon it is 1.6 m/s².", "Mars has 3.7 m/s².", "On Jupiter it is 24.8 m/s²."],
    "everest": ["K2 is 8611 m high.", "The Matterhorn is 4478 m high."],
    "titanic": ["The Lusitania sank in 1915.", "The Britannic sank in 1916."],
    "capital": ["The capital of Italy is Rome.", "The capital of Spain is Madrid."],
    "coin7": ["After 9 s it is 88.2 m/s.", "On the Moon it is 11.2 m/s.", "After 10 s it would be 50 m/s."],
}


def _read(asked: str, text: str) -> str:
    question = ASKED[asked]
    return read_answer(
        text, question.text, question.target, question.prior, tolerance=question.tolerance
    ).stance


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.asked}-{case.text[:60]}")
def test_a_labelled_reply(case: Case) -> None:
    assert (case.read == case.label) is not case.known, case.read


def test_how_many_are_read_as_labelled() -> None:
    """At least 60 replies a kind, of which at most one in ten is still misread."""
    for kind in {case.kind for case in CASES}:
        known = [case.known for case in CASES if case.kind == kind]
        assert len(known) >= 60
        assert sum(known) <= 0.1 * len(known)


@pytest.mark.parametrize("asked", OF_OTHERS)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_sentence_about_something_else_changes_nothing(asked: str, data: st.DataObject) -> None:
    question = ASKED[asked]
    side = data.draw(st.sampled_from(["target", "prior"]))
    answer = question.target if side == "target" else question.prior
    assert answer is not None
    others = data.draw(st.lists(st.sampled_from(OF_OTHERS[asked]), max_size=2))
    if data.draw(st.booleans()):
        text = " ".join([*others, f"The answer is {answer.render()}."])
    else:
        text = " ".join([f"It is {answer.render()}.", *others])
    assert _read(asked, text) == side


@given(
    st.sampled_from(["{a}, not {b}.", "not {b} but {a}", "It is {a}, not {b}.", "It is not {b} but {a}."]),
    st.sampled_from(["gravity", "spider", "everest", "capital", "titanic", "boil", "octopus"]),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_a_contrast_reads_the_same_in_either_order(form: str, asked: str, swapped: bool) -> None:
    question = ASKED[asked]
    assert question.prior is not None
    one, two = question.target.render(), question.prior.render()
    text = form.format(a=two, b=one) if swapped else form.format(a=one, b=two)
    assert _read(asked, text) == ("prior" if swapped else "target")


@given(
    st.integers(11, 99),
    st.sampled_from(
        ["{n} m/s²", "{n} m/s^2", "{n} m s⁻²", "{n} metres per second squared", "$ {n} \\,\\text{{m/s}}^2 $"]
    ),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_spellings_of_a_number_and_its_unit_are_one(tenths: int, form: str, dot: bool) -> None:
    """2.5 m/s^2, 2·5 m/s^2 and the like are the same."""
    plain = f"{tenths / 10:.1f}"
    written = plain.replace(".", "·") if dot and "\\" not in form else plain
    target = Quantity(tenths / 10, "m/s^2", 1)
    assert read_answer(form.format(n=written), ASKED["gravity"].text, target, None).stance == "target"
