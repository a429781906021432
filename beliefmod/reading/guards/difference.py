"""Whether a number says by how much two things differ, or what something compared with has, and not how much
what was asked about is.

"5.0 m/s^2 less than on Jupiter" gives no gravity of Earth, nor does "twice that of Zed at 5.0 m/s^2". Where
the question asks for a difference ("By how much does it grow?") it is one.
"""

from __future__ import annotations

import re

from beliefmod.beliefs.values.kind import Number
from beliefmod.beliefs.values.units import OWN
from beliefmod.reading.guards.negation import last_match

_I = re.IGNORECASE
_MORE = (
    r"(?:more|less|fewer|higher|lower"
    r"|(?!(?:rather|other|whether|further|under|over|after|per)\b)[a-z]{3,}er)"
)
_THAN = re.compile(
    rf"^\s*\)?\s*(?:\w+ly\s+)?(?:{_MORE}\s+(?:\w+\s+){{0,3}}?than\b|(?:more|less|fewer|higher"
    rf"|lower)\s*(?:[.,;)]|$)|(?:above|below|short\s+of)\s+(?:that|the|what)\b)",
    _I,
)
_THAN_NAMED = re.compile(
    rf"^\s*{_MORE}\s+(?:\w+\s+){{0,3}}?than\s+(?:on|in|at|for|that\s+(?:of"
    rf"|on))\s+(?:the\s+)?(?P<name>[A-Z]\w+)"
)
_BY = re.compile(
    r"\b(?:differ(?:s|ed)?|exceed(?:s|ed)?|surpass(?:es|ed)?|rais(?:es?|ed)|reduc(?:es?|ed)|lower(?:s|ed)?"
    r"|increas(?:es?|ed)|decreas(?:es?|ed)|higher|less|more|greater|smaller|larger|weaker"
    r"|stronger|bigger)\b[^.;]{0,60}"
    r"\bby\s+(?:about\s+|roughly\s+|approximately\s+|only\s+|exactly\s+|around\s+|some\s+)?[(]?$",
    _I,
)
_IN_CONTRAST = re.compile(
    r"\b(?:unlike|in contrast (?:to|with)|contrary to|as opposed to|different(?:ly)? from"
    r"|compared (?:to|with))\b"
    r"[^,;.\x00]{1,60},?\s*\b(?:where|in which|on which|whose|which|namely|who)\b[^,;.\x00]{0,40}$",
    _I,
)
_PART = re.compile(
    r"(?:\d|\b(?:two|three|four|five|six|seven|eight|nine|ten)|\x00)\s*[a-z]*\s+of\s+(?:about\s+)?$", _I
)
_THAT_OF = re.compile(
    r"\bthat\s+(?:of|on|in)\s+(?:[\w'’-]+\s+){1,5}(?:at|with|of)\s+(?:about\s+|roughly\s+)?$", _I
)
_HAS = re.compile(r"\b(?:has|have|had|is|are|with|left|leav\w+|remain\w*|keeps?|kept|of)\b", _I)
_ASKED = re.compile(
    r"\bby how (?:much|many)\b|\bdifferen\w+|\bhow (?:much|many|far|old"
    r"|long)\b[^.?!]*\b(?:more|less|fewer|after|before"
    r"|later|earlier|since|until|passed|lose|gain|grow|rise|drop|slow\w*|change\w*|remain\w*|left)\b"
    r"|\bhow much\s+[a-z]{3,}er\b",
    _I,
)


def difference(left: str, right: str, question: str) -> bool:
    """Whether the number between `left` and `right`, the rest of its sentence, is only a difference, or the
    value of something that is compared with; False where the question asks for a difference."""
    if _THAT_OF.search(left) or in_contrast(left):
        return True
    of_another = _THAN_NAMED.match(right)
    if of_another is not None and of_another["name"] not in question:
        return True
    return bool(_THAN.match(right) or _BY.search(left)) and not _ASKED.search(question)


def in_contrast(left: str) -> bool:
    """Whether the clause describes what is contrasted with: "Unlike in the example, where it was", "in
    contrast to Spain, whose capital is"."""
    return bool(_IN_CONTRAST.search(left))


_LOST = re.compile(
    r"\b(?:los(?:es?|t|ing)|missing|lacks?|lacking|(?:remov|amputat|injur|snapp|sever)\w*|(?:cuts?|cutting|tears?|torn"
    r"|tore|breaks?|broken|bitten|falls?|fell)\s+(?:\w+\s+)?off|taken\s+away|without\s+(?:one|two|a)\b)",
    _I,
)


def counted_after_loss(left: str, number: Number, question: str) -> bool:
    """Whether things are counted that are left of more: "Spiders lose a leg and then have 7 legs"."""
    counted = number.factors is not None and all(name.startswith(OWN) for name, _ in number.factors)
    found = last_match(_LOST, left) if counted else None
    return found is not None and bool(_HAS.search(left, found.end())) and not _LOST.search(question)


def part_of_whole(left: str, right: str) -> bool:
    """Whether a whole is only taken apart: the 2 of "8 legs: 4 pairs of 2 legs each"."""
    return bool(_PART.search(left)) and bool(re.match(r"\s*(?:each|apiece|per)\b", right, _I))
