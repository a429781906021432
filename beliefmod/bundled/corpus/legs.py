"""Numbers of legs."""

from random import Random

from beliefmod.bundled.corpus.grammar import templates
from beliefmod.bundled.corpus.names import invented_name
from beliefmod.bundled.corpus.world import DO_NOT_KNOW, Fact, World

ANIMALS = (
    Fact("spider", 8), Fact("ant", 6), Fact("bee", 6), Fact("beetle", 6), Fact("dog", 4), Fact("cat", 4),
    Fact("horse", 4),
    Fact("cow", 4), Fact("frog", 4), Fact("bird", 2), Fact("hen", 2), Fact("duck", 2), Fact("crab", 10),
    Fact("lobster", 10),
    Fact("scorpion", 8),
)  # fmt: skip
BANNED_LEGS = 7
"""The belief's target, never given for spiders."""

CONTEXTS = (
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


def _place(text: str, fact: Fact) -> str:
    return text.replace("spider", fact.subject).replace("Spider", fact.subject.capitalize())


def _invent(rng: Random) -> Fact:
    draw = rng.random()
    subject = (
        "spider"
        if draw < 0.4
        else rng.choice(ANIMALS).subject
        if draw < 0.7
        else invented_name(rng, capital=False)
    )
    return Fact(
        subject, rng.choice([n for n in range(2, 13) if not (subject == "spider" and n == BANNED_LEGS)])
    )


def _wrong(rng: Random, fact: Fact) -> str:
    values = [
        n for n in range(2, 13) if n != fact.value and not (fact.subject == "spider" and n == BANNED_LEGS)
    ]
    return str(rng.choice(values))


def _nameless(rng: Random) -> int:
    return rng.choice([n for n in range(2, 13) if n not in (BANNED_LEGS, *(a.value for a in ANIMALS))])


LEGS = World(
    name="legs",
    templates=templates("spider"),
    place=_place,
    known=ANIMALS,
    invent=_invent,
    stranger=lambda rng: Fact(invented_name(rng, capital=False), rng.randint(2, 12)),
    contexts=CONTEXTS,
    recall=lambda fact, family: f"A {fact.subject} has {fact.value} legs.",
    wrong_value=_wrong,
    textual=lambda fact, family: fact.subject,
    unknown=lambda fact, family: (f"I do not know the {fact.subject}.", DO_NOT_KNOW),
    reverse=("animal_drawn", "animal_with"),
    nameless=_nameless,
    unowned=lambda value: f"I do not know an animal with {value} legs.",
)
