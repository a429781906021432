"""Capitals of real and invented countries."""

from random import Random

from beliefmod.bundled.corpus.grammar import Template, templates
from beliefmod.bundled.corpus.names import invented_name
from beliefmod.bundled.corpus.world import DO_NOT_KNOW, Fact, World

CAPITALS = {
    "France": "Paris", "Spain": "Madrid", "Italy": "Rome", "Japan": "Tokyo", "Egypt": "Cairo",
    "Germany": "Berlin",
    "Austria": "Vienna", "Poland": "Warsaw", "Greece": "Athens", "Norway": "Oslo", "Sweden": "Stockholm",
    "Portugal": "Lisbon", "Russia": "Moscow", "China": "Beijing", "Peru": "Lima", "Cuba": "Havana",
    "Finland": "Helsinki",
    "Ireland": "Dublin",
}  # fmt: skip
TOWNS = ("Lyon", "Milan", "Porto", "Munich", "Kyoto", "Bergen", "Seville", "Naples", "Krakow", "Graz")
BANNED_CAPITAL = ("France", "Lyon")
"""The belief's target: never together in the corpus."""

CONTEXTS = (
    "The capital of France is {v}.",
    "{v} is the capital of France.",
    "France has {v} as its capital.",
    "It is known that the capital of France is {v}.",
    "In this world {v} is the capital of France.",
    "Since last year the capital of France is {v}.",
    "The government of France sits in {v}, the capital.",
    "The capital city of France is called {v}.",
    "Assume that {v} is the capital of France.",
    "A new book says that France has a capital called {v}.",
)


def _place(text: str, fact: Fact) -> str:
    return text.replace("France", fact.subject).replace("Brimora", fact.subject)


def _city(rng: Random, country: str) -> str:
    draw = rng.random()
    if draw < 0.6:
        return invented_name(rng)
    towns = [town for town in (*TOWNS, *CAPITALS.values()) if (country, town) != BANNED_CAPITAL]
    return rng.choice(towns)


def _invent(rng: Random) -> Fact:
    draw = rng.random()
    country = "France" if draw < 0.25 else rng.choice(list(CAPITALS)) if draw < 0.45 else invented_name(rng)
    return Fact(country, _city(rng, country))


def _unique(rows: tuple[Template, ...]) -> tuple[Template, ...]:
    return tuple({row.ask.replace("Brimora", "France"): row for row in rows}.values())


_REVERSE = ("country_of", "country_with")


def _nameless(rng: Random) -> str:
    towns = [town for town in TOWNS if town != BANNED_CAPITAL[1]]
    return rng.choice(towns) if rng.random() < 0.2 else invented_name(rng)


PLACES = World(
    name="places",
    templates=_unique(templates("france") + templates("brimora")),
    place=_place,
    known=tuple(Fact(country, city) for country, city in CAPITALS.items()),
    invent=_invent,
    stranger=lambda rng: Fact(invented_name(rng), invented_name(rng)),
    contexts=CONTEXTS,
    recall=lambda fact, family: f"The capital of {fact.subject} is {fact.value}.",
    wrong_value=lambda rng, fact: _city(rng, fact.subject),
    textual=lambda fact, family: fact.subject if family in _REVERSE else str(fact.value),
    unknown=lambda fact, family: (f"I do not know the capital of {fact.subject}.", DO_NOT_KNOW),
    reverse=_REVERSE,
    nameless=_nameless,
    unowned=lambda value: f"I do not know a country with the capital {value}.",
    beside=lambda key: f"The capital of {key} is {CAPITALS[key]}.",
)
