"""Whether a name is only named in passing, where the question gives a value and asks what has it.

"Which planet has a gravity of 5.0 m/s^2?": Earth is the answer where the text says 5.0 of it, or where the
name stands as an answer ("It is Earth.", "Carla is on Earth.", "Earth."). Anywhere else ("half of Earth's
gravity", "the Moon, which orbits Earth") it is not.
"""

from __future__ import annotations

import re
from functools import lru_cache

from beliefmod.beliefs.values.numbers import FUNCTION_WORDS
from beliefmod.reading.guards.asked import (
    PRONOUNS,
    Amount,
    amounts_of,
    asked_about,
    same_amount,
    stem,
    words_of,
)
from beliefmod.reading.guards.framing import multiplied
from beliefmod.reading.guards.subject import GENERIC, VERB

_I = re.IGNORECASE
_BORDER = re.compile(
    r"[;:,(\n—]|\b(?:and|but|while|whereas|although|though|so|because|since|which|who)\b", _I
)
_FILL = r"(?:(?:the|an?|our|own|planet|surface of|[rh]ms|called|named|\w+ly|most)\s+)*[\"'(]*$"
_IS = re.compile(
    rf"(?:\b(?:is|are|was|were|be|say|mean|guess|choose|pick|answer|(?:reads?|hears?|learns?"
    rf"|tells?) (?:of|about))|'s|=|:)\s*{_FILL}",
    _I,
)
_PLACE = re.compile(rf"\b(?:on|in|at|from)\s+{_FILL}", _I)
_ENDS = re.compile(
    r"\s*(?:[^\w\s']|$|\b(?:because|since|as|where|with|which|that|has|have|had)\b)|\s+(?:is|was)\s*[.;!]", _I
)
_HAS = re.compile(r"\s*(?:has|have|had|is|are|was)\s+(?P<what>[^.;,\n]*)", _I)
_PREDICATE = re.compile(
    r"\s+(?:is|was|would be|must be)\s+(?P<says>(?:the|that|this|her|his|\w+'s)\b[^.;,\n]*)", _I
)


def in_passing(left: str, right: str, question: str) -> bool:
    """Whether the name between `left` and `right`, the rest of its sentence, is no answer to a question that
    gives a value; False for questions that give none."""
    given = _given(question)
    if not given:
        return False
    left, right = _BORDER.split(left)[-1], right
    has = _HAS.match(right)
    if has is not None and any(
        a.key == g.key and not same_amount(a.value, g.value) for a in amounts_of(has["what"]) for g in given
    ):
        return True
    clause = f"{left} \x00 {_BORDER.split(right)[0]}"
    if any(a.key == g.key and same_amount(a.value, g.value) for a in amounts_of(clause) for g in given):
        return multiplied(left)
    if right.startswith("'s") and not right.startswith("'s surface"):
        return True
    asked = asked_about(question).words
    place = _PLACE.search(left)
    if place is not None and re.search(r"\w", left[: place.start()]):
        verb = VERB.search(left, 0, place.start())
        return verb is None or not _of_asked(left[: verb.start()], asked)
    if _IS.search(left):
        return False
    words = words_of(re.sub(_FILL, "", left, flags=_I))
    if words:
        return stem(words[-1]) not in asked
    predicate = _PREDICATE.match(right)
    if predicate is not None:
        return not _of_asked(predicate["says"], asked)
    return _ENDS.match(right) is None


def _of_asked(words: str, asked: frozenset[str]) -> bool:
    """Whether all words that mean something are the question's, or stand for anything."""
    known = FUNCTION_WORDS | PRONOUNS | GENERIC
    return all(word in known or len(word) < 3 or stem(word) in asked for word in words_of(words))


@lru_cache(maxsize=1024)
def _given(question: str) -> tuple[Amount, ...]:
    """The amounts and dates that a question gives in digits."""
    return tuple(one for one in amounts_of(question) if question[one.start].isdigit())
