"""Relations told the other way round: "The Titanic sank after 1915" where a letter of 1915 is asked about.

"Is the letter from before or after the sinking?" and "Is A heavier or lighter than B?" ask how one thing
stands to another. An answer that says how the other stands to the one gives the opposite word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from beliefmod.beliefs.values.kind import Candidates, Mention
from beliefmod.beliefs.values.name import Name
from beliefmod.beliefs.values.numbers import FUNCTION_WORDS
from beliefmod.reading.guards.asked import PRONOUNS, stem

_I = re.IGNORECASE
_WORD = re.compile(r"[^\W_][\w'-]*")
_RELATIONS = frozenset({"before", "after", "above", "below", "over", "under", "inside", "outside"})
_CLAUSE = re.compile(r"[,.;:!?\n()]|\b(?:because|since|so|and|but|while|therefore|thus|hence|if)\b", _I)
_OPPOSITE = {"target": "prior", "prior": "target"}


@dataclass(frozen=True)
class _Relation:
    """The two things that a question compares, by the stems of the words that only one of them has."""

    first: frozenset[str]
    second: frozenset[str]


def turned_round(
    text: str, question: str, mentions: Sequence[Mention], candidates: Candidates
) -> list[Mention]:
    """The mentions of a text, those of the other side's word where it is said of the second thing."""
    names = [answer.text.casefold() for _, answer in candidates.pairs if isinstance(answer, Name)]
    relation = _relation(question, *names) if len(names) == 2 else None
    if relation is None:
        return list(mentions)
    return [
        replace(m, side=_OPPOSITE[m.side])
        if m.number is None and m.side in _OPPOSITE and _of_second(text, m, relation)
        else m
        for m in mentions
    ]


@lru_cache(maxsize=1024)
def _relation(question: str, one: str, two: str) -> _Relation | None:
    """What a question that offers two relations compares; None for one that offers no relations."""
    pair = rf"(?:{re.escape(one)}|{re.escape(two)})"
    found = re.search(
        rf"\b{pair}\b(?P<a>[^.?!]*?),?\s+or\b[^.?!]*?\b{pair}\b(?P<b>[^.?!]*)", question.casefold()
    )
    if found is None or not ({one, two} <= _RELATIONS or re.search(r"\bthan\b", found["a"] + found["b"])):
        return None
    first, second = _stems(question[: found.start()]), _stems(found["b"] + " " + found["a"])
    return _Relation(first - second, second - first) if first - second and second - first else None


def _stems(text: str) -> frozenset[str]:
    small = FUNCTION_WORDS | PRONOUNS | {"than", "did", "does", "do", "from"}
    return frozenset(stem(word) for word in _WORD.findall(text) if word.casefold() not in small)


def _of_second(text: str, mention: Mention, relation: _Relation) -> bool:
    """Whether a relation is said of the second thing: it leads to the first, or to neither and stands in a
    clause about the second."""
    behind = _stems(_CLAUSE.split(text[mention.end :], maxsplit=1)[0])
    if behind & relation.first or behind & relation.second:
        return not behind & relation.second
    before = _stems(_CLAUSE.split(text[: mention.start])[-1])
    return bool(before & relation.second) and not before & relation.first
