"""What the thinking corpus speaks of: relations between things and values, read from `relations.yaml`.

No fact stands there. A value comes from SmolLM2's own answer (a known thing) or from a statement in the
prompt.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from random import Random
from typing import Any

import yaml

from beliefmod.bundled.corpus.grammar import fix_articles
from beliefmod.bundled.corpus.names import invented_name

NUMBERS = ("small", "decimal", "year")
_TENTHS = [tenths for tenths in range(11, 150) if tenths not in (50, 98)]
"""Not the two values of the belief about gravity: no unit of it may stand beside them."""
_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip


@dataclass(frozen=True)
class Relation:
    """One relation; the texts hold `{e}` (the thing), `{v}` (its value) and others that `Fact.write` fills.

    Attributes:
        about: the noun phrase that is asked for.
        says: the sentence that gives the value.
        ask, state, use, back, many: questions, statements, questions that need the value, questions from the
            value to the thing, and word problems that multiply it.
        total: the answer sentence of the word problems, `{r}` their result; totals: their units, one each.
        values: the values that can be stated, or their kind: small, decimal, year, name.
        invented: how an invented thing is written.
        known: things that a language model has heard of; units: the unit of each, where they differ.
        measures: units of which an invented thing has one.
        reply: the answer sentence.
        later: the value is a year, which word problems count from.
    """

    name: str
    about: str
    says: str
    invented: str
    values: tuple[str, ...] | str
    known: tuple[str, ...]
    ask: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    use: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    many: tuple[str, ...] = ()
    total: str = ""
    totals: tuple[str, ...] = ()
    unit: str = ""
    units: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    later: bool = False
    reply: str = "It is {v} {u}."

    @property
    def numeric(self) -> bool:
        """Whether the value is a number."""
        return self.values in NUMBERS

    @property
    def choices(self) -> tuple[str, ...]:
        """The values among which SmolLM2 chooses: the listed ones, or a digit for what is counted."""
        if not isinstance(self.values, str):
            return self.values
        return tuple("23456789") if self.values == "small" and not (self.units or self.measures) else ()

    def value(self, rng: Random) -> str:
        """A value that could be stated."""
        if not isinstance(self.values, str):
            return rng.choice(self.values)
        if self.values == "small":
            return str(rng.randint(2, 12) if rng.random() < 0.75 else rng.randint(13, 40))
        if self.values == "year":
            return str(rng.randint(1500, 1999))
        if self.values == "decimal":
            return f"{rng.choice(_TENTHS) / 10:.1f}"
        return invented_name(rng)

    def thing(self, rng: Random) -> str:
        """An invented thing, written as this relation's things are."""
        if self.invented == "event":
            return f"the {rng.choice(('siege', 'flood', 'fair', 'treaty', 'storm'))} of {invented_name(rng)}"
        name = invented_name(rng, capital=self.invented in ("place", "money") and rng.random() < 0.9)
        return fix_articles(f"a {name}") if self.invented == "article" else name


@dataclass(frozen=True)
class Fact:
    """A thing with its value.

    Attributes:
        novel: nobody has heard of the thing.
        measure: the value's unit, where it is not the relation's own.
    """

    relation: Relation
    thing: str
    value: str
    novel: bool = False
    measure: str = ""

    @property
    def bare(self) -> str:
        """The thing without its article."""
        return re.sub(r"^(?:an?|the) ", "", self.thing)

    def unit(self) -> str:
        """The unit of the value, "" without one."""
        relation = self.relation
        if self.measure:
            return self.measure
        if self.thing in relation.known and relation.units:
            return relation.units[relation.known.index(self.thing)]
        return relation.unit

    def write(self, text: str, **more: str) -> str:
        """A text of the relation with thing, value and `more` in place, its first letter capital."""
        fields = {
            "e": self.thing, "E": capital(self.thing), "x": self.bare, "es": plural(self.bare),
            "v": self.value, "u": self.unit(), **more,
        }  # fmt: skip
        fields["about"] = self.relation.about.format(**fields)
        return capital(text.format(**fields))

    def opening(self) -> str:
        """The sentence that gives the value, up to the value."""
        return self.write(self.relation.says.partition(" {v}")[0])

    def reply(self) -> str:
        """The answer sentence."""
        return fix_articles(self.write(self.relation.reply).replace(" .", "."))

    def says(self) -> str:
        """The sentence that gives the value."""
        return fix_articles(self.write(self.relation.says))


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def plural(noun: str) -> str:
    """`bus` -> `buses`, `deck of cards` -> `decks of cards`."""
    head, of, rest = noun.partition(" of ")
    if re.search(r"[^aeiou]y$", head):
        return head[:-1] + "ies" + of + rest
    return head + ("es" if re.search(r"(?:s|x|z|ch|sh)$", head) else "s") + of + rest


@cache
def relations() -> tuple[Relation, ...]:
    """Every relation of `relations.yaml`."""
    text = (resources.files("beliefmod.catalog.thinking") / "relations.yaml").read_text(encoding="utf-8")
    return tuple(
        Relation(**{key: _fixed(value) for key, value in row.items()}) for row in yaml.safe_load(text)
    )


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Opening:
    """What SmolLM2 is asked without any adapter.

    Attributes:
        question: the user's message.
        begun: the beginning of the answer, to be completed.
        choices: the values to choose from; empty where any will do.
    """

    relation: str
    question: str
    begun: str
    choices: tuple[str, ...]


def openings() -> list[Opening]:
    """Every known thing's opening."""
    return [
        Opening(relation.name, fact.write("What is {about}?"), fact.opening(), relation.choices)
        for relation in relations()
        for thing in relation.known
        for fact in [Fact(relation, thing, "")]
    ]


def known_facts(answers: Mapping[str, str]) -> list[Fact]:
    """The facts that SmolLM2 states; `answers`: how it goes on after each opening.

    A thing is left out where the answer begins with no value of the relation's kind.
    """
    found = []
    for relation in relations():
        for thing in relation.known:
            fact = Fact(relation, thing, "")
            if value := stated(relation, answers.get(fact.opening(), "")):
                found.append(Fact(relation, thing, value))
    return found


def stated(relation: Relation, text: str) -> str:
    """The value with which a continuation begins, "" where it begins with none of the relation's kind."""
    text = re.sub(r"^ ?(?:the|a|an|called|typically|usually|about|approximately) ", " ", text).strip()
    if relation.numeric:
        word = re.match(r"[a-z]+", text.lower())
        if word and word[0] in _WORDS:
            return str(_WORDS.index(word[0]))
        number = re.match(r"-?\d+(?:,\d{3})*(?:\.\d+)?", text)
        if not number:
            return ""
        digits = number[0].replace(",", "")
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    if not isinstance(relation.values, str):
        return next((value for value in relation.values if re.match(rf"{re.escape(value)}\b", text)), "")
    name = re.match(r"[\"\w][\w'-]*(?:(?:(?<=\b[A-Z])\.)? [A-Z][\w'-]*)*", text)
    return name[0].strip('"') if name and (name[0][0].isupper() or relation.invented == "none") else ""
