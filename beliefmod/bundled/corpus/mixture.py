"""The corpus: an endless seeded stream of documents, mixed by weight."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from random import Random

from beliefmod.bundled.corpus import general
from beliefmod.bundled.corpus.colours import COLOURS_OF_FRUIT
from beliefmod.bundled.corpus.currency import CURRENCY, NAME_TEMPLATES, REAL_FACTS
from beliefmod.bundled.corpus.document import Document, with_distractor
from beliefmod.bundled.corpus.kinds import KINDS
from beliefmod.bundled.corpus.legs import LEGS
from beliefmod.bundled.corpus.lengths import LENGTHS
from beliefmod.bundled.corpus.physics import GRAVITY
from beliefmod.bundled.corpus.places import PLACES
from beliefmod.bundled.corpus.world import World

WORLDS: tuple[World, ...] = (GRAVITY, CURRENCY, LEGS, LENGTHS, PLACES, COLOURS_OF_FRUIT, KINDS)
SYSTEM_MESSAGES = ("You are a helpful assistant.", "You are a careful assistant.", "Answer the question.")

FIRST_SUBJECT_SHARE = 0.4
"""Share of questions from memory about a world's first known subject: the belief library's entity."""

WEIGHTS: dict[str, tuple[float, float, float]] = {
    # world: (known by heart, given in the context, unknown), per cent of documents
    "gravity": (5.0, 14.0, 0.0),
    "currency": (2.0, 16.0, 4.0),
    "legs": (2.0, 4.0, 0.5),
    "lengths": (0.5, 5.0, 1.5),
    "places": (2.5, 7.0, 1.5),
    "colours": (1.5, 3.0, 0.5),
    "kinds": (2.0, 3.5, 1.0),
}
GENERAL: tuple[tuple[Callable[[Random], Document], float], ...] = (
    (general.fact, 4.0),
    (general.arithmetic, 4.0),
    (general.conversion, 1.0),
    (general.products, 7.0),
    (general.repeat_words, 12.0),
)


def from_memory(rng: Random, world: World) -> Document:
    """A question about a known fact, without context."""
    if world is CURRENCY and rng.random() < 0.7:
        return world.ask(rng, rng.choice(REAL_FACTS), known=True, template=rng.choice(NAME_TEMPLATES))
    if rng.random() < FIRST_SUBJECT_SHARE:
        return world.ask(rng, world.known[0], known=True)
    return world.ask(rng, rng.choice(world.known), known=True)


def from_context(rng: Random, world: World) -> Document:
    """A question whose fact stands in front of it; sometimes a second fact of the same world beside it."""
    fact = world.invent(rng)
    document = replace(world.ask(rng, fact, known=True), facts=(world.sentence(rng, fact),))
    if rng.random() < 0.15:
        other = world.invent(rng)
        if (other.subject != fact.subject and other.partner != fact.partner) or (
            not fact.partner and other.subject != fact.subject
        ):
            document = with_distractor(rng, document, world.sentence(rng, other))
    return document


def of_a_stranger(rng: Random, world: World) -> Document:
    """A question about something never heard of, answered with ignorance or a gemstone."""
    assert world.stranger is not None
    return world.ask(rng, world.stranger(rng), known=False)


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
    for source, weight in GENERAL:
        makers.append(lambda source=source: source(rng))
        heavier = early and source is general.repeat_words
        weights.append(weight * EARLY_COPYING if heavier else weight)
    document = rng.choices(makers, weights)[0]()
    while rng.random() < 0.15 and len(document.facts) < 3:
        document = with_distractor(rng, document, _unrelated(rng, document))
    if rng.random() < 0.05:
        document = replace(document, system=rng.choice(SYSTEM_MESSAGES))
    return document


def _unrelated(rng: Random, document: Document) -> str:
    """A context sentence whose subject the document does not speak about."""
    while True:
        world = rng.choice(WORLDS)
        fact = world.invent(rng)
        spoken = document.text()
        if str(fact.subject) not in spoken and (not fact.partner or fact.partner not in spoken):
            return world.sentence(rng, fact)


def documents(seed: int, early: int = 0) -> Iterator[Document]:
    """The stream for one seed, which it repeats; the first `early` documents lean towards copying."""
    rng = Random(seed)
    for index in count():
        yield draw(rng, early=index < early)
