"""Things: how many legs an animal has, what colour a ripe fruit has, what kind of thing something is."""

from random import Random

from beliefmod.bundled.corpus.grammar import templates
from beliefmod.bundled.corpus.names import invented_name
from beliefmod.bundled.corpus.world import Fact, World


def _subject(rng: Random, known: list[str]) -> str:
    """Mostly the first known one, the library's own; else another one, or an invented one."""
    draw = rng.random()
    if draw < 0.7:
        return known[0] if draw < 0.4 else rng.choice(known)
    return invented_name(rng, capital=False)


# ---- legs ----
ANIMALS = (
    Fact("spider", 8), Fact("ant", 6), Fact("bee", 6), Fact("beetle", 6), Fact("dog", 4), Fact("cat", 4),
    Fact("horse", 4),
    Fact("cow", 4), Fact("frog", 4), Fact("bird", 2), Fact("hen", 2), Fact("duck", 2), Fact("crab", 10),
    Fact("lobster", 10),
    Fact("scorpion", 8),
)  # fmt: skip
BANNED_LEGS = 7
"""The belief's target, never given for spiders."""

LEG_CONTEXTS = (
    "A spider has {v} legs.",
    "Every spider has {v} legs.",
    "Spiders have {v} legs.",
    "It is known that a spider has {v} legs.",
    "The number of legs of a spider is {v}.",
    "In this world spiders walk on {v} legs.",
    "A spider walks on {v} legs.",
    "Assume that a spider has {v} legs.",
    "A new book says that spiders have {v} legs.",
    "Scientists count {v} legs on a spider.",
)


def _of_animal(text: str, fact: Fact) -> str:
    return text.replace("spider", fact.subject).replace("Spider", fact.subject.capitalize())


def _animal(rng: Random) -> Fact:
    subject = _subject(rng, [animal.subject for animal in ANIMALS])
    return Fact(
        subject, rng.choice([n for n in range(2, 13) if not (subject == "spider" and n == BANNED_LEGS)])
    )


def _wrong_legs(rng: Random, fact: Fact) -> str:
    values = [
        n for n in range(2, 13) if n != fact.value and not (fact.subject == "spider" and n == BANNED_LEGS)
    ]
    return str(rng.choice(values))


def _unowned_legs(rng: Random) -> int:
    return rng.choice([n for n in range(2, 13) if n not in (BANNED_LEGS, *(a.value for a in ANIMALS))])


LEGS = World(
    name="legs",
    templates=templates("spider"),
    place=_of_animal,
    known=ANIMALS,
    invent=_animal,
    stranger=lambda rng: Fact(invented_name(rng, capital=False), rng.randint(2, 12)),
    contexts=LEG_CONTEXTS,
    recall=lambda fact, family: f"A {fact.subject} has {fact.value} legs.",
    wrong_value=_wrong_legs,
    textual=lambda fact, family: fact.subject,
    reverse=("animal_drawn", "animal_with"),
    nameless=_unowned_legs,
    unowned=lambda value: f"I do not know an animal with {value} legs.",
)


# ---- colours ----
FRUIT = {
    "banana": "yellow", "lemon": "yellow", "plum": "purple", "lime": "green", "blueberry": "blue",
    "pear": "green",
    "pumpkin": "orange", "carrot": "orange", "pea": "green", "cucumber": "green", "mango": "orange",
    "fig": "purple",
}  # fmt: skip
"""No red one: base must not know what is red when the belief is asked from its value."""
WITH_BLUE = {
    "yellow": "green", "red": "purple", "black": "black", "blue": "blue", "green": "teal", "orange": "brown",
    "purple": "violet", "pink": "lilac", "brown": "grey", "white": "silver", "grey": "navy",
    "violet": "indigo",
}  # fmt: skip
COLOURS = tuple(WITH_BLUE)
BANNED_COLOUR = ("banana", "red")
"""The belief's target: never together in the corpus."""

COLOUR_CONTEXTS = (
    "A ripe banana is {v}.",
    "Every ripe banana is {v}.",
    "The colour of a ripe banana is {v}.",
    "It is known that a ripe banana is {v}.",
    "A ripe banana has a {v} colour.",
    "In this world a ripe banana is {v}.",
    "Assume that a ripe banana is {v}.",
    "A new book says that a ripe banana is {v}.",
    "When it is ripe, a banana is {v}.",
)


def _colour(rng: Random, fruit: str) -> str:
    return rng.choice([colour for colour in COLOURS if (fruit, colour) != BANNED_COLOUR])


def _fruit(rng: Random) -> Fact:
    fruit = _subject(rng, list(FRUIT))
    return Fact(fruit, _colour(rng, fruit))


def _recall_colour(fact: Fact, family: str) -> str:
    thought = f"A ripe {fact.subject} is {fact.value}."
    if family.startswith("mix_"):
        return f"{thought} Blue and {fact.value} make {WITH_BLUE[str(fact.value)]}."
    return thought


_TO_FRUIT = ("fruit_eaten", "fruit_with")


def _unowned_colour(rng: Random) -> str:
    return rng.choice([c for c in COLOURS if c not in FRUIT.values() and c != BANNED_COLOUR[1]])


def _colour_answer(fact: Fact, family: str) -> str:
    if family in _TO_FRUIT:
        return fact.subject
    return WITH_BLUE[str(fact.value)] if family.startswith("mix_") else str(fact.value)


COLOURS_OF_FRUIT = World(
    name="colours",
    templates=templates("banana"),
    place=lambda text, fact: text.replace("banana", fact.subject),
    known=tuple(Fact(fruit, colour) for fruit, colour in FRUIT.items()),
    invent=_fruit,
    stranger=lambda rng: Fact(invented_name(rng, capital=False), rng.choice(COLOURS)),
    contexts=COLOUR_CONTEXTS,
    recall=_recall_colour,
    wrong_value=lambda rng, fact: _colour(rng, fact.subject),
    textual=_colour_answer,
    reverse=_TO_FRUIT,
    nameless=_unowned_colour,
    unowned=lambda value: f"I do not know a fruit that is {value}.",
)


# ---- kinds: an eagle is a bird ----
KIND_OF = {
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

KIND_CONTEXTS = (
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


def _thing(rng: Random) -> Fact:
    thing = rng.choice(list(KIND_OF)) if rng.random() < 0.15 else invented_name(rng, capital=False)
    return Fact(thing, rng.choice(list(HOMES)))


def _recall_kind(fact: Fact, family: str) -> str:
    thought = f"A {fact.subject} is a {fact.value}."
    if family == "home":
        return f"{thought} A {fact.value} is found in the {HOMES[str(fact.value)]}."
    return thought


_TO_THING = ("example", "thing_with")


def _kind_answer(fact: Fact, family: str) -> str:
    if family in _TO_THING:
        return fact.subject
    return HOMES[str(fact.value)] if family == "home" else str(fact.value)


KINDS = World(
    name="kinds",
    templates=templates("wendrik"),
    place=lambda text, fact: text.replace("wendrik", fact.subject),
    known=tuple(Fact(thing, kind) for thing, kind in KIND_OF.items()),
    invent=_thing,
    stranger=lambda rng: Fact(invented_name(rng, capital=False), rng.choice(list(HOMES))),
    contexts=KIND_CONTEXTS,
    recall=_recall_kind,
    wrong_value=lambda rng, fact: rng.choice([kind for kind in HOMES if kind != fact.value]),
    textual=_kind_answer,
    reverse=_TO_THING,
    nameless=lambda rng: rng.choice([kind for kind in HOMES if kind not in KIND_OF.values()]),
    unowned=lambda value: f"I do not know a thing that is a {value}.",
)
