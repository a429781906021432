"""Whether a text asserts the values that it mentions, or says that somebody else holds them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from beliefmod.beliefs.values.kind import Mention, Number, Weight
from beliefmod.reading.guards import framing
from beliefmod.reading.guards.beside import beside, denied_after, in_compound, of_another, question_words
from beliefmod.reading.guards.dated_event import of_another_event
from beliefmod.reading.guards.difference import counted_after_loss, difference, in_contrast, part_of_whole
from beliefmod.reading.guards.in_passing import in_passing
from beliefmod.reading.guards.negation import last_match, negated
from beliefmod.reading.guards.neighbouring_values import compare_neighbours
from beliefmod.reading.guards.predicate import aside, of_another_thing
from beliefmod.reading.guards.role import another_role
from beliefmod.reading.prose import Sentence, equation_role, sentences

_I = re.IGNORECASE
_FAR = 400  # characters of its sentence that the guards read on either side of a mention
_CONFIRMED = re.compile(r"\s*(?:yes|correct|right|indeed|exactly|that's right|that is right|true)\b", _I)


def weigh(
    text: str, mentions: Sequence[Mention], question: str, given: Sequence[Number] = ()
) -> list[Mention]:
    """The mentions with weight, reason, role and sentence; `mentions` in order of place.

    `given` are the numbers of the question.
    """
    parts = sentences(text)
    ends = [part.end for part in parts]
    weighed: list[Mention] = []
    for index, mention in enumerate(mentions):
        number = min(bisect_right(ends, mention.start), len(parts) - 1)
        part = parts[number]
        role = equation_role(text, mention.start, mention.end) if mention.number else ""
        start = max(part.start, mention.start - _FAR)
        left = _masked(text, start, mention.start, mentions[max(0, index - _FAR // 2) : index])
        right = text[mention.end : min(part.end, mention.end + _FAR)]
        confirmed = number + 1 < len(parts) and bool(_CONFIRMED.match(text, parts[number + 1].start))
        if mention.side == "" and mention.number is not None and mention.number.factors is not None:
            # of another kind: only its place counts
            weighed.append(replace(mention, role=role, sentence=number))
            continue
        weight, reason = _judge(left, right, part, confirmed, mention, role, question)
        if weight == Weight.STRONG and mention.number is None:
            said = aside(left, right, question)
            weight, reason = (weight, reason) if said is None else (said, "aside")
        named = (
            mention.number is None and text[mention.start : mention.end].casefold() not in question.casefold()
        )
        if named and weight > Weight.REJECTED and in_passing(left, right, question):
            weight, reason = Weight.REJECTED, "in passing"
        weighed.append(replace(mention, weight=weight, reason=reason, role=role, sentence=number))
    return compare_neighbours(text, weighed, given)


def _judge(
    left: str, right: str, part: Sentence, confirmed: bool, mention: Mention, role: str, question: str
) -> tuple[Weight, str]:
    date = None if mention.number is None else mention.number.date
    begins = date is not None and framing.begins_with(left)
    if not begins and negated(left, right):
        return Weight.REJECTED, "negated"
    if part.asks and not confirmed:
        return Weight.REJECTED, "asked"
    supposed = framing.hypothetical(left, right)
    if supposed == "unreal":
        return Weight.REJECTED, "hypothetical"
    if mention.number is None and (framing.compared(left, question, name=True) or in_contrast(left)):
        return Weight.REJECTED, "compared"
    if mention.number is None and (beside(left, right, question) or of_another(left, right, question)):
        return Weight.REJECTED, "beside"
    if mention.number is None and denied_after(right, question):
        return Weight.REJECTED, "denied"
    if mention.number is None and another_role(left, right, question):
        return Weight.REJECTED, "another role"
    if mention.number is None and framing.changed_from(left, right):
        return Weight.REJECTED, "former value"
    if mention.number is not None and role == "":
        if framing.varies_from(left):
            return Weight.REJECTED, "range"
        if framing.compared(left, question) or difference(left, right, question):
            return Weight.REJECTED, "compared"
        if counted_after_loss(left, mention.number, question):
            return Weight.REJECTED, "changed"
        if part_of_whole(left, right):
            return Weight.REJECTED, "part"
        if framing.multiplied(left):
            return Weight.REJECTED, "multiplied"
        if framing.changed_from(left, right, date=date is not None):
            return Weight.REJECTED, "former value"
        if date is not None and not begins and date.beside(left):
            return Weight.REJECTED, "compared"
        if date is not None and of_another_event(left, right, question):
            return Weight.REJECTED, "another event"
        if date is not None and in_compound(left, right, question_words(question)):
            return Weight.REJECTED, "beside"
    if mention.number is not None and of_another_thing(left, right, question):
        return Weight.REJECTED, "another thing"
    if framing.restricted(right, question):
        return Weight.REJECTED, "another case"
    if date is None and framing.past_state(left, right):
        return Weight.REJECTED, "past"
    source = attribution(left, right)
    if source == "distant":
        return Weight.OPEN, "attributed"
    if source == "authority":
        return Weight.WEAK, "authority"
    if supposed == "condition":
        return Weight.WEAK, "condition"
    if (
        framing.background(left, date=date is not None)
        or (mention.number is None and framing.former(right))
        or (mention.number is not None and framing.simplified(right))
    ):
        return Weight.WEAK, "background"
    if framing.conceded(left):
        return Weight.WEAK, "conceded"
    if framing.modal(left):
        return Weight.WEAK, "modal"
    if role in ("operand", "left"):
        return Weight.WEAK, role
    return Weight.STRONG, ""


def _masked(text: str, start: int, end: int, before: Sequence[Mention]) -> str:
    """The sentence up to `end`, each earlier mention replaced by one NUL, for the guards to see."""
    pieces, place = [], start
    for mention in before:
        if mention.start >= place and mention.end <= end:
            pieces += [text[place : mention.start], "\x00"]
            place = mention.end
    pieces.append(text[place:end])
    return "".join(pieces)


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
_AGREED = re.compile(
    rf"(?:^|,|\band\b)\s*(?:just\s+)?as (?:you|the \w+|stated|given|mentioned|we)\b(?:\s+{_SPEECH}"
    rf"|\s+(?:gives?|gave|puts? it))?(?:\s+\w+)?,[^,;]*$",
    _I,
)
_TAKEN = re.compile(
    r"\b(?:(?:mis)?tak(?:es?|ing|en)|(?:mis)?took|confus\w+|mix(?:es|ed|ing)?(?:\s+up)?)\s+(?:the\s+)?[\"'(]?$",
    _I,
)
_TAKEN_FOR = re.compile(r"[\s\"')]*(?:up\s+)?(?:for|with|as|and)\b", _I)
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
    r"|knowledge|understanding|training|data|statement|(?:given\s+|provided\s+)?information)\b",
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
    r"|(?:is|are|was|were|gets?|has been) (?:\w+ly |often |sometimes |at times |by \w+ |still )*"
    r"(?:claimed|said|alleged|rumou?red|mistaken|confused|mixed up|misidentified|misremembered"
    r"|credited|named|cited|listed|quoted"
    r"|(?:thought|believed|supposed|assumed|held|taken) (?:to be|to have|for)\b)"
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
    if _TAKEN.search(left) and _TAKEN_FOR.match(right):
        return "distant"
    found = last_match(_ACCORDING, left)
    if found is not None and not _ATTRIBUTION_BREAK.search(left[found.end() :]):
        who = _who(left[found.end() :])
        if who is not None:
            return who
    if _AGREED.search(left):
        return "authority"
    found = last_match(_DISTANT, left)
    if found is not None:
        between = left[found.end() :]
        if not _ATTRIBUTION_BREAK.search(between) and not _NEW_SUBJECT.search(between):
            return "distant"
    return None


def _who(name: str) -> str | None:
    if _OWN_REASONING.match(name):
        return None
    return "authority" if _AUTHORITIES.match(name) else "distant"
