"""Whether a clause ties a name to the role that the question asks for, or in another way.

Of "State the capital of Brimora": "Selwick is the capital" and "The capital city is Selwick" give it the
role; "Selwick is near the capital", "... the second city after the capital", "... was the former capital",
"... the silk capital" and "The largest city of Brimora is Selwick" do not. A role counts where it is the head
of what the name is said to be, with no word in front of it that makes it another one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from beliefmod.reading.guards.asked import asked_about, stem
from beliefmod.reading.guards.subject import GENERIC

_I = re.IGNORECASE
_ROLE = re.compile(
    r"\b(?P<role>[A-Za-z][a-z]{2,})\s+of\s+(?:the\s+)?[A-Z]|\b[A-Z]\w+'s\s+(?P<own>[a-z]{3,})\b"
)
_DETERMINER = r"(?:the|an?|its|his|her|their|our|one|this|that|[A-Z][\w-]*'s|country's|nation's)"
_IS = (
    r"(?:is|are|was|were|'s|remains?|becomes?|became|(?:has|had|have)\s+(?:been|become)"
    r"|(?:will|would|can|could|might|may|must|should)\s+be)"
)
_ADVERBS = (
    r"(?:(?:\w+ly|now|today|indeed|also|still|then|once|of course|in fact|at present|by law"
    r"|without (?:a )?doubt|by far)\s+)*"
)
_SAYS = re.compile(rf"^\s*(?:,[^,;.]*,\s*)?{_IS}\s+{_ADVERBS}(?P<says>[^.;:!?\n]*)")
_TOLD = re.compile(
    rf"(?:^|[,;:.]|\b(?:and|but|that|so|while)\b)\s*(?P<det>{_DETERMINER})\s+(?P<what>[\w'\s-]{{3,60}}?)"
    rf"(?:\s+(?:of|in|on)\s+(?:the\s+)?[\w-]+)?\s+{_IS}\s+{_ADVERBS}"
    r"(?:(?:called|named|known as)\s+)?(?:the\s+)?[\"'(]?$",
    _I,
)
_OWNED = re.compile(
    rf"(?:^|[,;:.]|\b(?:and|but|that|so|while)\b)\s*(?i:{_DETERMINER})\s+(?P<what>[\w'\s-]{{3,60}}?)"
    r"\s+of\s+(?:the\s+)?[A-Z][\w-]+\s+[a-z][^,;:.\x00]*$"
)
_DOES = re.compile(r"^\s+(?:\w+ly\s+)?(?!was\b|has\b|is\b|as\b)[a-z]{2,}(?:s|ed)\b(?P<says>[^.;:!?\n]*)")
_TOWARDS = re.compile(
    r"\b(?:near|close|next|outside|after|before|behind|beside|opposite|from|than|beyond|past|around|like|unlike"
    r"|to|with|without|against|(?:north|south|east|west)\w*\s+of|for|in|on)\b",
    _I,
)
_ENDS = re.compile(
    r"[,;(]|\b(?:I(?:'m)?|we|you|he|she|they|it|and|but|of|in|on|at|for|to|which|that|who|where|with|from|since|because)\b",
    _I,
)
_PLAIN = frozenset(
    {
        *(
            "official",
            "current",
            "actual",
            "real",
            "true",
            "present",
            "new",
            "modern",
            "only",
            "sole",
            "right",
        ),
        *(
            "correct",
            "legal",
            "formal",
            "national",
            "federal",
            "political",
            "administrative",
            "proud",
            "great",
        ),
        *("beautiful", "famous", "lovely", "historic", "bustling", "vibrant", "very", "one", "own", "state"),
        *(
            "present-day",
            "undisputed",
            "constitutional",
            "well-known",
            "same",
            "lively",
            "charming",
            "de",
            "facto",
        ),
    }
)
"""Words in front of a role that do not make it another one."""
_HEADS = frozenset(
    {"city", "town", "place", "seat", "one", "home", "government", "called", "location", "site"}
)


_OF_ANOTHER = re.compile(
    rf"\b(?!(?:{'|'.join(sorted(_HEADS | GENERIC))}|name|title|role|status)\b)[\w'-]+\s+of\b", _I
)


@dataclass(frozen=True)
class _Wanted:
    """Roles that the question asks for by "the ROLE of NAME", and stems of all its words."""

    roles: frozenset[str]
    words: frozenset[str]


@lru_cache(maxsize=1024)
def _wanted(question: str) -> _Wanted:
    found = {(one["role"] or one["own"]).casefold() for one in _ROLE.finditer(question)}
    roles = {stem(role) for role in found}
    return _Wanted(frozenset(roles), frozenset(asked_about(question).words))


def another_role(left: str, right: str, question: str) -> bool:
    """Whether the clause around a name, `left` and `right` of it, gives it something else than the role that
    was asked for; False where the question asks for none of the form "the capital of France"."""
    wanted = _wanted(question)
    if not wanted.roles:
        return False
    told = _TOLD.search(left) or _OWNED.search(left)
    if told is not None:
        return not any(_is_asked(part, wanted, told=True) for part in re.split(r"\band\b|,", told["what"]))
    if re.search(r"\w", re.split(r"[,;:.]|\b(?:and|but|while|so|that|the)\b", left, flags=_I)[-1]):
        return False
    said, does = _SAYS.match(right), _DOES.match(right)
    if said is not None:
        return not any(_is_asked(part, wanted, told=False) for part in _parts(said["says"]))
    return does is not None and any(_leads_to_role(part, wanted) for part in _parts(does["says"])[:1])


def _parts(says: str) -> list[str]:
    """What is said in the clause, phrase by phrase: "the capital" and "largest city"."""
    own = re.split(r",\s*(?:but|and|while|which|so)\b|\b(?:but|while|whereas)\b", says)[0]
    return re.split(r"\band\b|,", own)


def _leads_to_role(phrase: str, wanted: _Wanted) -> bool:
    """Whether a verb that is none of being leads to the role: "borders the capital", not "serves as the
    capital"."""
    words = [stem(word) for word in re.findall(r"[\w'-]+", phrase)]
    return bool(wanted.roles.intersection(words)) and "as" not in words


def _is_asked(phrase: str, wanted: _Wanted, *, told: bool) -> bool:
    """Whether a noun phrase may be the role. What a phrase that ends before a name is headed by (`told`) must
    be asked for; of what follows a name only another description of the role, or a place beside it, is none.
    """
    words = re.findall(r"[\w'-]+", phrase)
    at = next((i for i, word in enumerate(words) if stem(word) in wanted.roles), None)
    if at is not None:
        before = " ".join(words[:at])
        if not told and (_TOWARDS.search(before) or _OF_ANOTHER.search(before)) and "as" not in words[:at]:
            return False
        return _unchanged(words[:at], wanted)
    head = re.findall(r"[\w'-]+", _ENDS.split(phrase)[0])
    if not head:
        return not told
    last = head[-1].casefold()
    if stem(last) in wanted.words or last in _HEADS or (told and last in GENERIC):
        return _unchanged(head[:-1], wanted)
    return not told


def _unchanged(words: list[str], wanted: _Wanted) -> bool:
    """Whether no word in front of a role, back to its determiner, makes it another one ("former")."""
    for word in reversed(words):
        plain = word.casefold()
        if re.fullmatch(_DETERMINER, word, _I) or plain in ("as", "be", "both", "all"):
            return True
        if plain not in _PLAIN and not plain.endswith("ly") and stem(plain) not in wanted.words:
            return False
    return True
