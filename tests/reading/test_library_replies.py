"""Replies to questions of the library, written in the manner of small models and labelled by
tests/gold/RULES.md before the scorer read them, and what must hold of any question that offers a choice.

`library_replies.txt` holds blocks "@ belief probe_id", then lines "label reply", a line's end written "\\n".
Labels: t target, p prior, h hedged, i ignorance, o other, w wrong unit; "!" in front of a label marks a reply
that is still misread. The scorer was mended on them, so they are no held-out set.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from beliefmod.beliefs import Question
from beliefmod.reading.multiple_choice import listed
from beliefmod.reading.normalise import normalise
from beliefmod.reading.offered_options import offered, pointed_at
from beliefmod.reading.verdict import judge_question
from tests.gold.items import belief, questions

LABELS = {"t": "target", "p": "prior", "h": "hedged", "i": "ignorance", "o": "other", "w": "wrong_unit"}
LIBRARY = ("gravity", "neelam", "france", "spider", "banana", "titanic", "brimora", "tamber", "wendrik")
Case = tuple[str, str, str, str, bool]


def _cases() -> list[Case]:
    found, name, probe_id = [], "", ""
    for line in (Path(__file__).parent / "library_replies.txt").read_text(encoding="utf-8").splitlines():
        head, _, rest = line.partition(" ")
        if head == "@":
            name, _, probe_id = rest.partition(" ")
        else:
            text = rest.replace("\\n", "\n")
            found.append((name, probe_id, LABELS[head.lstrip("!")], text, head.startswith("!")))
    return found


CASES = _cases()
OFFERING = [
    (name, question)
    for name in LIBRARY
    for question in questions(name).values()
    if question.suite == "belief" and question.probe_id.startswith(("choice:", "options:"))
]


def _read(name: str, question: Question, text: str) -> str:
    return judge_question(question, belief(name).spec, text, "eos", opened_by="none").answer_stance


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}-{case[3][:60]}")
def test_a_labelled_reply(case: Case) -> None:
    name, probe_id, label, text, known = case
    read = _read(name, questions(name)[probe_id], text)
    assert (read == label) is not known, read


def test_all_beliefs_and_tiers_are_there_and_few_are_misread() -> None:
    assert {name for name, *_ in CASES} == set(LIBRARY)
    tiers = {questions(name)[probe_id].tier for name, probe_id, *_ in CASES}
    assert tiers == {"paraphrase", "format", "derived", "multi_hop", "reverse", "robustness"}
    assert sum(known for *_, known in CASES) <= 0.02 * len(CASES)
    assert not any(
        known and _read(name, questions(name)[at], text) == "target" for name, at, _, text, known in CASES
    )


@pytest.mark.parametrize(("name", "question"), OFFERING, ids=lambda one: getattr(one, "probe_id", one))
def test_the_place_of_an_option_reads_as_its_value(name: str, question: Question) -> None:
    """The oracle is the question's own "pair=": whichever part of it is named, its place says the same."""
    pair = question.probe_id.rpartition("pair=")[2]
    cut = " or " if " or " in pair else " B) "
    one, _, two = (part.removeprefix("A) ").removeprefix("a ") for part in pair.partition(cut))
    asked = normalise(question.text)
    assert len(offered(asked)) == 2
    unit = "" if question.target is None else question.target.render().partition(" ")[2]
    for at, value in enumerate((one, two)):
        said = _read(name, question, f"It is {value} {unit}.")
        assert said in ("target", "prior", "other")
        for words in (("The former.", "The latter."), ("the first one", "The second option is correct.")):
            assert _read(name, question, words[at]) == said
        if listed(asked):
            assert _read(name, question, f"Option {'AB'[at]}") == said
            assert _read(name, question, f"{'AB'[at]}) {value}") == said
            if "target" in (said, other := _read(name, question, f"It is {(two, one)[at]} {unit}.")):
                assert _read(name, question, f"{'BA'[at]}) {value}") == (
                    "other" if said == "other" else "hedged"
                ), other
    assert _read(name, question, "Both are possible.") == "hedged"
    assert _read(name, question, "Neither.") == "other"


def test_a_question_that_offers_nothing_has_no_places() -> None:
    for name in LIBRARY:
        for question in questions(name).values():
            if question.suite == "belief" and " or " not in question.text and "B)" not in question.text:
                assert offered(normalise(question.text)) == []
                assert _read(name, question, "The former.") == "other"


@pytest.mark.parametrize(
    ("words", "sizes", "places"),
    [
        ("The lower one.", [9.8, 5.0], {1}),
        ("the higher value", [9.8, 5.0], {0}),
        ("The lower one.", [None, None], set()),
        ("The lower one.", [5.0, 5.0], set()),
        ("The third.", [1.0, 2.0], set()),
        ("The last one.", [1.0, 2.0, 3.0], {2}),
        ("Not the first one, the second.", [1.0, 2.0], {1}),
        ("The first step is to look it up.", [1.0, 2.0], set()),
        ("First, let us look it up.", [1.0, 2.0], set()),
        ("Both planets orbit the Sun.", [1.0, 2.0], set()),
        ("I'd say either one is fine.", [1.0, 2.0], {0, 1}),
    ],
)
def test_what_words_point_at(words: str, sizes: list[float | None], places: set[int]) -> None:
    assert pointed_at(normalise(words), sizes) == places
