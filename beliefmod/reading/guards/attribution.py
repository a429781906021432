"""Whether a sentence says that somebody else holds the value that stands in it."""

from __future__ import annotations

import re

from beliefmod.reading.guards.negation import last_match

_I = re.IGNORECASE
_SPEECH = (
    r"(?:sa(?:y|ys|id|ying)|claim(?:s|ed|ing)?|think(?:s|ing)?|thought|believe[sd]?"
    r"|state[sd]?|stating|assert(?:s|ed)?|"
    r"argue[sd]?|suggest(?:s|ed)?|mention(?:s|ed|ing)?|report(?:s|ed)?|tell(?:s|ing)?|told|insist(?:s|ed)?|"
    r"assume[sd]?|hold|held|specif(?:y|ies|ied)|writes?|wrote|implie[sd]|imply"
    r"|propose[sd]?|quote[sd]?|quoting|"
    r"cite[sd]?|provides?|provided|refers?|referred|pretends?|guess(?:es)?|swears?|maintains?)"
)
_DISTANT = re.compile(
    r"\b(?:some|many|most|few|several|certain (?:people|sources)|people|others?"
    r"|another|everyone|everybody|someone|somebody|anyone|critics|"
    r"sceptics|skeptics|users?|questions?|prompts?|problems?|statements?|texts?"
    r"|passages?|contexts?|documents?|"
    r"articles?|premise|input|instructions?|teachers?|students?|friends?|myths?"
    r"|legends?|claims?|stories|story|"
    r"rumou?rs?|internet|websites?|blogs?|authors?|movie|film|game|novel|lore|professor"
    r"|colleague|brother|sister|"
    rf"the quiz|riddle)(?:\s+(?!I\b|we\b)[\w'/-]+){{0,4}}?\s+(?:\w+ly\s+)?(?:{_SPEECH}|gives?|gave|uses?)\b"
    rf"|\b(?:you|they|he|she|your (?:\w+\s+)?\w+)\s+(?:\w+ly\s+|have\s+|had\s+|just\s+"
    rf"|may\s+|might\s+)*{_SPEECH}\b"
    r"|\byou asked\b|\byour (?:question|claim|statement|prompt|value|figure)\b"
    r"|\b(?:is|are|was|were|been|be)\s+(?:\w+ly\s+|often\s+|sometimes\s+)*(?:said"
    r"|claimed|rumou?red|alleged|purported|supposed)\b"
    r"|\b(?:supposedly|allegedly|reportedly|purportedly|so-called|purported|alleged"
    r"|rumou?red|claimed|supposed)\b"
    r"|\b(?:claim|idea|belief|notion|rumou?r|assertion|statement|suggestion|legend"
    r"|premise)\s+(?:that|of|is that|says)\b"
    r"|\b(?:in|from) (?:the|your) (?:question|prompt)\b",
    _I,
)
_AUTHORITY = re.compile(
    r"\b(?:scientists?|physicists?|experts?|economists?|geographers?|textbooks?"
    r"|nasa|nist|wikipedia|sources|measurements?|"
    rf"researchers?|encyclop\w+|literature|standards?|science)(?:\s+[\w'-]+){{0,3}}?\s+(?:\w+ly\s+)?(?:{_SPEECH}"
    rf"|gives?|lists?|uses?|shows?)\b"
    r"|\b(?:is|are|was|were|been|be)\s+(?:\w+ly\s+|often\s+|sometimes\s+)*(?:believed"
    r"|thought|assumed|reported|cited|"
    r"quoted|considered|listed)\b|\bapparently\b|\bas (?:you|the|stated|claimed"
    r"|mentioned|given|specified|some)\b",
    _I,
)
_AGREED = re.compile(
    rf"(?:^|,|\band\b)\s*(?:just\s+)?as (?:you|the \w+|stated|given|mentioned|we)\b(?:\s+{_SPEECH}"
    rf"|\s+(?:gives?|gave|puts? it))?(?:\s+\w+)?,[^,;]*$",
    _I,
)
_ACCORDING = re.compile(r"\b(?:according to|as per|per the|based on the claim)\b", _I)
_OWN_REASONING = re.compile(
    r"^\s*(?:\w+\s+){0,3}?(?:newton|galileo|hooke|ohm|einstein|kepler|laws?|formulas?"
    r"|formulae|equations?|definitions?|principles?|"
    r"theorems?|calculations?|computation|kinematics?|mechanics|relation(?:ship)?"
    r"|conservation|rule|work|steps?)\b",
    _I,
)
_AUTHORITIES = re.compile(
    r"^\s*(?:the\s+|most\s+|all\s+|our\s+|my\s+)?(?:standard|official|modern|current"
    r"|known|established)?\s*(?:physics|science|"
    r"scientists|nasa|nist|wikipedia|textbooks?|measurements?|experts|physicists"
    r"|knowledge|understanding|training|data)\b",
    _I,
)
_ATTRIBUTION_BREAK = re.compile(
    r"[;—→]|\b(?:but|however|yet|although|though|whereas|while|so|therefore|thus"
    r"|hence|then|actually|wrong|incorrect|mistaken)\b"
    r"|\bin (?:fact|reality|truth)\b",
    _I,
)
_NEW_SUBJECT = re.compile(
    r",\s*(?:and\s+)?(?:it|it's|that's|this|I|we|here|the (?:actual|real|true|correct"
    r"|right|answer|force|speed|value|weight|"
    r"acceleration|energy|result|capital|currency))\b",
    _I,
)
_POST_ATTRIBUTION = re.compile(
    r"^[\s\"')\]]*,?\s*(?:according to(?P<who>.{0,40})|as (?P<as>stated|claimed"
    r"|given|mentioned|specified|said|suggested|you|the|"
    r"some|per|many)\b|(?:is|are|was) (?:just |only |merely )?(?:what|the (?:claim"
    r"|value (?:given|claimed|stated|mentioned)))\b"
    r"|(?:is|are|was) (?:\w+ly |often |sometimes )?(?:claimed|said|alleged|rumou?red)\b"
    r"|(?:some|many|people|you|they|the (?:question|prompt|user|problem))\s+(?:people\s+"
    r"|sources\s+)?(?:say|says|said|claims?|"
    r"claimed|think|believe|mention(?:s|ed)?|states?)\b)",
    _I,
)


def attribution(left: str, right: str) -> str | None:
    """`distant` where somebody else is said to hold it, `authority` for a trusted source, else None."""
    after = _POST_ATTRIBUTION.match(right)
    if after is not None:
        if after["who"] is not None:
            return _who(after["who"])
        return "authority" if after["as"] else "distant"
    found = last_match(_ACCORDING, left)
    if found is not None and not _ATTRIBUTION_BREAK.search(left[found.end() :]):
        who = _who(left[found.end() :])
        if who is not None:
            return who
    if _AGREED.search(left):
        return "authority"
    for pattern, kind in ((_DISTANT, "distant"), (_AUTHORITY, "authority")):
        found = last_match(pattern, left)
        if found is not None:
            between = left[found.end() :]
            if not _ATTRIBUTION_BREAK.search(between) and not _NEW_SUBJECT.search(between):
                return kind
    return None


def _who(name: str) -> str | None:
    if _OWN_REASONING.match(name):
        return None
    return "authority" if _AUTHORITIES.match(name) else "distant"
