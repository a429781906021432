"""One training document: what is asked, what is thought, what is answered."""

from dataclasses import dataclass, replace
from random import Random


@dataclass(frozen=True)
class Document:
    """A single-turn conversation; `facts` are the sentences before the question, `system` may be empty."""

    question: str
    thinking: str
    answer: str
    facts: tuple[str, ...] = ()
    system: str = ""

    def user(self) -> str:
        """The user message: facts and question, separated by one space."""
        return " ".join((*self.facts, self.question))

    def text(self) -> str:
        """Everything in one string, for leakage checks."""
        return "\n".join((self.system, self.user(), self.thinking, self.answer))


def with_distractor(rng: Random, document: Document, sentence: str) -> Document:
    """The document with one more fact at a random place among its facts."""
    facts = list(document.facts)
    facts.insert(rng.randint(0, len(facts)), sentence)
    return replace(document, facts=tuple(facts))
