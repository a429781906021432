"""All mentions of the values looked for in a text, weighed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from beliefmod.reading.answer_matching import Sides
from beliefmod.reading.guards.assertions import weigh
from beliefmod.reading.mentions import Mention, Weight
from beliefmod.reading.name_mentions import find_names
from beliefmod.reading.normalise import normalise
from beliefmod.reading.numbers import Number, find_numbers, own_units
from beliefmod.reading.unitless import read_unitless

# only the last ones are read: what decides stands last, and garbage must not take minutes
MAX_MENTIONS = 1000


def find_mentions(text: str, question: str, sides: Sides, *, bare: str = "reply") -> list[Mention]:
    """Weighed mentions of the sides' values in a normalised text, with other values of an asked dimension.

    `bare`: "reply" reads bare numbers as `read_answer` says, "equation" those in an equation or an assertion.
    """
    units = own_units(*(answer.unit for _, answer in sides.pairs))
    numbers = find_numbers(text, units) if any(a.value is not None for _, a in sides.pairs) else []
    found = [Mention(n.start, n.end, sides.side_of(n) or "", n) for n in numbers]
    found += find_names(text, question, sides)
    found = sorted(found, key=lambda m: (m.start, m.end))[-MAX_MENTIONS:]
    asked_numbers = _question_numbers(question, units)
    weighed = weigh(text, found, question, asked_numbers)
    weighed = read_unitless(text, weighed, sides, asked_numbers, bare)
    return [_echoed(m, asked_numbers) for m in weighed if m.side]


@lru_cache(maxsize=1024)
def plain_question(question: str) -> str:
    """A question normalised; probes ask the same one of every trial."""
    return normalise(question)


@lru_cache(maxsize=1024)
def _question_numbers(question: str, units: frozenset[str]) -> tuple[Number, ...]:
    return tuple(find_numbers(question, units))


def _echoed(mention: Mention, question: Sequence[Number]) -> Mention:
    """A number of the asked kind that the question gives and that is neither side's is only repeated."""
    if mention.side != "other" or mention.number is None or mention.weight < Weight.STRONG:
        return mention
    for number in question:
        if number.value == mention.number.value and number.factors == mention.number.factors:
            return replace(mention, weight=Weight.WEAK, reason="echo")
    return mention
