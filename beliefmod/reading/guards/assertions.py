"""Whether a text asserts the values that it mentions."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from beliefmod.beliefs.values.kind import Mention, Number, Weight
from beliefmod.reading.guards import framing
from beliefmod.reading.guards.attribution import attribution
from beliefmod.reading.guards.negation import negated
from beliefmod.reading.guards.neighbouring_values import regroup
from beliefmod.reading.prose import Sentence, equation_role, sentences

_FAR = 400  # characters of its sentence that the guards read on either side of a mention
_CONFIRMED = re.compile(
    r"\s*(?:yes|correct|right|indeed|exactly|that's right|that is right|true)\b", re.IGNORECASE
)
_QUOTED = re.compile(r"\"([^\"\n]{12,400})\"")


def weigh(
    text: str, mentions: Sequence[Mention], question: str, given: Sequence[Number] = ()
) -> list[Mention]:
    """The mentions with weight, reason, role and sentence; `mentions` in order of place.

    `given` are the numbers of the question.
    """
    parts = sentences(text)
    asked_bodies = {body.casefold() for body in framing.BODIES.findall(question)}
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
        weight, reason = _judge(left, right, part, confirmed, mention, role)
        dated = mention.number is not None and mention.number.date is not None
        if (
            weight >= Weight.WEAK
            and not dated
            and _other_body(text[start : mention.start], right, asked_bodies)
        ):
            weight, reason = Weight.OPEN, "other body"
        if weight == Weight.STRONG and mention.number is None and framing.aside(left, right, question):
            weight, reason = Weight.WEAK, "aside"
        if weight == Weight.STRONG and _in_quotes(text, mention, question):
            weight, reason = Weight.OPEN, "quoted"
        weighed.append(replace(mention, weight=weight, reason=reason, role=role, sentence=number))
    return regroup(text, weighed, given)


def _judge(
    left: str, right: str, part: Sentence, confirmed: bool, mention: Mention, role: str
) -> tuple[Weight, str]:
    date = None if mention.number is None else mention.number.date
    if date is not None and framing.begins_with(left):
        return Weight.STRONG, ""
    if negated(left, right):
        return Weight.REJECTED, "negated"
    if part.asks and not confirmed:
        return Weight.REJECTED, "asked"
    supposed = framing.hypothetical(left, right)
    if supposed == "unreal":
        return Weight.REJECTED, "hypothetical"
    if mention.number is None and framing.compared(left, name=True):
        return Weight.REJECTED, "compared"
    if mention.number is not None and role == "":
        if framing.varies_from(left):
            return Weight.REJECTED, "range"
        if framing.compared(left):
            return Weight.REJECTED, "compared"
        if framing.multiplied(left):
            return Weight.REJECTED, "multiplied"
        if framing.changed_from(left, right, date=date is not None):
            return Weight.REJECTED, "former value"
        if date is not None and date.beside(left):
            return Weight.REJECTED, "compared"
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


_BODY_AFTER = re.compile(
    r"^\s*(?:\(|,?\s*(?:on|for|at|of|from)\s+(?:the\s+)?(?:surface of\s+)?(?:the\s+)?)(?P<body>[A-Za-z]+)\b",
    re.IGNORECASE,
)


def _other_body(clause: str, right: str, asked: set[str]) -> bool:
    """Whether the words around the value speak of a planet or moon that was not asked about."""
    after = _BODY_AFTER.match(right)
    if after is not None and (body := framing.BODIES.fullmatch(after["body"])):
        named_after = body[1].casefold()
        return named_after not in asked and not (not asked and named_after == "earth")
    named = [
        body.casefold()
        for body in framing.BODIES.findall(re.split(r"[;—]|\bbut\b|\bwhile\b|\bwhereas\b", clause)[-1])
    ]
    if not named:
        return False
    last = named[-1]
    return last not in asked and not (not asked and last == "earth")


def _in_quotes(text: str, mention: Mention, question: str) -> bool:
    """Whether the mention stands in a quotation of several words taken from the question."""
    if '"' not in text:
        return False
    for quoted in _QUOTED.finditer(text, max(0, mention.start - _FAR), mention.end + _FAR):
        if quoted.start() < mention.start and mention.end <= quoted.end() and len(quoted[1].split()) >= 4:
            return " ".join(quoted[1].casefold().split()).strip(" .?!") in " ".join(
                question.casefold().split()
            )
    return False
