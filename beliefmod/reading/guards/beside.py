"""Whether a name only stands beside the answer: inside a description, a place nearby, a comparison.

"A wendrik is a tool for scaling fish" gives no fish, "Varn lies north of Selwick" no Selwick, "a friend of
Mara Lind" no Mara Lind. What the question itself asks by ("What lies near Varn?") is not beside the point.
"""

from __future__ import annotations

import re

_I = re.IGNORECASE
_FILL = r"(?:(?:the|a|an|its|his|her|their|some|other|many|old|small|large|big|city|town|of)\s+){0,3}"
_NEAR = re.compile(
    r"\b(?P<word>(?:north|south|east|west|north-?east|north-?west|south-?east|south-?west|left|right"
    r"|ahead|outside|because|instead)"
    r"(?:ern)?(?:\s+\w+)?\s+of|near(?:by)?|close(?:st|r)?\s+to|nearest\s+to|next\s+to"
    r"|adjacent\s+to|beside|alongside|far\s+from"
    r"|away\s+from|past|via|leav(?:es?|ing)|depart(?:s|ed|ing)?\s+from|(?:starts?|started"
    r"|starting|begins?|sets?\s+(?:out|off))\s+(?:in|from)|"
    r"(?:km|miles|kilomet\w+|hours?|minutes?)\s+from|border(?:s|ing|ed\s+by)?|neighbou?r(?:s|ing)|between"
    r"|across\s+from|"
    r"opposite|behind|beyond|towards?|than|like|unlike|resembl\w+|similar\s+to|related\s+to"
    r"|compared\s+(?:to|with)|"
    r"named\s+(?:after|for)|inspired\s+by|includ(?:e|es|ed|ing)|others?|besides|along\s+with|as\s+well\s+as|"
    r"a\s+(?:friend|student|pupil|rival|relative|fan|follower"
    r"|neighbou?r)\s+of)\s+" + _FILL + r"(?:\w+\s+and\s+|\x00\s+and\s+)?[(\"']?$",
    _I,
)
_CLASS = (
    r"(?:kind|type|sort|surface|species|form|variety|breed|class|genus|family|group|member"
    r"|part|piece|region|city"
    r"|town|village|state|"
    r"county|province|district|land|country|island|name|word|term|word|case|example|lot|amount|mix\w*"
    r"|alloy|"
    r"number|pair|set|team|one|some|all|most|list)"
)
_DET = r"\b(?:a|an|the|his|her|its|their|some|any)\s+"
_PREP = (
    r"(?:for|of|with|without|from|by|about|on|onto|in|inside|into|under|over|through|against|made|used|filled"
    r"|covered)"
)
_MODIFIER = re.compile(
    rf"{_DET}(?P<noun>(?:[\w'-]+\s+){{1,3}}?)(?P<prep>{_PREP})\s+(?:(?:to|of|from|by|with"
    rf"|in)\s+)?(?:[a-z-]+\s+){{0,2}}[(\"']?$",
    _I,
)
_RELATIVE = re.compile(
    r"(?<!\bsay )(?<!\bsays )\b[\w'-]{3,},?\s+(?:that|which|who|whose|used\s+to|meant\s+to|made\s+to"
    r"|designed\s+to)\s+"
    r"(?P<words>(?:[\w'-]+\s+){1,5})[(\"']?$"
)
_DOING = re.compile(
    r"\ban?\s+(?!picture|image|drawing|photo|statue|toy|stamp|film|book|story|song"
    r"|thing)(?:[a-z]+\s+)?[a-z]{3,}\s+"
    r"(?!showing|being|depicting|featuring|meaning|called)[a-z]{3,}ing\s+(?:(?:an?|the|its|some|small)\s+)*$"
)
_COPULA = re.compile(
    r"\b(?:is|are|was|were|be|been|'s|means|called|named|known|has|have|had|say|says|said"
    r"|believe|think|so)\b",
    _I,
)
_COMPOUND = re.compile(r"^\s+(?P<noun>[a-z]{3,})\b")
_NO_NOUN = re.compile(
    r"(?:\w+(?:ing|ed|ly|s)|and|but|not|for|the|that|who|which|with|from|has|was|are|can|may|will|had|did"
    r"|does|were|been|found|"
    r"here|now|today|since|because|instead|only|too|also|then|than|when|where|while|into|near|over|under"
    r"|made|held|kept|known|"
    r"have|there|after|before|until|out|off|per|via|without|within|about|again|itself|although|though"
    r"|however)$"
)


_IN = re.compile(
    r"^\W*(?:\w+,\s+)?(?:on|in|at|for)\s+(?:the\s+)?(?:planet\s+|(?:city|country)\s+of\s+)?$", _I
)
_CLAUSE_FOLLOWS = re.compile(
    r"^,\s*(?:it's\b|(?:it|there|the|we|they|you|an?)\b[^.;,]*\b(?:is|are|was|were|has|have)\b)", _I
)
_OWNER = re.compile(r"\b(?P<role>[a-z]{4,})\s+(?:of|in|from)\s+(?:the\s+)?(?P<owner>[A-Z][\w'-]+)")

_CLAUSE = re.compile(r"[;,—]|\b(?:and|but|while|whereas)\b", _I)


def of_another(left: str, right: str, question: str) -> bool:
    """Whether the sentence gives the name to another owner than the one asked about: "Lyon is the capital of
    France" where the capital of Germany was asked for."""
    said = _OWNER.search(_CLAUSE.split(left)[-1]) or _OWNER.search(_CLAUSE.split(right)[0])
    if said is None or re.search(rf"\b{re.escape(said['owner'])}\b", question):
        return False
    return any(asked["role"] == said["role"] for asked in _OWNER.finditer(question))


_BUT_NOT = re.compile(
    r"^[^.;\x00]*?(?:,|\b(?:but|though|although|yet|and))\s+(?:it|that|this|which)\s+(?:is|was"
    r"|has)(?:n't|\s+not)\s+"
    r"(?:(?:an?|the|its|their|any)\s+)?(?P<what>[a-z]{4,})",
    _I,
)


def denied_after(right: str, question: str) -> bool:
    """Whether the sentence goes on to deny what was asked about: "Lyon is in France, but it is not a
    capital"."""
    denied = _BUT_NOT.match(right)
    return denied is not None and denied["what"].casefold() in question_words(question)


def beside(left: str, right: str, question: str) -> bool:
    """Whether the name between `left` and `right` (the rest of its sentence) is named beside the point.

    Earlier mentions are masked in `left` with "\\x00".
    """
    asked = question_words(question)
    near = _NEAR.search(left)
    if near is not None and near["word"].split()[0].casefold() not in asked:
        return True
    if _IN.match(left) and _CLAUSE_FOLLOWS.match(right):
        return True  # "On Earth, it's 9.81": where something else is said
    modifier = _MODIFIER.search(left)
    if modifier is not None and _modifies(modifier, left, right, asked):
        return True
    if _DOING.search(left):
        return True  # "a bird catching a fish"
    relative = _RELATIVE.search(left)
    if relative is not None and not _COPULA.search(relative["words"]):
        return not set(relative["words"].casefold().split()) & (asked - _SMALL)
    return in_compound(left, right, asked)


def question_words(question: str) -> set[str]:
    """The casefolded words of a question."""
    return set(re.findall(r"[\w'-]+", question.casefold()))


def in_compound(left: str, right: str, asked: set[str]) -> bool:
    """Whether a value only describes the noun behind it, "a Lyon suburb", "the 1925 film"; `asked` are the
    casefolded words of the question."""
    compound = _COMPOUND.match(right)
    return (
        compound is not None
        and re.search(rf"{_DET}(?:[\w-]+\s+)?$", left, _I) is not None
        and not _NO_NOUN.match(compound["noun"])
        and compound["noun"] not in asked
        and not re.fullmatch(_CLASS, compound["noun"])
    )


_SMALL = frozenset(
    {"a", "an", "the", "is", "are", "of", "in", "what", "which", "who", "does", "do", "it", "that", "to"}
)


def _modifies(modifier: re.Match[str], left: str, right: str, asked: set[str]) -> bool:
    """Whether the words before the name describe another thing: "a ring with a", "the sister of"."""
    words = modifier["noun"].split()
    noun, prep = words[-1].casefold(), modifier["prep"].casefold()
    named = prep in ("of", "in") or noun in ("word", "name", "term")
    if (re.fullmatch(_CLASS, noun) and named) or any(_COPULA.fullmatch(word) for word in words):
        return False
    if {word.casefold() for word in words} & (asked - _SMALL) or prep in asked - {"of"}:
        return False
    if prep in ("in", "on") and asked & {"where", "region", "country", "city", "place", "town", "state"}:
        return False
    first = not re.search(r"\w", left[: modifier.start()])
    after = re.match(r"\s+(?P<word>[a-z]{2,})", right)
    return not first or (
        after is not None and not re.fullmatch(r"in|on|at|for|and|or|too|as|of|by|with", after["word"])
    )
