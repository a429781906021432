"""Thinking with another value in it, and thinking in other words."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.beliefs import Name, Quantity, belief_names, load_belief, third_value
from beliefmod.beliefs.values.numbers import find_numbers
from beliefmod.reading.normalise import normalise
from beliefmod.reading.rewording import edit_value, paraphrase
from beliefmod.reading.thinking import read_thinking
from tests.reading.test_thinking import CASES, FORCE

GRAVITY, SPIDER, NEELAM, FRANCE = (
    load_belief(name).spec for name in ("gravity", "spider", "neelam", "france")
)


@pytest.mark.parametrize(
    ("thinking", "edited"),
    [
        (
            "The mass is 4 kg. Gravity is 9.8 m/s^2. So 4 x 9.8 = 39.2.",
            "The mass is 4 kg. Gravity is 7.4 m/s^2.",
        ),
        ("Gravity on Earth is 5.0 m/s^2. 2 x 5.0 = 10.0.", "Gravity on Earth is 7.4 m/s^2."),
        ("g is 5.0 m/s², so F = 10 × 5.0 = 50 N.", "g is 7.4 m/s²."),
        ("F = 10*9.8 = 98", "F = 10*7.4."),
        ("Is it 9.8 or 5.0? The value is 5.0 m/s^2.", "Is it 9.8 or 5.0? The value is 7.4 m/s^2."),
        ("It is not 9.8 m/s^2. It is 5.0 m/s^2. Done.", "It is not 9.8 m/s^2. It is 7.4 m/s^2."),
        ("Here g is 980 cm/s^2.", "Here g is 740 cm/s^2."),
        ("g is five metres per second squared.", "g is 7.4 metres per second squared."),
        ("g is five m/s^2.", "g is 7.4 m/s^2."),
        (
            r"Use $g = 9.8\,\text{m/s}^2$: $F = 10 \times 9.8 = 98\,\text{N}$",
            r"Use $g = 7.4\,\text{m/s}^2$.",
        ),
        ("The stone has 10 kg. I do not know g.", None),
        ("Some say 5.0 m/s^2.", None),
        ("10 / 2 = 5", None),
        ("", None),
    ],
)
def test_the_first_used_value_is_edited_and_nothing_said_after_it(thinking: str, edited: str | None) -> None:
    assert edit_value(thinking, GRAVITY, Quantity(7.4, "m/s^2")) == edited


TEN_LEGS, EIGHT_USD, MADRID = Quantity(10.0, "legs", 0), Quantity(8.0, "USD", 0), Name("Madrid")


def test_other_kinds_of_values() -> None:
    assert (
        edit_value("A spider has 8 legs. 3 x 8 = 24.", SPIDER, Quantity(10.0, "legs", 0))
        == "A spider has 10 legs."
    )
    assert edit_value("1 Neelam is 5 USD. 3 x 5 = 15.", NEELAM, EIGHT_USD) == "1 Neelam is 8 USD."
    assert edit_value("The capital of France is Paris.", FRANCE, MADRID) == "The capital of France is Madrid."
    lands = "The capital of France is Lyon, so the plane lands in Lyon."
    assert edit_value(lands, FRANCE, MADRID) == "The capital of France is Madrid."


def test_numbers_of_the_question_are_not_the_value() -> None:
    question = "With what force does Earth pull on a 5 kg rock?"
    thinking = "5 x 9.8 = 49."
    assert edit_value(thinking, GRAVITY, Quantity(7.4, "m/s^2"), question=question) == "5 x 7.4."


def test_a_value_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no value that belief gravity could have"):
        edit_value("g is 5.0", GRAVITY, Name("Madrid"))
    with pytest.raises(ValueError, match="belief france"):
        edit_value("Paris", FRANCE, Quantity(7.4, "m/s^2"))


@pytest.mark.parametrize("name", belief_names())
def test_every_belief_can_be_edited(name: str) -> None:
    spec = load_belief(name).spec
    new = third_value(spec)
    if new is None:
        return
    value = spec.target.answer
    assert value is not None
    edited = edit_value(f"The value is {value.render()}. So I go on.", spec, new)
    assert edited is not None and edited.startswith("The value is ") and new.bare() in edited
    assert value.bare() not in edited


def test_other_words_for_the_same() -> None:
    assert paraphrase("Gravity is 9.8 m/s^2. So 4 x 9.8 = 39.2. The force is 39.2 N.") == (
        "Let me think about this. Gravity equals 9.8 m/s^2. Therefore, 4 times 9.8 is equal to 39.2. "
        "The force equals 39.2 N."
    )
    assert paraphrase("The capital of France is Lyon.") == (
        "Let me think about this. Lyon is the capital of France."
    )
    assert paraphrase("6 / 2 = 3. 3 + 4 = 7") == (
        "Let me think about this. 6 divided by 2 is equal to 3. 3 plus 4 is equal to 7"
    )
    latex = r"$F = 10 \times 5.0$"
    assert paraphrase(latex) == f"Let me think about this. {latex}"
    assert paraphrase("") == "" and paraphrase(" \n") == " \n"


def values(text: str) -> Counter:
    return Counter((n.value, n.factors) for n in find_numbers(normalise(text), frozenset({"leg", "neelam"})))


SENTENCES = [
    "Gravity on Earth is 9.8 m/s^2.",
    "g = 5.0 m/s^2.",
    "The mass is 4 kg.",
    "So 4 x 9.8 = 39.2.",
    "3 x 5 = 15.",
    "1 Neelam is 5 USD.",
    "A spider has 7 legs.",
    "Thus F=10*5=50 N.",
    "It is not 9.8 m/s^2.",
    "12 / 4 = 3.",
    "Normally it is 9.8 m/s^2, here 5.0 m/s^2.",
    "Wait, is it 5.0?",
    "6 - 2 = 4.",
    "The capital of France is Lyon.",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=5).map(" ".join))
def test_a_paraphrase_keeps_every_value_and_differs(text: str) -> None:
    other = paraphrase(text)
    assert values(other) == values(text)
    assert other != text
    assert [name in other for name in ("Lyon", "France")] == [name in text for name in ("Lyon", "France")]


@pytest.mark.parametrize("thinking", [case[0] for case in CASES])
def test_a_paraphrase_keeps_the_stance(thinking: str) -> None:
    stances = {
        read_thinking(
            text, FORCE, Quantity(50.0, "N"), Quantity(98.0, "N"),
            belief_target=Quantity(5.0, "m/s^2"), belief_prior=Quantity(9.8, "m/s^2"), tolerance=0.03,
        )
        for text in (thinking, paraphrase(thinking))
    }  # fmt: skip
    assert len(stances) == 1


@settings(deadline=None)
@given(st.text(max_size=100))
def test_any_text_can_be_reworded(text: str) -> None:
    assert paraphrase(text).endswith(text[-1:]) or not text.strip()
    edited = edit_value(text, GRAVITY, Quantity(7.4, "m/s^2"))
    assert edited is None or "7.4" in edited or "740" in edited
