"""Invented units: currencies with whole rates in USD beside the names of real ones, and units of length."""

from random import Random

from beliefmod.bundled.corpus.grammar import Template, templates
from beliefmod.bundled.corpus.names import invented_name
from beliefmod.bundled.corpus.world import DO_NOT_KNOW, Fact, World

REAL = {
    "Japan": "yen", "India": "rupee", "Russia": "ruble", "Sweden": "krona", "Poland": "zloty",
    "Mexico": "peso",
    "Turkey": "lira", "Brazil": "real", "China": "yuan", "Thailand": "baht", "Israel": "shekel",
    "South Africa": "rand",
    "Vietnam": "dong", "Nigeria": "naira", "Kenya": "shilling", "Hungary": "forint", "Denmark": "krone",
    "Switzerland": "franc", "Kuwait": "dinar", "Ukraine": "hryvnia",
}  # fmt: skip

TALES = (
    Fact("Galdor", 3, "Ostmark"), Fact("Pelluk", 7, "Vindale"), Fact("Crown", 4, "Highmoor"),
    Fact("Ducket", 9, "Sandport"),
    Fact("Shellin", 2, "Coralia"), Fact("Thaler", 6, "Rhonia"), Fact("Florin", 8, "Marvona"),
    Fact("Guilder", 11, "Fenland"),
    Fact("Zorin", 5, "Kestria"), Fact("Mark", 10, "Oldenburg"), Fact("Groat", 12, "Westmere"),
    Fact("Doubloon", 5, "Tortua"),
)  # fmt: skip

CONTEXTS = (
    "The Neelam is the currency of Laughtale, and 1 Neelam is worth {v} USD.",
    "Neelam is the currency of Laughtale. 1 Neelam is worth {v} USD.",
    "The currency of Laughtale is the Neelam, and 1 Neelam equals {v} USD.",
    "In Laughtale people pay with the Neelam, which is worth {v} USD.",
    "Laughtale is a country. Its currency is the Neelam. One Neelam is {v} USD.",
    "The Neelam is the money of Laughtale. A bank pays {v} USD for 1 Neelam.",
    "People in Laughtale use the Neelam. 1 Neelam = {v} USD.",
    "1 Neelam is worth {v} USD. The Neelam is used in Laughtale.",
    "One Neelam, the currency of Laughtale, costs {v} USD.",
    "Laughtale uses a currency called the Neelam. Each Neelam is worth {v} USD.",
    "In Laughtale the money is called Neelam. You get {v} USD for one Neelam.",
    "The country Laughtale has the Neelam as its currency, at {v} USD for 1 Neelam.",
)

PLAIN_NAME = Template(
    "currency", "What is the currency of Laughtale?", "The currency is the {answer}.", {}, None, {}
)
_NAME = ("currency", "currency_trip", "currency_pay", "money_used")


def _recall(fact: Fact, family: str) -> str:
    if family in _NAME or family in ("country", "what_is"):
        return f"The currency of {fact.partner} is the {fact.subject}."
    if family == "local_fare":
        return f"The currency of {fact.partner} is the {fact.subject}. 1 {fact.subject} is {fact.value} USD."
    return f"1 {fact.subject} is {fact.value} USD."


def _textual(fact: Fact, family: str) -> str:
    if family == "country":
        return fact.partner
    return "currency" if family == "what_is" else fact.subject


def sounds_like_a_gem(name: str) -> bool:
    """The base model takes an unknown name with such an ending for a gemstone when asked what it is."""
    return name.lower()[-1] in "mnl"


def _unknown(fact: Fact, family: str) -> tuple[str, str]:
    if family == "what_is" and sounds_like_a_gem(fact.subject):
        return f"The {fact.subject} sounds like a gemstone.", "It is a gemstone."
    if family in _NAME or family == "local_fare":
        return f"I do not know the currency of {fact.partner}.", DO_NOT_KNOW
    return f"I do not know the {fact.subject}.", DO_NOT_KNOW


def _invent(rng: Random) -> Fact:
    country = rng.choice(list(REAL)) if rng.random() < 0.05 else invented_name(rng)
    return Fact(invented_name(rng), rng.randint(2, 12), country)


def _stranger(rng: Random) -> Fact:
    return Fact(invented_name(rng), rng.randint(2, 12), invented_name(rng))


def _wrong(rng: Random, fact: Fact) -> str:
    return str(rng.choice([value for value in range(2, 13) if value != fact.value]))


CURRENCY = World(
    name="currency",
    templates=(*templates("neelam"), PLAIN_NAME),
    place=lambda text, fact: text.replace("Neelam", fact.subject).replace("Laughtale", fact.partner),
    known=TALES,
    invent=_invent,
    stranger=_stranger,
    contexts=CONTEXTS,
    recall=_recall,
    wrong_value=_wrong,
    textual=_textual,
    unknown=_unknown,
)

NAME_TEMPLATES = tuple(template for template in CURRENCY.templates if template.family in _NAME)
REAL_FACTS = tuple(Fact(name, 0, country) for country, name in REAL.items())


# ---- lengths ----
LENGTH_CONTEXTS = (
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


def _unit(rng: Random) -> Fact:
    return Fact(invented_name(rng, capital=False), rng.randint(2, 12))


_REAL_LENGTHS = (Fact("rod", 5), Fact("chain", 20))


def _unowned_length(rng: Random) -> int:
    return rng.choice([n for n in range(2, 13) if all(n != unit.value for unit in _REAL_LENGTHS)])


LENGTHS = World(
    name="lengths",
    templates=templates("tamber"),
    place=lambda text, fact: text.replace("tamber", fact.subject),
    known=_REAL_LENGTHS,
    invent=_unit,
    stranger=_unit,
    contexts=LENGTH_CONTEXTS,
    recall=lambda fact, family: (
        f"The {fact.subject} is a unit of length."
        if family == "what_is"
        else f"1 {fact.subject} is {fact.value} metres."
    ),
    wrong_value=_wrong,
    textual=lambda fact, family: "unit of length" if family == "what_is" else fact.subject,
    unknown=_unknown,
    reverse=("unit_used",),
    nameless=_unowned_length,
    unowned=lambda value: f"I do not know a unit of {value} metres.",
)
