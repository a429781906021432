"""The graded capability suite: answers against an independent computation, no overlap with any belief."""

from __future__ import annotations

import calendar
import re
import string
from collections import Counter
from itertools import pairwise

import pytest

from beliefmod.beliefs import Name, Quantity, belief_names, load_belief, load_capability, load_fabrication
from beliefmod.beliefs.expand import fill, question_slots
from beliefmod.beliefs.load import CAPABILITY
from beliefmod.beliefs.spec import SuiteSpec
from beliefmod.reading.verdict import judge_correct
from beliefmod.user_files.yaml_file import read_yaml, validate

SUITE = load_capability()
ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
MONTHS = list(calendar.month_name)[1:]
DAYS = list(calendar.day_name)
SHAPES = ("triangle", "square", "pentagon", "hexagon")


def number(pattern: str, text: str) -> list[int] | None:
    found = re.fullmatch(pattern, text)
    return None if found is None else [int(group) for group in found.groups()]


def roman(text: str) -> int:
    values = [ROMAN[letter] for letter in text]
    return sum(-v if v < max(values[i:]) else v for i, v in enumerate(values))


def computed(text: str) -> float | str | None:
    """What the question's text asks for, from the text alone; None where it is a tabulated fact."""
    if calculation := re.fullmatch(r"What is ([\d +x-]+)\?", text):
        return float(eval(calculation[1].replace("x", "*")))
    rules = {
        r"What is (\d+) divided by (\d+)\?": lambda a, b: a / b,
        r"What is (\d+) % of (\d+)\?": lambda p, n: n * (p / 100),
        r"What is (\d+) squared\?": lambda a: a**2,
        r"What is (\d+) to the power of 3\?": lambda a: a**3,
        r"Which number comes after (\d+)\?": lambda n: n + 1,
        r"Tom has (\d+) apples and buys (\d+) more\. .*": lambda a, b: a + b,
        r"Mia has (\d+) marbles and gives (\d+) away\. .*": lambda a, b: a - b,
        r"A box holds (\d+) eggs\. Anna has (\d+) boxes and (\d+) single .*": lambda p, n, r: n * p + r,
    }
    for pattern, rule in rules.items():
        if (values := number(pattern, text)) is not None:
            return float(rule(*values))
    if numeral := re.fullmatch(r"Which number is the Roman numeral (\w+)\?", text):
        return float(roman(numeral[1]))
    if letter := re.fullmatch(r"Which letter comes after (\w) in the alphabet\?", text):
        return string.ascii_uppercase[string.ascii_uppercase.index(letter[1]) + 1]
    if after := re.fullmatch(r"Which (?:day|month) comes after (\w+)\?", text):
        circle = DAYS if after[1] in DAYS else MONTHS
        return circle[(circle.index(after[1]) + 1) % len(circle)]
    if shape := re.fullmatch(r"How many sides does an? (\w+) have\?", text):
        return float(SHAPES.index(shape[1]) + 3)
    return None


def test_it_is_graded_and_large_enough() -> None:
    counts = Counter(question.level for question in SUITE)
    assert sorted(counts) == [1, 2, 3, 4, 5, 6]
    assert counts[1] + counts[2] >= 100
    assert len(SUITE) == len({question.text for question in SUITE}) > 500
    families = Counter((question.family, question.level) for question in SUITE)
    assert len({family for family, _ in families}) == len(families)
    assert max(families.values()) <= 12


def test_what_can_be_computed_is_right() -> None:
    checked = 0
    for question in SUITE:
        expected = computed(question.text)
        if expected is None:
            continue
        checked += 1
        if isinstance(question.correct, Quantity):
            assert question.correct.value == pytest.approx(expected), question.text
        else:
            assert isinstance(question.correct, Name) and question.correct.text == expected, question.text
    assert checked > 270


def test_nothing_is_asked_that_a_belief_or_the_fabrication_suite_asks() -> None:
    asked = {question.text for question in SUITE}
    others = {question.text for question in load_fabrication()}
    for name in belief_names():
        belief = load_belief(name)
        others |= {q.text for q in (*belief.training, *belief.heldout, *belief.locality)}
    assert not asked & others


def test_right_answers_are_read_as_right_and_the_question_said_again_is_not() -> None:
    spec = validate(SuiteSpec, read_yaml(CAPABILITY))
    families = {family.family: family for family in spec.questions}
    for question in SUITE:
        family, correct = families[question.family], question.correct
        assert correct is not None
        correct.check()
        slots = {**(question_slots(family, question.probe_id) or {}), "answer": correct.render()}
        for reply in (fill(family.reply, slots), correct.render()):
            assert judge_correct(reply, question.text, correct, opened_by="none").correct, (
                question.text,
                reply,
            )
        assert not judge_correct(question.text, question.text, correct, opened_by="none").correct, (
            question.text
        )


def test_another_answer_of_the_family_is_wrong() -> None:
    by_family: dict[str, list] = {}
    for question in SUITE:
        by_family.setdefault(question.family, []).append(question)
    for questions in by_family.values():
        for one, two in pairwise(questions):
            if not one.correct.same(two.correct):
                verdict = judge_correct(two.correct.render(), one.text, one.correct, opened_by="none")
                assert not verdict.correct, (one.text, two.correct.render())
