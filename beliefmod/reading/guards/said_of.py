"""Of what a value is said: the subject, the place and the amount of its clause, compared with the question's.

"A spider has 7 legs; an ant has 6 legs." says 6 of another thing, "98 m/s after 10 s" of another time than
the 7 s that were asked about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from beliefmod.beliefs.values.kind import Mention, Weight
from beliefmod.beliefs.values.numbers import FUNCTION_WORDS, find_numbers
from beliefmod.reading.guards.asked import (
    Amount,
    Asked,
    Key,
    amounts_of,
    asked_about,
    key_of,
    same_amount,
    stem,
    words_of,
)
from beliefmod.reading.guards.negation import last_match
from beliefmod.reading.guards.subject import GENERIC, VERB, is_entity, subject_of
from beliefmod.reading.prose import Sentence, equation_role, sentences

_I = re.IGNORECASE
_BORDER = re.compile(
    r"[;:,—(]|\b(?:and|but|while|whereas|although|though|so|which|whose|because|since|yet|or|than)\b", _I
)
_OTHER_NAME = re.compile(
    r"\b(?P<role>[a-z]{4,})\s+(?:(?:is|was|of|called|named|city|town|the)\s+)*(?P<name>[A-Z][\w-]*[a-z]\w*)"
)
_EACH = re.compile(
    r"\s*(?:per|each|every|(?:for|in|of) (?:each|every|an?))\s+[^\W\d_]+|\s*(?:each|apiece)\b", _I
)
_PER_BEHIND = re.compile(r"\d[^\d]*\bper$")
_SO = re.compile(r"\b(?:so|therefore|thus|hence|which makes|that makes|giving)\b", _I)
_BRACKET = re.compile(r"\s*\([^()]*\)")
_APIECE = re.compile(r"^\W*(?:each|apiece)\b(?!\s+[^\W\d_])|^\s*(?:each|apiece)\b\s*(?:[.,;)]|$)", _I)


def said_of(text: str, mentions: Sequence[Mention], question: str, *, amounts: bool) -> list[Mention]:
    """The mentions, those lowered that are said of something else than the question asks about.

    Of another amount or time -> rejected (only with `amounts`: thinking works with the value of one); of
    another named thing -> open; of another kind of thing -> weak, for it may be a wider word ("an
    arachnid").
    """
    result = list(mentions)
    valued = [i for i, m in enumerate(mentions) if m.side]
    if not valued or not question:
        return result
    asked = asked_about(question)
    given = [one for one in amounts_of(text) if one.key in asked.amounts] if amounts and asked.amounts else []
    answered = {key_of(number) for i in valued if (number := mentions[i].number) is not None}
    given = [one for one in given if one.key not in answered]
    other, about = "", {}
    for part in sentences(text):
        inside = [i for i in valued if part.start <= mentions[i].start < part.end]
        if not inside:
            spoken = subject_of(text[part.start : part.end], "", asked, other)
            other = other if spoken is None else spoken
            continue
        for index, left, right in _zones(text, part, mentions, inside):
            mention = mentions[index]
            end = _end(text, mention, left, right)
            # "the currency of Laughtale": behind a name stands more of it, no place
            behind = "" if mention.number is None else text[mention.end : end]
            spoken = subject_of(text[left : mention.start], behind, asked, other)
            other = other if spoken is None else spoken
            weight = {"named": Weight.OPEN, "kind": Weight.WEAK}.get(other, Weight.STRONG)
            reason = "another subject"
            # "after", of two words to choose from, and "currency" are no things that have subjects or amounts
            named = mention.number is None and text[mention.start].isupper()
            if named:
                clause = f"{text[left : mention.start]}\x00{text[mention.end : end]}"
                about[index] = _about(clause, asked)
                if _other_pair(clause, asked):
                    weight = Weight.REJECTED
            if (
                (named or mention.number is not None)
                and amounts
                and _another_amount(text, _concluded(text, left, mention), end, mention, given, asked)
            ):
                weight, reason = Weight.REJECTED, "another amount"
            if weight < mention.weight:
                result[index] = replace(mention, weight=weight, reason=reason)
    return _told_of_names(result, about)


def _about(clause: str, asked: Asked) -> bool:
    """Whether a clause speaks in words of the question, or in hardly any of its own: "It is Lyon."."""
    words = {word for word in words_of(clause) if len(word) > 3 and word not in FUNCTION_WORDS | GENERIC}
    told = asked.words - {stem(name) for name in asked.names} or asked.words
    return not words or bool({stem(word) for word in words} & told)


def _told_of_names(mentions: list[Mention], about: Mapping[int, bool]) -> list[Mention]:
    """Of names that are told of different things, those told of what was asked count; else the first."""
    told = [i for i in about if mentions[i].weight == Weight.STRONG]
    if len({mentions[i].side for i in told}) > 1:
        kept = [i for i in told if about[i]] or told[:1]
        for index in told:
            if index not in kept:
                mentions[index] = replace(mentions[index], weight=Weight.WEAK, reason="aside")
    return mentions


def _zones(
    text: str, part: Sentence, mentions: Sequence[Mention], inside: Sequence[int]
) -> Iterable[tuple[int, int, int]]:
    """The sentence cut between its values, as `(index, start, end)`: what stands in front of a value and
    behind it up to the next border is said of it."""
    cuts = [part.start]
    for one, two in pairwise(inside):
        end, start = mentions[one].end, mentions[two].start
        each = _EACH.match(text, end, start)
        end = each.end() if each else end
        border = _BORDER.search(text, end, max(end, start))
        cuts.append(border.start() if border else end)
    cuts.append(part.end)
    return [(index, left, right) for index, (left, right) in zip(inside, pairwise(cuts), strict=True)]


def _end(text: str, mention: Mention, left: int, right: int) -> int:
    """Where the clause of a value ends: at the next border, but behind brackets, and for a name behind the
    comma of "On Earth, ..."."""
    bracket = _BRACKET.match(text, mention.end, right)
    if mention.number is not None and bracket is not None:
        return bracket.end()
    border = _BORDER.search(text, mention.end, right)
    opening = mention.number is None and not VERB.search(text, left, mention.start)
    if border is not None and opening and border[0] == ",":
        border = _BORDER.search(text, border.end(), right)
    return border.start() if border else right


def _other_pair(clause: str, asked: Asked) -> bool:
    """Whether a clause ties a name to another name than the question does: "France has the capital Paris"
    where the country with the capital Lyon was asked for."""
    stems = {stem(word) for word in words_of(clause)}
    if not asked.names or stems & {stem(name) for name in asked.names} or not stems & asked.words:
        return False
    return any(
        stem(one["role"]) in asked.words and is_entity(one["name"].casefold(), asked)
        for one in _OTHER_NAME.finditer(clause)
    )


def _concluded(text: str, left: int, mention: Mention) -> int:
    """Where the conclusion begins that a value stands in: what is in front of "so" is a step to it."""
    found = last_match(_SO, text[left : mention.start])
    return left if found is None else left + found.end()


def _another_amount(
    text: str, left: int, right: int, mention: Mention, given: Sequence[Amount], asked: Asked
) -> bool:
    """Whether the words around a value give an amount that the question gives otherwise."""
    found: dict[Key, list[object]] = {}
    for one in given:
        in_front, inside = one.end <= mention.start, left <= one.start and one.end <= right
        if not inside or not (in_front or one.start >= mention.end):
            continue
        if one.key == "date" and mention.number is not None:
            continue
        # "3 Neelam × 5 USD per Neelam = 15 USD"
        of_another = in_front and bool(_PER_BEHIND.search(text, left, one.start + 3))
        if not of_another and equation_role(text, one.start, one.end) != "operand":
            found.setdefault(one.key, []).append(one.value)
    if any(not any(same_amount(v, w) for v in vs for w in asked.amounts[key]) for key, vs in found.items()):
        return True
    opening = mention.number is None and not VERB.search(text, left, mention.start)
    if opening and not found and re.match(r",\s", text[mention.end : right]) and asked.amounts:
        clause = find_numbers(text[mention.end : right])  # "On Earth, it is 9.81 metres" for 5.0 m/s^2
        values = [w for ws in asked.amounts.values() for w in ws]
        if clause and not any(same_amount(n.value, w) for n in clause for w in values):
            return True
    several = any(v != 1.0 for key, vs in asked.amounts.items() if isinstance(key, str) for v in vs)
    return several and bool(_APIECE.match(text[mention.end : right]))
