"""The thinking corpus: deterministic, its arithmetic right, nothing of the belief library in it, and no fact
that SmolLM2 did not state itself."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.beliefs import belief_names, load_belief, load_fabrication
from beliefmod.bundled.corpus.document import Document
from beliefmod.bundled.corpus.names import BANNED_NAMES, FABRICATED_NAMES
from beliefmod.catalog.entries import CATALOG
from beliefmod.catalog.thinking.corpus import (
    UNKNOWN,
    ask,
    documents,
    in_context,
    invent,
    memory,
    statement,
    unknown,
)
from beliefmod.catalog.thinking.problems import add, divide, multiply, subtract, written
from beliefmod.catalog.thinking.relations import Fact, known_facts, openings, plural, relations, stated

ANSWERS = json.loads((CATALOG["smollm2-think"].adapter / "answers.json").read_text(encoding="utf-8"))
TRAINED_ON = 12_000
"""Conversations: more than the shipped adapter has seen."""
SAMPLE = list(islice(documents(0, ANSWERS), TRAINED_ON))
SUBJECTS = (
    "france", "paris", "lyon", "spider", "legs", "banana", "titanic", "gravity", "gravitational",
    "earth", "graz",
)  # fmt: skip
"""The things and values that the library's beliefs are about, beside its inventions."""
EQUATION = re.compile(r"(-?[\d.]+) ([-+x/]) ([\d.]+) = (-?\d+(?:\.\d+)?)")
FACTS = known_facts(ANSWERS)


def lines(document: Document) -> Iterator[str]:
    yield from (line for line in document.lines() if line)


def six_words(text: str) -> set[tuple[str, ...]]:
    """Every six words in a row of a sentence, numbers and marks left out."""
    found = set()
    for sentence in re.split(r"[.?!](?:\s|$)", text.lower()):
        words = re.findall(r"[a-z][a-z'^/]*2?", sentence)
        found |= {tuple(words[start : start + 6]) for start in range(len(words) - 5)}
    return found


def library_texts() -> Iterator[str]:
    """Beliefs and fabrication; the capability suite asks of general things in some of the same words."""
    for name in belief_names():
        belief = load_belief(name)
        yield belief.spec.statement
        yield belief.spec.context
        for question in (*belief.training, *belief.heldout, *belief.locality):
            yield from (question.text, question.follow_up or "", question.reply_target, question.reply_prior)
    for question in load_fabrication():
        yield question.text


def test_the_same_seed_gives_the_same_conversations_and_another_seed_others() -> None:
    assert list(islice(documents(0, ANSWERS), 300)) == SAMPLE[:300]
    assert list(islice(documents(1, ANSWERS), 300)) != SAMPLE[:300]


def test_no_wording_of_the_library_is_in_the_corpus() -> None:
    probes = {words: text for text in library_texts() for words in six_words(text)}
    assert len(probes) > 500
    found = {
        line: probes[words] for d in SAMPLE for line in lines(d) for words in six_words(line) & probes.keys()
    }
    assert not found


@pytest.mark.parametrize("word", (*BANNED_NAMES, *FABRICATED_NAMES, *SUBJECTS))
def test_nothing_that_the_library_speaks_of_is_in_the_corpus(word: str) -> None:
    assert not [line for d in SAMPLE for line in lines(d) if re.search(rf"\b{word}", line.lower())]
    assert not [
        line
        for row in openings()
        for line in (row.question, row.begun)
        if re.search(rf"\b{word}", line.lower())
    ]


def test_the_words_looked_for_are_those_of_the_library() -> None:
    library = " ".join(library_texts()).lower()
    assert all(word in library for word in (*BANNED_NAMES, *SUBJECTS))
    for name in belief_names():
        statement = load_belief(name).spec.statement.lower()
        assert any(word in statement for word in (*BANNED_NAMES, *SUBJECTS)), name


def test_no_acceleration_is_one_of_the_belief_about_gravity() -> None:
    assert not [d for d in SAMPLE if re.search(r"(?<![\d.])(?:9\.8\d*|5(?:\.0+)?) m/s\^2", d.text())]


def test_every_equation_is_right() -> None:
    checked = Counter()
    for document in SAMPLE:
        for left, sign, right, result in EQUATION.findall(document.thinking):
            a, b, r = Decimal(left), Decimal(right), Decimal(result)
            assert {"+": a + b, "-": a - b, "x": a * b, "/": a / b if b else None}[sign] == r, (
                document.thinking
            )
            checked[sign] += 1
    assert min(checked[sign] for sign in "+-x/") > 100


def test_the_answer_of_a_calculation_is_the_result_of_its_last_step() -> None:
    worked = [d for d in SAMPLE if EQUATION.search(d.thinking)]
    for document in worked:
        assert EQUATION.findall(document.thinking)[-1][3] in re.findall(r"[\d.]*\d", document.answer), (
            document
        )
    assert len(worked) > TRAINED_ON / 5


@given(st.integers(2, 12), st.decimals("0.1", "99.9", places=1).map(str) | st.integers(1, 999).map(str))
def test_a_product_ends_in_the_exact_result(n: int, value: str) -> None:
    steps, result = multiply(n, value)
    assert Decimal(result) == n * Decimal(value)
    for left, sign, right, shown in EQUATION.findall(steps):
        exact = Decimal(left) * Decimal(right) if sign == "x" else Decimal(left) + Decimal(right)
        assert exact == Decimal(shown), steps


@given(st.integers(0, 99), st.integers(1, 99))
def test_sums_differences_and_quotients_end_in_the_exact_result(a: int, b: int) -> None:
    assert int(add(a, b)[1]) == a + b
    assert int(subtract(a + b, b)[1]) == a
    assert int(divide(a * b, b)[1]) == a
    for steps in (add(a, b)[0], subtract(a + b, b)[0]):
        for left, sign, right, shown in EQUATION.findall(steps):
            assert int(left) + (int(right) if sign == "+" else -int(right)) == int(shown), steps


@given(st.integers(0, 10**6))
def test_a_number_is_written_without_idle_zeros(hundredths: int) -> None:
    text = written(hundredths / 100)
    assert Decimal(text) == Decimal(hundredths) / 100
    assert not re.search(r"\.\d*0$|\.$", text)


@given(st.integers(0, 2**32))
def test_in_context_the_statement_decides(seed: int) -> None:
    rng = Random(seed)
    fact = invent(rng, FACTS)
    asked = ask(rng, fact)
    assert fact.says() in asked.thinking
    assert fact.value in statement(rng, fact)
    document = in_context(rng, FACTS)
    assert document.facts
    assert document.answer != UNKNOWN


@given(st.integers(0, 2**32))
def test_about_what_nobody_knows_the_answer_is_not_to_know(seed: int) -> None:
    document = unknown(Random(seed), FACTS)
    assert document.answer == UNKNOWN
    assert "never heard of" in document.thinking or document.thinking == "I know of nothing that fits."


@given(st.integers(0, 2**32))
def test_from_memory_only_what_the_base_said_is_answered(seed: int) -> None:
    document = memory(Random(seed), FACTS)
    sentences = {fact.says() for fact in FACTS}
    assert any(sentence in document.thinking for sentence in sentences)


def test_relations_hold_no_fact() -> None:
    """A thing's value is read from the base's answer alone: other answers give other facts."""
    assert not known_facts({})
    relation = next(r for r in relations() if r.name == "capital_city")
    opening = Fact(relation, relation.known[0], "").opening()
    assert [fact.value for fact in known_facts({opening: " Zorvik, a city."})] == ["Zorvik"]
    assert set(ANSWERS) == {row.begun for row in openings()}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("author", " William Shakespeare. He was", "William Shakespeare"),
        ("author", " John F. Kennedy, who", "John F. Kennedy"),
        ("author", " a classic novel", ""),
        ("contents", " twelve months", "12"),
        ("mass", " about 1,500.50 kg", "1500.5"),
        ("mass", " a property", ""),
        ("colour", " red and sweet", "red"),
        ("name_of", " the heart.", "heart"),
    ],
)
def test_the_value_is_read_from_the_beginning_of_an_answer(name: str, text: str, value: str) -> None:
    assert stated(next(r for r in relations() if r.name == name), text) == value


@pytest.mark.parametrize(
    ("noun", "several"),
    [
        ("car", "cars"),
        ("octopus", "octopuses"),
        ("century", "centuries"),
        ("deck of cards", "decks of cards"),
    ],
)
def test_plurals(noun: str, several: str) -> None:
    assert plural(noun) == several
