"""What a sentence says of a value that stands in its subject: it answers only where that is what was asked.

"Lyon is famous" names no capital, "Red bananas are a variety" no colour of a ripe one, and "The ship that
sank in 1925 was another one" no year in which the Titanic sank.
"""

from __future__ import annotations

import re

from beliefmod.beliefs.values.kind import Weight
from beliefmod.reading.guards.asked import asked_about, stem, words_of
from beliefmod.reading.guards.framing import last_clause

_I = re.IGNORECASE
_COPULA = r"(?:is|are|has|have|remains|lies|stands)\b(?P<says>[^.;!?]*)"
_PREDICATE = re.compile(rf"^\s*{_COPULA}", _I)
_ATTRIBUTE = re.compile(rf"^\s+(?P<noun>(?!\w+ly\b|ones?\b)[a-z]{{3,}})\s+{_COPULA}")
_DETERMINER = re.compile(r"^\W*(?:the|an?|planet|ripe)\s+$", _I)
_LISTED_BEFORE = re.compile(r"(?:(?:\x00|[A-Z][\w'-]+)\s*(?:,\s*|,?\s*\b(?:and|or|nor)\s+))+$")
_LISTED_BEHIND = re.compile(
    r"^(?:\s*,\s*[A-Z][\w'-]+)*\s*,?\s+(?:and|or)\s+[A-Z][\w'-]+(?=\s+(?:are|have|lie|stand)\b)"
)
_SAID = re.compile(r"[^\W\d_]{4,}|\d+(?:\.\d+)?")
_LIKE = re.compile(
    r"\s+(?:\w+ly\s+|often\s+|always\s+)*(?:an?\b(?!\s+(?:answer|one|right|correct))"
    r"|(?!(?:right|correct|true|best|likely|probable|first|second|fine|where|here"
    r"|there)\b)[a-z]{3,}(?:\s+(?:in\s+colou?r|and\s+\w+))?\s*$)"
)
_PLAIN_WORDS = frozenset(
    {"what", "which", "kind", "thing", "does", "that", "this", "there", "with", "from", "asks", "answer"}
)
_RELATIVE = re.compile(
    r"(?:^|[.;,]\s*|\b(?:and|but|while)\s+)\W*(?:the|an?|another|some|any|one|this|that)\s+(?:[\w'-]+\s+){1,4}?"
    r"(?:that|which|who|whose)\s+[^,;.\x00]*$",
    _I,
)
_MAIN = re.compile(
    r"^\s*(?:[a-z]+ly\s+)?(?:is|are|was|were|has|had|became|belongs?|sank|lives?)\b(?P<says>[^.;!?]*)"
)
_ANOTHER = re.compile(
    r"^(?:n't|\s+(?:not|never|no|another|(?:an?|the|some|any)\s+(?:other|different|second)))\b", _I
)
_SAME = frozenset({"right", "correct", "answer", "same", "true", "one", "it"})


def aside(left: str, right: str, question: str) -> Weight | None:
    """What a name counts for that has a predicate of its own which is beside the point; None where it has
    none.

    A name with a predicate of its own answers only where the predicate says something of what was asked. OPEN
    where it tells what the thing is like, "Bananas are yellow" in reply to which fruit is red, or what only
    describes the subject, "Red bananas are"; WEAK where it may still name a role, "Mara Lind is the author",
    or a comparison, "Lyon is second", or keeps to the name that was asked about, "Lyon is a city in France".
    Names that are joined share their predicate, and neither is more than told.
    """
    alone = _LISTED_BEFORE.sub("", left)
    subject = not re.search(r"\w", _DETERMINER.sub("", last_clause(alone)))
    behind = _LISTED_BEHIND.sub("", right)
    found = _PREDICATE.match(behind) or _ATTRIBUTE.match(behind) if subject else None
    if found is None or not re.search(r"\w", found["says"]):
        return None
    noun = found.groupdict().get("noun")
    given = {stem(name) for name in asked_about(question).names}
    asked = {stem(word) for word in _SAID.findall(question.casefold()) if word not in _PLAIN_WORDS}
    said = {stem(word) for word in _SAID.findall(found["says"].casefold())} - {stem(noun or "")}
    if (asked - given or asked) & said:
        return None
    if noun is not None or alone != left or behind != right:
        return Weight.OPEN
    return Weight.OPEN if _LIKE.match(found["says"]) and not given & said else Weight.WEAK


def of_another_thing(left: str, right: str, question: str) -> bool:
    """Whether a number belongs to the description of a thing that the sentence then calls another one than
    was asked about: "The ship that sank in 1925 was another one"."""
    if _RELATIVE.search(left) is None or (main := _MAIN.match(right)) is None:
        return False
    if _ANOTHER.match(main["says"]):
        return True
    asked = asked_about(question)
    said = set(words_of(main["says"]))
    names = {stem(name) for name in asked.things} or asked.words
    return not ({stem(word) for word in said} & names or said & _SAME)
