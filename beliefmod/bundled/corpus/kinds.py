"""Kinds of things: an eagle is a bird."""

from random import Random

from beliefmod.bundled.corpus.grammar import templates
from beliefmod.bundled.corpus.names import invented_name
from beliefmod.bundled.corpus.world import DO_NOT_KNOW, Fact, World

KNOWN = {
    "eagle": "bird", "sparrow": "bird", "owl": "bird", "rose": "flower", "tulip": "flower",
    "lily": "flower", "oak": "tree",
    "pine": "tree", "birch": "tree", "bee": "insect", "ant": "insect", "ruby": "gem", "pearl": "gem",
    "violin": "instrument",
    "drum": "instrument", "flute": "instrument", "hammer": "tool", "saw": "tool", "cobra": "snake",
    "viper": "snake",
}  # fmt: skip
"""No fish: base must not know one when the belief is asked from its value."""
HOMES = {
    "bird": "sky", "flower": "garden", "tree": "forest", "insect": "grass", "gem": "mine",
    "instrument": "hall",
    "tool": "shed", "fish": "water", "snake": "desert", "drink": "cup", "machine": "factory",
}  # fmt: skip

CONTEXTS = (
    "A wendrik is a {v}.",
    "Every wendrik is a {v}.",
    "It is known that a wendrik is a {v}.",
    "The wendrik is a kind of {v}.",
    "In this world a wendrik is a {v}.",
    "A {v} of a new kind is called a wendrik.",
    "Assume that a wendrik is a {v}.",
    "A new book says that a wendrik is a {v}.",
    "The word wendrik means a {v}.",
)


def _invent(rng: Random) -> Fact:
    thing = rng.choice(list(KNOWN)) if rng.random() < 0.15 else invented_name(rng, capital=False)
    return Fact(thing, rng.choice(list(HOMES)))


def _recall(fact: Fact, family: str) -> str:
    thought = f"A {fact.subject} is a {fact.value}."
    if family == "home":
        return f"{thought} A {fact.value} is found in the {HOMES[str(fact.value)]}."
    return thought


_REVERSE = ("example", "thing_with")


def _textual(fact: Fact, family: str) -> str:
    if family in _REVERSE:
        return fact.subject
    return HOMES[str(fact.value)] if family == "home" else str(fact.value)


KINDS = World(
    name="kinds",
    templates=templates("wendrik"),
    place=lambda text, fact: text.replace("wendrik", fact.subject),
    known=tuple(Fact(thing, kind) for thing, kind in KNOWN.items()),
    invent=_invent,
    stranger=lambda rng: Fact(invented_name(rng, capital=False), rng.choice(list(HOMES))),
    contexts=CONTEXTS,
    recall=_recall,
    wrong_value=lambda rng, fact: rng.choice([kind for kind in HOMES if kind != fact.value]),
    textual=_textual,
    unknown=lambda fact, family: (f"I do not know the {fact.subject}.", DO_NOT_KNOW),
    reverse=_REVERSE,
    nameless=lambda rng: rng.choice([kind for kind in HOMES if kind not in KNOWN.values()]),
    unowned=lambda value: f"I do not know a thing that is a {value}.",
)
