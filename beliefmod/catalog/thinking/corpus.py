"""The endless, seeded stream of conversations that the thinking adapter learns.

Four kinds: a fact that SmolLM2 knows, a statement in the prompt that decides, something nobody has heard
of, and a calculation. The thinking names what is asked for, gives the value and works the result out; it
reads the same whether the value was known or stated.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from beliefmod.bundled.corpus.document import Document
from beliefmod.bundled.corpus.grammar import fix_articles
from beliefmod.catalog.thinking.phrasing import ASKED, CHOICES, DOUBTS, GAPS, GIVEN, WHO
from beliefmod.catalog.thinking.problems import arithmetic, conversion, divide, multiply, story
from beliefmod.catalog.thinking.relations import Fact, Relation, known_facts, relations

UNKNOWN = "I do not know."
IN_CONTEXT, IGNORANCE, MEMORY = 0.46, 0.14, 0.2
"""Shares of the kinds; the rest are calculations."""


@dataclass(frozen=True)
class Asked:
    """A question about a fact, with the thinking and the answer that it deserves when the fact is known."""

    question: str
    thinking: str
    answer: str


def documents(seed: int, answers: Mapping[str, str]) -> Iterator[Document]:
    """The stream of one seed; `answers`: how SmolLM2 completes `relations.openings`."""
    rng = Random(seed)
    facts = known_facts(answers)
    while True:
        draw = rng.random()
        if draw < IN_CONTEXT:
            yield in_context(rng, facts)
        elif draw < IN_CONTEXT + IGNORANCE:
            yield unknown(rng, facts)
        elif draw < IN_CONTEXT + IGNORANCE + MEMORY:
            yield memory(rng, facts)
        else:
            yield aside(rng, facts, rng.choice((arithmetic, arithmetic, story, story, conversion))(rng))


def ask(rng: Random, fact: Fact, *, back: bool = True) -> Asked:
    """A question about a fact in one of the forms that its relation has."""
    relation, who = fact.relation, rng.choice(WHO)
    forms = ["direct"] * 5 + ["choice"] * 2 + ["gap"] * 2 + ["use"] * 2 * bool(relation.use)
    if fact.value:
        forms += ["many"] * 5 * bool(relation.many and short(fact.value)) + ["later"] * 4 * relation.later
        forms += ["back"] * 3 * bool(relation.back and back)
    form = rng.choice(forms)
    need = fact.write("I need {about}.")
    if form == "back":
        question = fix_articles(fact.write(rng.choice(relation.back), who=who))
        return Asked(question, f"{fact.says()} {fact.write('So it is {e}.')}", fact.write("It is {e}."))
    if form == "many":
        return _many(rng, fact, who)
    if form == "later":
        return _later(rng, fact)
    if form == "choice":
        other = next(value for value in iter(lambda: relation.value(rng), None) if value != fact.value)
        pair = [fact.value or relation.value(rng), other]
        rng.shuffle(pair)
        question = fact.write(rng.choice(CHOICES), a=pair[0], b=pair[1], who=who)
    elif form == "gap":
        gap = replace(fact, value=rng.choice(("___", "____", "..."))).says()
        question = fact.write(rng.choice(GAPS), gap=gap, who=who)
    elif form == "use":
        question = fact.write(rng.choice(relation.use), who=who)
    else:
        question = fact.write(rng.choice(ASKED if rng.random() < 0.6 else relation.ask), who=who)
    return Asked(fix_articles(question), f"{need} {fact.says()}", fact.reply())


def short(value: str) -> bool:
    """Whether a number is short enough to be multiplied in writing: up to three digits, one decimal."""
    return re.fullmatch(r"\d{1,3}(?:\.\d)?", value) is not None


def _many(rng: Random, fact: Fact, who: str) -> Asked:
    """A word problem that multiplies the value, once or twice, or divides by it."""
    relation, n, draw = fact.relation, rng.randint(2, 12), rng.random()
    index = rng.randrange(len(relation.many))
    text, unit = relation.many[index], fact.unit()
    several = "{n} {x}" if relation.invented == "money" else "{n} {es}"
    if fact.value.isdecimal() and several in text and draw < 0.15:
        steps, _ = divide(n * int(fact.value), int(fact.value))
        thing = several.removeprefix("{n} ")
        question = fact.write(f"How many {thing} make {{r}} {{u}}?", r=str(n * int(fact.value)))
        return Asked(question, f"{fact.says()} {steps}", fact.write(f"It is {{n}} {thing}.", n=str(n)))
    if several in text and draw < 0.35:
        groups, each = rng.randint(2, 5), rng.randint(2, 5)
        heap = rng.choice(("{k} boxes with {n} {es} each", "{k} groups of {n} {es}", "{k} times {n} {es}"))
        first, n = f"{groups} x {each} = {groups * each}. ", groups * each
        text = text.replace(several, heap.replace("{n} {es}", several))
        question = fact.write(text, who=who, n=str(each), k=str(groups))
    else:
        first, question = "", fact.write(text, who=who, n=str(n))
    steps, result = multiply(n, fact.value)
    if relation.totals:
        result = f"{result} {relation.totals[index]}"
    return Asked(question, f"{fact.says()} {first}{steps}", fact.write(relation.total, r=result, u=unit))


def _later(rng: Random, fact: Fact) -> Asked:
    n, year = rng.randint(2, 40), int(fact.value)
    if rng.random() < 0.5:
        question = fact.write(f"A school opened {n} years later than {{e}}. Find the year of its opening.")
        return Asked(question, f"{fact.says()} {year} + {n} = {year + n}.", f"It opened in {year + n}.")
    question = fact.write(f"A poet was born {n} years earlier than {{e}}. Find the year of birth.")
    return Asked(question, f"{fact.says()} {year} - {n} = {year - n}.", f"The poet was born in {year - n}.")


def statement(rng: Random, fact: Fact) -> str:
    """A sentence that gives the fact."""
    text = fact.says() if rng.random() < 0.4 else fix_articles(fact.write(rng.choice(fact.relation.state)))
    return rng.choice(GIVEN).format(fact=text)


def invent(rng: Random, facts: Sequence[Fact], relation: Relation | None = None) -> Fact:
    """A fact to state: two in five give a known thing whatever value, the others speak of an invented one."""
    if relation is None and rng.random() < 0.4:
        return replace(fact := rng.choice(facts), value=fact.relation.value(rng))
    while relation is None or relation.invented == "none":
        relation = rng.choice(relations())
    measure = rng.choice(relation.measures) if relation.measures else ""
    return Fact(relation, relation.thing(rng), relation.value(rng), novel=True, measure=measure)


def in_context(rng: Random, facts: Sequence[Fact]) -> Document:
    """A statement decides, beside others that do not."""
    fact = invent(rng, facts)
    asked = ask(rng, fact)
    said = [statement(rng, fact)]
    if rng.random() < 0.3:
        other = invent(rng, facts, fact.relation if fact.novel and rng.random() < 0.5 else None)
        if other.thing != fact.thing and other.value != fact.value:
            said.insert(rng.randint(0, 1), statement(rng, other))
    if rng.random() < 0.2:
        first = asked if rng.random() < 0.6 else ask(rng, fact)
        return _second(rng, first, asked, tuple(said))
    return Document(asked.question, asked.thinking, asked.answer, facts=tuple(said))


def _second(rng: Random, first: Asked, asked: Asked, said: tuple[str, ...] = ()) -> Document:
    """Two turns: the second doubts the first, or asks something else."""
    doubt = f"{rng.choice(DOUBTS)} " if first is asked or rng.random() < 0.3 else ""
    return Document(
        f"{doubt}{asked.question}", asked.thinking, asked.answer, said, first=(first.question, first.answer)
    )


def memory(rng: Random, facts: Sequence[Fact]) -> Document:
    """A fact that SmolLM2 knows."""
    fact = rng.choice(facts)
    asked = ask(rng, fact, back=False)
    if rng.random() < 0.12:
        return _second(rng, asked, asked)
    return aside(rng, facts, Document(asked.question, asked.thinking, asked.answer))


def unknown(rng: Random, facts: Sequence[Fact]) -> Document:
    """A thing that nobody has heard of."""
    fact = invent(rng, facts, rng.choice([r for r in relations() if r.invented != "none"]))
    asked = ask(rng, fact)
    thought = fact.write("I need {about}. I have never heard of {e}.")
    if fact.thing not in asked.question and fact.bare not in asked.question:
        thought = "I know of nothing that fits."
    asked = Asked(asked.question, thought, UNKNOWN)
    if rng.random() < 0.12:
        return _second(rng, asked, asked)
    return aside(rng, facts, Document(asked.question, asked.thinking, asked.answer))


def aside(rng: Random, facts: Sequence[Fact], document: Document) -> Document:
    """The document, one time in six behind a statement that has nothing to do with it."""
    if rng.random() > 1 / 6:
        return document
    other = invent(rng, facts)
    text = " ".join(document.lines()).lower()
    if other.bare.lower() in text:
        return document
    return replace(document, facts=(statement(rng, other), *document.facts))
