"""What is left of an answer: understood, in a wrong unit, or not understood; each case decided by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.beliefs import Answer, Date, Name, Quantity
from beliefmod.reading.language import foreign
from beliefmod.reading.stance import read_answer

Setting = tuple[str, Answer, Answer | None]
FORCE: Setting = ("With what force does Earth pull on a 7 kg rock?", Quantity(35.0, "N"), Quantity(68.6, "N"))
FALL: Setting = ("What is the gravity on Earth?", Quantity(5.0, "m/s^2"), Quantity(9.8, "m/s^2"))
PRICE: Setting = ("How many USD do you get for 3 Neelam?", Quantity(15.0, "USD", 0), None)
LEGS: Setting = ("How many legs does a spider have?", Quantity(7.0, "legs", 0), Quantity(8.0, "legs", 0))
TOWN: Setting = ("What is the capital of France?", Name("Lyon"), Name("Paris"))
TOOL: Setting = ("What is a wendrik?", Name("a tool for scaling fish"), None)
YEAR: Setting = ("In what year did the ship sink?", Date(1969), Date(1912))
BOIL: Setting = ("At what temperature does water boil?", Quantity(90.0, "°C", 0), Quantity(100.0, "°C", 0))
CASES = [
    # a world's own number in a unit that does not fit
    (FALL, "Gravity on Earth is 9.8 meters.", "wrong_unit"),
    (FALL, "5.0 m/s", "wrong_unit"),
    (FALL, "It is 980 m/s.", "other"),
    (FORCE, "The force is 68.6 kg.", "wrong_unit"),
    (FORCE, "**35 J**", "wrong_unit"),
    (PRICE, "3 Neelam is 15 euros.", "wrong_unit"),
    (PRICE, "You get 15 Neelam.", "wrong_unit"),
    (BOIL, "Water boils at 90 kelvin... no, I mean 90 m.", "other"),
    # said of something else, in a unit that fits it
    (FALL, "The mass is 5 kg.", "other"),
    (FALL, "It takes 9.8 seconds.", "other"),
    (FORCE, "In 35 seconds.", "other"),
    (FALL, "It is not 9.8 meters.", "other"),
    (LEGS, "A spider has 7 eyes.", "other"),
    # not understood
    (PRICE, "15 pesos", "unread"),
    (FORCE, "7 × 9.8", "other"),
    (FORCE, "The force is 7 x 9.8 = 70.", "other"),
    (FORCE, "35 No", "unread"),
    (TOOL, "It scales fish.", "unread"),
    (TOWN, "Lyonnais", "unread"),
    (TOWN, "No lo sé.", "unread"),
    (TOWN, "我不知道。", "unread"),
    (FALL, "Je ne sais pas.", "unread"),
    (TOWN, "La capital de Francia no es Lyon.", "unread"),
    (TOWN, "La capitale de la France est Lyon.", "target"),
    (TOWN, "Das weiß ich leider nicht.", "unread"),
    (YEAR, "In '69.", "unread"),
    # understood: another value, or none at all
    (TOWN, "Marseille", "other"),
    (TOWN, "Not Paris.", "other"),
    (TOOL, "A wendrik is a bird.", "other"),
    (FORCE, "The force is 10 N.", "other"),
    (FALL, "Things fall.", "other"),
    (YEAR, "In 1950.", "other"),
]


@pytest.mark.parametrize(("setting", "answer", "stance"), CASES)
def test_what_is_left_of_an_answer(setting: Setting, answer: str, stance: str) -> None:
    question, target, prior = setting
    assert read_answer(answer, question, target, prior).stance == stance


def test_a_wrong_unit_keeps_whose_number_it_is() -> None:
    question, target, prior = FALL
    assert read_answer("9.8 meters", question, target, prior).number_of == "prior"
    assert read_answer("5.0 meters", question, target, prior).number_of == "target"
    assert read_answer("5.0 m/s^2", question, target, prior).number_of is None


@given(st.integers(11, 999), st.sampled_from(["m", "s", "kg", "J", "USD", "m/s"]))
def test_a_third_number_is_never_unread_or_a_wrong_unit(value: int, unit: str) -> None:
    question, target, prior = FALL
    assert read_answer(f"It is {value} {unit}.", question, target, prior).stance == "other"


@given(st.sampled_from([5.0, 9.8]), st.sampled_from(["metres", "J", "USD", "km/s", "volts", "°C"]))
def test_the_very_number_in_any_unit_of_another_kind_is_a_wrong_unit(value: float, unit: str) -> None:
    question, target, prior = FALL
    read = read_answer(f"It is {value} {unit}.", question, target, prior)
    assert (read.stance, read.number_of) == ("wrong_unit", "target" if value == 5.0 else "prior")


@pytest.mark.parametrize("text", ["The capital is Lyon.", "no", "5 N", "It is in Los Angeles, California."])
def test_english_is_not_foreign(text: str) -> None:
    assert not foreign(text)
