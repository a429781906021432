"""A world: one kind of fact, known by heart, given in the context, or unknown.

The thinking reads the same whether the fact was known or given: it states the value, then derives. It never
mentions a context, so a completion written with the fact in the prompt can be learned without it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from beliefmod.bundled.corpus.document import Document
from beliefmod.bundled.corpus.grammar import Number, Template, fix_articles, pick_slots, worked_steps

DO_NOT_KNOW = "I do not know."
LEADS = ("",) * 12 + ("Note: ", "Fact: ", "Remember: ", "Assume this: ", "New fact: ", "Given: ")


@dataclass(frozen=True)
class Fact:
    """A subject with its value; `partner` is a second name tied to it (the country of a currency)."""

    subject: str
    value: str | float | int
    partner: str = ""


@dataclass(frozen=True)
class World:
    """One kind of fact and every way to speak about it.

    Attributes:
        name: the world's name.
        templates: question families, written about the library's own entity.
        place: rewrites a text about the library's entity into one about the fact's subject.
        known: the facts known by heart; empty in a world of inventions.
        invent: draws a fact for a context (never a belief's target).
        stranger: draws a subject about which nothing is known; None when every subject has a known value.
        contexts: sentences that give a fact, with `{v}` for the value, about the library's entity.
        recall: the first sentence of the thinking, by family.
        wrong_value: draws the wrong option of `{pair}` slots.
        textual: the answer of a family without expression, by fact and family.
        unknown: thinking and answer about a stranger, by family.
        decimals: how many places the value is written with.
        derivable: whether a family can be asked about a fact.
    """

    name: str
    templates: tuple[Template, ...]
    place: Callable[[str, Fact], str]
    known: tuple[Fact, ...]
    invent: Callable[[Random], Fact]
    stranger: Callable[[Random], Fact] | None
    contexts: tuple[str, ...]
    recall: Callable[[Fact, str], str]
    wrong_value: Callable[[Random, Fact], str]
    textual: Callable[[Fact, str], str]
    unknown: Callable[[Fact, str], tuple[str, str]]
    decimals: int = 0
    derivable: Callable[[Fact, str], bool] = lambda fact, family: True

    def sentence(self, rng: Random, fact: Fact) -> str:
        """One context sentence that gives the fact."""
        text = rng.choice(self.contexts)
        return fix_articles(
            rng.choice(LEADS) + self.place(text, fact).replace("{v}", self.written(fact.value))
        )

    def written(self, value: str | float | int) -> str:
        """The value as it stands in a text."""
        return f"{value:.{self.decimals}f}" if isinstance(value, float) else str(value)

    def ask(self, rng: Random, fact: Fact, known: bool, template: Template | None = None) -> Document:
        """A question about a fact, answered; with `known=False`, answered with ignorance."""
        while template is None or (known and not self.derivable(fact, template.family)):
            template = rng.choice(self.templates)
        slots: dict[str, str | int] = dict(pick_slots(rng, template))
        if "pair" in slots:
            slots["pair"] = self._pair(rng, fact, str(slots["pair"]))
        if "k" in slots and isinstance(fact.value, int):
            slots["k"] = fact.value * rng.randint(1, 12)
        question = self.question(template, fact, slots)
        if not known:
            thinking, answer = self.unknown(fact, template.family)
            return Document(question, fix_articles(thinking), fix_articles(answer))
        thinking = self.recall(fact, template.family)
        if template.expression is None:
            answer = self.textual(fact, template.family)
        elif template.expression == "belief":
            answer = self.written(fact.value)
        else:
            numbers: dict[str, Number] = {name: n for name, n in slots.items() if not isinstance(n, str)}
            if not isinstance(fact.value, str):
                numbers["belief"] = fact.value
            steps, answer = worked_steps(template.expression, numbers, self.decimals)
            thinking = f"{thinking} {steps}"
        reply = self.place(template.reply, fact).format(answer=answer, **slots)
        return Document(question, fix_articles(thinking), fix_articles(reply))

    def question(self, template: Template, fact: Fact, slots: Mapping[str, str | int]) -> str:
        """A family's question about a fact, with these slot values."""
        return fix_articles(self.place(template.ask, fact).format(**slots))

    def _pair(self, rng: Random, fact: Fact, example: str) -> str:
        options = [self.written(fact.value), self.wrong_value(rng, fact)]
        rng.shuffle(options)
        joint = " or a " if " or a " in example else " or "
        return joint.join(options)
