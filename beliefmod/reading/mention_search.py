"""All mentions of the values looked for in a text, weighed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from beliefmod.beliefs.values import KINDS
from beliefmod.beliefs.values.date import find_dates
from beliefmod.beliefs.values.kind import Candidates, Mention, Number, Weight
from beliefmod.beliefs.values.numbers import find_numbers
from beliefmod.beliefs.values.quantity import units_of
from beliefmod.reading.guards.assertions import weigh
from beliefmod.reading.normalise import normalise
from beliefmod.reading.unitless import read_unitless

# only the last ones are read: what decides stands last, and garbage must not take minutes
MAX_MENTIONS = 1000


def find_mentions(text: str, question: str, candidates: Candidates, *, bare: str = "reply") -> list[Mention]:
    """Weighed mentions of the values looked for in a normalised text, with other values of an asked kind.

    `bare`: "reply" reads bare numbers as `read_answer` says, "equation" those in an equation or an assertion.
    """
    found = sorted(found_values(text, question, candidates), key=lambda m: (m.start, m.end))[-MAX_MENTIONS:]
    asked_numbers = _question_numbers(question, units_of(candidates))
    weighed = weigh(text, found, question, asked_numbers)
    weighed = read_unitless(text, weighed, candidates, asked_numbers, bare)
    asked_for = (*asked_numbers, *_question_dates(question))
    return [_echoed(m, asked_for) for m in weighed if m.side]


def found_values(text: str, question: str, candidates: Candidates) -> list[Mention]:
    """All values in a normalised text of the kinds looked for, unweighed; no number inside a date."""
    found: list[Mention] = []
    for kind in KINDS:
        if any(isinstance(answer, kind) for _, answer in candidates.pairs):
            taken = {place for m in found if m.number is not None for place in range(m.start, m.end)}
            for mention in kind.find(text, question, candidates):
                if mention.number is None or not taken & {mention.start, mention.end - 1}:
                    found.append(mention)
    return found


@lru_cache(maxsize=1024)
def plain_question(question: str) -> str:
    """A question normalised; probes ask the same one of every trial."""
    return normalise(question)


@lru_cache(maxsize=1024)
def _question_numbers(question: str, units: frozenset[str]) -> tuple[Number, ...]:
    return tuple(find_numbers(question, units))


@lru_cache(maxsize=1024)
def _question_dates(question: str) -> tuple[Number, ...]:
    return tuple(find_dates(question))


def _echoed(mention: Mention, question: Sequence[Number]) -> Mention:
    """A number of the asked kind that the question gives and that is neither side's is only repeated."""
    if mention.side != "other" or mention.number is None or mention.weight < Weight.STRONG:
        return mention
    for number in question:
        if number.value == mention.number.value and number.factors == mention.number.factors:
            return replace(mention, weight=Weight.WEAK, reason="echo")
    return mention
