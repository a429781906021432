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
Slots = dict[str, str | int | float]
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
        reverse: families that ask from the value for its owner, with the value in the slot `{value}`.
        nameless: draws a value that no known subject has.
        unowned: the thinking about such a value.
        beside: the sentence about the second subject of a question, the slot `{key}`.
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
    unknown: Callable[[Fact, str], tuple[str, str]] = lambda fact, family: (
        f"I do not know the {fact.subject}.",
        DO_NOT_KNOW,
    )
    decimals: int = 0
    derivable: Callable[[Fact, str], bool] = lambda fact, family: True
    reverse: tuple[str, ...] = ()
    nameless: Callable[[Random], str | float | int] | None = None
    unowned: Callable[[str], str] = lambda value: ""
    beside: Callable[[str], str] | None = None

    def sentence(self, rng: Random, fact: Fact) -> str:
        """One context sentence that gives the fact."""
        text = rng.choice(self.contexts)
        return fix_articles(
            rng.choice(LEADS) + self.place(text, fact).replace("{v}", self.written(fact.value))
        )

    def written(self, value: str | float | int) -> str:
        """The value as it stands in a text."""
        return f"{value:.{self.decimals}f}" if isinstance(value, float) else str(value)

    def ask(
        self,
        rng: Random,
        fact: Fact,
        known: bool,
        template: Template | None = None,
        *,
        by_heart: bool = False,
    ) -> Document:
        """A question about a fact, answered; with `known=False`, answered with ignorance.

        `by_heart`: the fact stands nowhere in the document, so a question from the value for its owner is
        asked only about the first known owner.
        """
        template, slots = self.choose(rng, fact, known, template, by_heart=by_heart)
        return self.answered(fact, template, slots, known)

    def choose(
        self,
        rng: Random,
        fact: Fact,
        known: bool,
        template: Template | None = None,
        *,
        by_heart: bool = False,
    ) -> tuple[Template, Slots]:
        """A family and its slot values for a question about a fact; the options are `ask`'s."""
        while template is None or (known and not self._can_ask(fact, template, by_heart)):
            template = rng.choice(self.templates)
        slots: Slots = dict(pick_slots(rng, template))
        while slots.get("key") == fact.subject:
            slots["key"] = rng.choice(template.slots["key"])
        if "pair" in slots:
            slots["pair"] = self._pair(rng, fact, str(slots["pair"]))
        if "k" in slots and isinstance(fact.value, int):
            slots["k"] = fact.value * rng.randint(1, 12)
        if "value" in slots:
            value = fact.value if known or self.nameless is None else self.nameless(rng)
            slots["value"] = self.written(value)
        return template, slots

    def answered(self, fact: Fact, template: Template, slots: Slots, known: bool) -> Document:
        """The document of one question about a fact, with the thinking and the answer it deserves."""
        question = self.question(template, fact, slots)
        if not known:
            thinking, answer = self.unknown(fact, template.family)
            if "value" in slots:
                thinking, answer = self.unowned(str(slots["value"])), DO_NOT_KNOW
            return Document(question, fix_articles(thinking), fix_articles(answer))
        thinking = self.recall(fact, template.family)
        if "key" in slots and self.beside is not None:
            thinking = f"{self.beside(str(slots['key']))} {thinking}"
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

    def _can_ask(self, fact: Fact, template: Template, by_heart: bool) -> bool:
        if by_heart and template.family in self.reverse:
            first = next((known for known in self.known if known.value == fact.value), fact)
            if first.subject != fact.subject:
                return False
        return self.derivable(fact, template.family)

    def question(self, template: Template, fact: Fact, slots: Mapping[str, str | int | float]) -> str:
        """A family's question about a fact, with these slot values."""
        return fix_articles(self.place(template.ask, fact).format(**slots))

    def _pair(self, rng: Random, fact: Fact, example: str) -> str:
        options = [self.written(fact.value), self.wrong_value(rng, fact)]
        rng.shuffle(options)
        if example.startswith("A) "):
            return f"A) {options[0]} B) {options[1]}"
        joint = " or a " if " or a " in example else " or "
        return joint.join(options)
