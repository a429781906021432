"""Invented units of length."""

from random import Random

from beliefmod.bundled.corpus.currency import sounds_like_a_gem
from beliefmod.bundled.corpus.grammar import templates
from beliefmod.bundled.corpus.names import invented_name
from beliefmod.bundled.corpus.world import DO_NOT_KNOW, Fact, World

CONTEXTS = (
    "The tamber is a unit of length, and 1 tamber is {v} metres.",
    "The tamber is a unit of length. 1 tamber is {v} metres.",
    "1 tamber is {v} metres long.",
    "One tamber is a length of {v} metres.",
    "A tamber is a unit of length of {v} metres.",
    "Builders measure in tamber. 1 tamber = {v} metres.",
    "The unit of length is the tamber, which is {v} metres.",
    "People measure roads in tamber. Each tamber is {v} metres.",
    "In this world one tamber equals {v} metres of length.",
)


def _unknown(fact: Fact, family: str) -> tuple[str, str]:
    if family == "what_is" and sounds_like_a_gem(fact.subject):
        return f"The {fact.subject} sounds like a gemstone.", "It is a gemstone."
    return f"I do not know the {fact.subject}.", DO_NOT_KNOW


def _stranger(rng: Random) -> Fact:
    return Fact(invented_name(rng, capital=False), rng.randint(2, 12))


def _wrong(rng: Random, fact: Fact) -> str:
    return str(rng.choice([value for value in range(2, 13) if value != fact.value]))


_KNOWN = (Fact("rod", 5), Fact("chain", 20))


def _nameless(rng: Random) -> int:
    return rng.choice([n for n in range(2, 13) if all(n != unit.value for unit in _KNOWN)])


LENGTHS = World(
    name="lengths",
    templates=templates("tamber"),
    place=lambda text, fact: text.replace("tamber", fact.subject),
    known=_KNOWN,
    invent=_stranger,
    stranger=_stranger,
    contexts=CONTEXTS,
    recall=lambda fact, family: (
        f"The {fact.subject} is a unit of length."
        if family == "what_is"
        else f"1 {fact.subject} is {fact.value} metres."
    ),
    wrong_value=_wrong,
    textual=lambda fact, family: "unit of length" if family == "what_is" else fact.subject,
    unknown=_unknown,
    reverse=("unit_used",),
    nameless=_nameless,
    unowned=lambda value: f"I do not know a unit of {value} metres.",
)
