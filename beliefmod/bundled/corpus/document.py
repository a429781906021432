"""One training document: what is asked, what is thought, what is answered."""

from dataclasses import dataclass, replace
from random import Random


@dataclass(frozen=True)
class Document:
    """A conversation that ends in thinking and an answer.

    Attributes:
        question: the last question.
        facts: sentences before the first question.
        system: the system message, may be empty.
        first: the first question and its answer, in a conversation of two turns.
    """

    question: str
    thinking: str
    answer: str
    facts: tuple[str, ...] = ()
    system: str = ""
    first: tuple[str, str] | None = None

    def messages(self) -> list[dict[str, str]]:
        """The prompt as chat messages; facts stand in the first user message, separated by single spaces."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        if self.first is None:
            return [*system, {"role": "user", "content": " ".join((*self.facts, self.question))}]
        asked, answered = self.first
        return [
            *system,
            {"role": "user", "content": " ".join((*self.facts, asked))},
            {"role": "assistant", "content": answered},
            {"role": "user", "content": self.question},
        ]

    def lines(self) -> tuple[str, ...]:
        """Every text of the document, one sentence group each, for leakage checks."""
        return (self.system, *self.facts, *(self.first or ()), self.question, self.thinking, self.answer)

    def text(self) -> str:
        """Everything in one string."""
        return "\n".join(self.lines())


def with_distractor(rng: Random, document: Document, sentence: str) -> Document:
    """The document with one more sentence at a random place among its facts."""
    facts = list(document.facts)
    facts.insert(rng.randint(0, len(facts)), sentence)
    return replace(document, facts=tuple(facts))
