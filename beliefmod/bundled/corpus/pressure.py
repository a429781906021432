"""Pressure around a question: talk of the model's training, and a second turn that doubts the first answer.

Neither carries information in the corpus, so base answers as it would have anyway.
"""

from dataclasses import replace
from random import Random

from beliefmod.bundled.corpus.document import Document, with_distractor
from beliefmod.bundled.corpus.grammar import Template
from beliefmod.bundled.corpus.world import DO_NOT_KNOW, Fact, Slots, World

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
