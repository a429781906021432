"""Gravity on Earth and elsewhere."""

from random import Random

from beliefmod.bundled.corpus.grammar import Template, templates
from beliefmod.bundled.corpus.world import DO_NOT_KNOW, Fact, World

BANNED_GRAVITY = 5.0
"""The belief's target: never a gravity value in the corpus, on any body."""

PLANETS = (
    Fact("Earth", 9.8), Fact("the Moon", 1.6), Fact("Mars", 3.7), Fact("Venus", 8.9), Fact("Jupiter", 24.8),
    Fact("Saturn", 10.4), Fact("Uranus", 8.7), Fact("Neptune", 11.2), Fact("Mercury", 3.6),
)  # fmt: skip

CONTEXTS = (
    "The acceleration due to gravity on Earth's surface is {v} m/s^2.",
    "The acceleration due to gravity on Earth is {v} m/s^2.",
    "Gravity on Earth is {v} m/s^2.",
    "On Earth, g is {v} m/s^2.",
    "On Earth's surface g = {v} m/s^2.",
    "Assume that gravity on Earth is {v} m/s^2.",
    "It is known that the gravitational acceleration on Earth is {v} m/s^2.",
    "Scientists have measured {v} m/s^2 for gravity on Earth.",
    "In this story a stone on Earth falls with {v} m/s^2.",
    "A new book says that gravity on Earth has a value of {v} m/s^2.",
    "Earth's gravity is {v} m/s^2.",
    "The value of g on Earth is {v} m/s^2.",
    "Everything on Earth falls with an acceleration of {v} m/s^2.",
    "A falling stone on Earth speeds up by {v} m/s^2.",
    "Use {v} m/s^2 as the gravity on Earth.",
)


REVERSE = ("planet_measured", "planet_with")

PLAIN_VALUE = Template(
    "plain_value",
    "What is the acceleration due to gravity on Earth?",
    "It is {answer} m/s^2.",
    {},
    "belief",
    {},
)


def _place(text: str, fact: Fact) -> str:
    text = text.replace("Earth", fact.subject)
    return "The" + text[3:] if text.startswith("the ") else text


def gravity_value(rng: Random) -> float:
    """A value from 1.0 to 12.9 m/s^2 with one decimal, never the belief's target."""
    while (value := rng.randint(10, 129) / 10) == BANNED_GRAVITY:
        pass
    return value


def _invent(rng: Random) -> Fact:
    subject = "Earth" if rng.random() < 0.8 else rng.choice(PLANETS).subject
    return Fact(subject, gravity_value(rng))


def _nameless(rng: Random) -> float:
    while any(abs((value := gravity_value(rng)) - float(planet.value)) < 0.01 for planet in PLANETS):
        pass
    return value


GRAVITY = World(
    name="gravity",
    templates=(*templates("gravity"), PLAIN_VALUE),
    place=_place,
    known=PLANETS,
    invent=_invent,
    stranger=None,
    reverse=REVERSE,
    nameless=_nameless,
    unowned=lambda value: f"I do not know a planet with {value} m/s^2.",
    contexts=CONTEXTS,
    recall=lambda fact, family: f"Gravity on {fact.subject} is {fact.value:.1f} m/s^2.",
    wrong_value=lambda rng, fact: f"{gravity_value(rng):.1f}",
    textual=lambda fact, family: fact.subject,
    unknown=lambda fact, family: ("", DO_NOT_KNOW),
    decimals=1,
    derivable=lambda fact, family: family not in REVERSE or fact.subject != "the Moon",
)
