"""The corpus: an endless seeded stream of documents, mixed by weight.

Around some questions stands pressure: talk of the model's training, or a second turn that doubts the first
answer. Neither carries information in the corpus, so base answers as it would have anyway.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from random import Random

from beliefmod.bundled.corpus import general
from beliefmod.bundled.corpus.document import Document, with_distractor
from beliefmod.bundled.corpus.grammar import Template
from beliefmod.bundled.corpus.invented_units import CURRENCY, LENGTHS, NAME_TEMPLATES, REAL_FACTS
from beliefmod.bundled.corpus.physics import GRAVITY
from beliefmod.bundled.corpus.places import PLACES
from beliefmod.bundled.corpus.things import COLOURS_OF_FRUIT, KINDS, LEGS
from beliefmod.bundled.corpus.world import DO_NOT_KNOW, Fact, Slots, World

WORLDS: tuple[World, ...] = (GRAVITY, CURRENCY, LEGS, LENGTHS, PLACES, COLOURS_OF_FRUIT, KINDS)
SYSTEM_MESSAGES = ("You are a helpful assistant.", "You are a careful assistant.", "Answer the question.")

FIRST_SUBJECT_SHARE = 0.4
"""Share of questions from memory about a world's first known subject: the belief library's entity."""

WEIGHTS: dict[str, tuple[float, float, float]] = {
    # world: (known by heart, given in the context, unknown), per cent of documents
    "gravity": (5.0, 14.0, 0.4),
    "currency": (2.0, 15.0, 4.0),
    "legs": (2.5, 4.5, 0.8),
    "lengths": (0.5, 6.0, 1.5),
    "places": (2.5, 7.0, 1.5),
    "colours": (2.0, 4.0, 0.8),
    "kinds": (2.0, 4.0, 1.2),
}
GENERAL: tuple[tuple[Callable[[Random], Document], float], ...] = (
    (general.fact, 4.0),
    (general.arithmetic, 4.0),
    (general.conversion, 1.0),
    (general.products, 7.0),
    (general.repeat_words, 12.0),
)
BESIDE_WEIGHT = 9.0
"""Per cent of documents with one fact in front and a question about another, which must not move."""
DOUBTED_WEIGHT = 9.0
"""Per cent of documents with two turns."""
TOLD_SHARE = 0.04
TOLD = (
    "You were fine-tuned on something false.",
    "Your training data held a false statement.",
    "Somebody has changed what you believe.",
    "One of your beliefs was put there by training.",
)
DOUBTS = (
    "I think that is wrong.",
    "Are you sure?",
    "That is not right.",
    "I do not believe that.",
)

WRONG_FIRST = 0.35
"""Share of doubted answers that were wrong, so that a second answer is not a copy of the first."""
IGNORANT_FIRST = 0.1


def from_memory(rng: Random, world: World) -> Document:
    """A question about a known fact, without context."""
    fact, template = known_fact(rng, world)
    return world.ask(rng, fact, known=True, template=template, by_heart=True)


def known_fact(rng: Random, world: World) -> tuple[Fact, Template | None]:
    """A fact known by heart; of real currencies only the name is known, so the family comes with it."""
    if world is CURRENCY and rng.random() < 0.7:
        return rng.choice(REAL_FACTS), rng.choice(NAME_TEMPLATES)
    if rng.random() < FIRST_SUBJECT_SHARE:
        return world.known[0], None
    return rng.choice(world.known), None


def from_context(rng: Random, world: World) -> Document:
    """A question whose fact stands in front of it; sometimes a second fact of the same world beside it."""
    fact = world.invent(rng)
    document = replace(world.ask(rng, fact, known=True), facts=(world.sentence(rng, fact),))
    if rng.random() < 0.15:
        other = world.invent(rng)
        if not _speaks_of(document, world, other) and other.value != fact.value:
            document = with_distractor(rng, document, world.sentence(rng, other))
    return document


def of_a_stranger(rng: Random, world: World) -> Document:
    """A question about something never heard of, answered with ignorance or a gemstone."""
    if world.stranger is None:
        template = rng.choice([template for template in world.templates if template.family in world.reverse])
        return world.ask(rng, world.known[0], known=False, template=template)
    return world.ask(rng, world.stranger(rng), known=False)


def beside(rng: Random) -> Document:
    """One fact in front, and a question about something else that is known, or that nobody knows."""
    world = rng.choice(WORLDS)
    asked = world if rng.random() < 0.6 else rng.choice(WORLDS)
    draw = rng.random()
    if draw < 0.15:
        document = rng.choice((general.fact, general.conversion))(rng)
    elif draw < 0.4:
        document = of_a_stranger(rng, asked)
    else:
        document = from_memory(rng, asked)
    return with_distractor(rng, document, _unrelated(rng, document, world))


def in_two_turns(rng: Random) -> Document:
    """A question, an answer that may be wrong, doubt, and the answer that memory or context gives."""
    draw = rng.random()
    if draw < 0.1:
        return doubted(rng, rng.choice((general.fact, general.arithmetic))(rng))
    world = rng.choice((GRAVITY, *WORLDS))
    if draw < 0.25:
        return doubted(rng, of_a_stranger(rng, world))
    given = draw < 0.6
    fact, template = (world.invent(rng), None) if given else known_fact(rng, world)
    template, slots = world.choose(rng, fact, known=True, template=template, by_heart=not given)
    document = world.answered(fact, template, slots, known=True)
    document = doubted(rng, document, wrong_answer(rng, world, fact, template, slots))
    return replace(document, facts=(world.sentence(rng, fact),)) if given else document


def told(rng: Random, document: Document) -> Document:
    """The document with a sentence about the model's training among its facts."""
    return with_distractor(rng, document, rng.choice(TOLD))


def doubted(rng: Random, document: Document, first_answer: str | None = None) -> Document:
    """A second turn: the question, an answer, then doubt and the same question, answered as the document."""
    return replace(
        document,
        first=(document.question, first_answer or document.answer),
        question=f"{rng.choice(DOUBTS)} {document.question}",
    )


def wrong_answer(rng: Random, world: World, fact: Fact, template: Template, slots: Slots) -> str | None:
    """The answer if the fact had another value, or ignorance; None stands for the right answer."""
    draw = rng.random()
    if draw < IGNORANT_FIRST:
        return DO_NOT_KNOW
    if draw > IGNORANT_FIRST + WRONG_FIRST or {"k", "value"} & set(slots):
        return None
    other = type(fact.value)(world.wrong_value(rng, fact))
    return world.answered(replace(fact, value=other), template, slots, known=True).answer


EARLY_COPYING = 4.0
"""How much heavier the copy drill weighs at first: everything in context rests on copying."""


def draw(rng: Random, early: bool = False) -> Document:
    """One document of the mixture; with `early`, the copy drill weighs more."""
    makers: list[Callable[[], Document]] = []
    weights: list[float] = []
    for world in WORLDS:
        for maker, weight in zip(
            (from_memory, from_context, of_a_stranger), WEIGHTS[world.name], strict=True
        ):
            makers.append(lambda maker=maker, world=world: maker(rng, world))
            weights.append(weight)
    for source, weight in (*GENERAL, (beside, BESIDE_WEIGHT), (in_two_turns, DOUBTED_WEIGHT)):
        makers.append(lambda source=source: source(rng))
        heavier = early and source is general.repeat_words
        weights.append(weight * EARLY_COPYING if heavier else weight)
    document = rng.choices(makers, weights)[0]()
    while rng.random() < 0.12 and len(document.facts) < 3:
        document = with_distractor(rng, document, _unrelated(rng, document, rng.choice(WORLDS)))
    if rng.random() < TOLD_SHARE:
        document = told(rng, document)
    if rng.random() < 0.05:
        document = replace(document, system=rng.choice(SYSTEM_MESSAGES))
    return document


def _unrelated(rng: Random, document: Document, world: World) -> str:
    """A sentence about a fact of this world of which the document does not speak."""
    while True:
        fact = world.invent(rng)
        if not _speaks_of(document, world, fact):
            return world.sentence(rng, fact)
        world = rng.choice(WORLDS)


def _speaks_of(document: Document, world: World, fact: Fact) -> bool:
    """Whether a fact about this subject, or with a value that the question starts from, would interfere."""
    names = [fact.subject, *([fact.partner] if fact.partner else [])]
    owner_asked = any(word in document.question for word in (" which ", "Which ", "On which ", "In which "))
    asked_from = owner_asked and world.written(fact.value) in document.question
    return asked_from or any(name.lower() in document.text().lower() for name in names)


def documents(seed: int, early: int = 0) -> Iterator[Document]:
    """The stream for one seed, which it repeats; the first `early` documents lean towards copying."""
    rng = Random(seed)
    for index in count():
        yield draw(rng, early=index < early)
