"""Every mention of a value in a text, and whether the text asserts it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from beliefmod.evaluate import guards
from beliefmod.evaluate.dress import BOX_CLOSE, BOX_OPEN
from beliefmod.evaluate.numbers import FUNCTION_WORDS, Number


class Weight(IntEnum):
    """How firmly a mention is asserted."""

    REJECTED = 0  # denied, compared, asked, supposed, part of a range
    OPEN = 1  # somebody else's value, or one of several alternatives
    WEAK = 2  # what is usual, given, possible or an operand: counts where nothing firmer stands
    STRONG = 3


@dataclass(frozen=True)
class Mention:
    """A number or a name in a text.

    Attributes:
        start, end: where it stands.
        side: "target", "prior" or "other".
        number: the number, None for a name.
        weight: how firmly it is asserted.
        reason: what lowered the weight, "" for a plain assertion.
        role: "result", "operand", "left" (of an equation) or "" outside equations.
        sentence: index of its sentence.
    """

    start: int
    end: int
    side: str
    number: Number | None = None
    weight: Weight = Weight.STRONG
    reason: str = ""
    role: str = ""
    sentence: int = 0

    @property
    def used(self) -> bool:
        """Whether a calculation uses it or it is asserted."""
        return self.weight == Weight.STRONG or (self.role != "" and self.weight == Weight.WEAK)


_NEAR, _FAR = 60, 400  # characters read around a mention: for its equation, for the guards
_ABBREVIATED = re.compile(
    r"(?:\b(?:approx|e\.g|i\.e|vs|eqs?|figs?|no|dr|mrs?|ms|u\.s|cf|ca|resp|est"
    r"|rs|st|prof|etc|a\.k\.a)|\b[A-Z])$",
    re.IGNORECASE,
)
_STOP = re.compile(rf"[.!?]+[\"'){BOX_CLOSE}\]]*(?=\s|$)|\n+")
_OPERATORS = "×·÷/+^√*"
_APPROXIMATELY = re.compile(
    r"\b(?:about|approximately|approx\.?|roughly|around|exactly|nearly|almost|just)\s*$", re.IGNORECASE
)
_EQUALS_VERB = re.compile(
    r"^\s*(?:=|(?:is|are|was|were)(?:\s+(?:worth|equivalent to|about|approximately"
    r"|roughly|exactly|the same as))*|buys?(?: you)?|"
    r"gets?(?: you)?|costs?|converts? (?:in)?to|corresponds? to|trades? (?:at|for)"
    r"|exchanges? for|can be exchanged for|"
    r"equivalent to|makes?|gives?(?: you)?|brings?|to|for|per|≈)\s*(?:about |approximately"
    r" |roughly |exactly )?$",
    re.IGNORECASE,
)
_RANGE_GAP = re.compile(r"^\s*(?:to|–|-|through|until|\.\.\.?|~|and up to)\s*(?:about\s+)?$", re.IGNORECASE)
_BETWEEN = re.compile(
    r"\bbetween\s+(?:the\s+|about\s+|values?\s+(?:of\s+)?|the values\s+)?[(]?$", re.IGNORECASE
)
_LIST_GAP = re.compile(
    r"^\s*[)\"']*\s*(?:,|,?\s*(?:and|or|and/or)|/)\s*(?:even\s+|maybe\s+|perhaps\s+"
    r"|possibly\s+|else\s+|it\s+(?:is|could be|may be)\s+|as\s+)?[(\"']*\s*$",
    re.IGNORECASE,
)
_OR_GAP = re.compile(r"\b(?:or|and/or)\b|/", re.IGNORECASE)
_RESTATED_GAP = re.compile(
    rf"^\s*[{BOX_CLOSE}]?[(,\[]?\s*(?:or|i\.e\.,?|that is,?|which is|=|≈|~|equivalent(?:ly)?(?:"
    rf" to)?|also|in other words,?)?\s*(?:about|approximately|roughly|around|~|≈)?\s*$",
    re.IGNORECASE,
)
_CONFIRMED = re.compile(
    r"\s*(?:yes|correct|right|indeed|exactly|that's right|that is right|true)\b", re.IGNORECASE
)
_QUOTED = re.compile(r"\"([^\"\n]{12,400})\"")


@dataclass(frozen=True)
class Sentence:
    """Attributes: start, end: its place; asks: whether it is a question."""

    start: int
    end: int
    asks: bool


def sentences(text: str) -> list[Sentence]:
    """Sentences of an undressed text; line ends separate them, abbreviations and decimals do not."""
    found: list[Sentence] = []
    start = 0
    for stop in _STOP.finditer(text):
        if (
            text[stop.start()] == "."
            and _ABBREVIATED.search(text, start, stop.start())
            and "\n" not in stop[0]
        ):
            unit_or_word = text[max(start, stop.start() - 3) : stop.start()]
            if not re.search(r"[\d\s/][A-Z]$", unit_or_word):  # "50 N." ends a sentence, "Dr." does not
                continue
        if text[start : stop.end()].strip():
            found.append(Sentence(start, stop.end(), "?" in stop[0]))
        start = stop.end()
    if text[start:].strip():
        found.append(Sentence(start, len(text), False))
    return found


def equation_role(text: str, start: int, end: int) -> str:
    """ "operand", "result" or "left" for a number in an equation, "" for one in prose.

    Example: in "10 × 5.0 = 50 N" the first two are operands and 50 N is the result.
    """
    behind, ahead = text[max(0, start - _NEAR) : start], text[end : end + _NEAR]
    left = behind.rstrip(f" (⟦[{BOX_OPEN}$~")
    left = _APPROXIMATELY.sub("", left).rstrip(" (~")
    right = ahead.lstrip(f" )⟧]{BOX_CLOSE}$")
    before, after = left[-1:], right[:1]
    minus_before = (
        before == "-" and bool(re.search(r"[\w)\]]\s+-$|[\w)]-$", left)) and text[start - 1 : start] != "-"
    )
    minus_after = bool(re.match(r"-\s+[\w(]|-\(", right)) and text[end : end + 1] != "-"
    juxtaposed = bool(re.search(r"\)\s?\($", behind)) or bool(re.match(r"\)\s?\(", ahead))
    if (before and before in _OPERATORS) or minus_before or juxtaposed:
        return "operand"
    if (after and after in _OPERATORS) or minus_after:
        return "operand"
    if before and before in "=≈→" and not re.search(r"[!<>]=$", left):
        return "result"
    return "left" if after and after in "=≈" else ""


def weigh(text: str, mentions: Sequence[Mention], question: str) -> list[Mention]:
    """The mentions with weight, reason, role and sentence; `mentions` in order of place."""
    parts = sentences(text)
    asked_bodies = {body.casefold() for body in guards.BODIES.findall(question)}
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
            weighed.append(
                replace(mention, role=role, sentence=number)
            )  # of another kind: only its place counts
            continue
        weight, reason = _judge(left, right, part, confirmed, mention, role)
        if weight >= Weight.WEAK and _other_body(text[start : mention.start], right, asked_bodies):
            weight, reason = Weight.OPEN, "other body"
        if weight == Weight.STRONG and _in_quotes(text, mention, question):
            weight, reason = Weight.OPEN, "quoted"
        weighed.append(replace(mention, weight=weight, reason=reason, role=role, sentence=number))
    return _groups(text, weighed)


def _judge(
    left: str, right: str, part: Sentence, confirmed: bool, mention: Mention, role: str
) -> tuple[Weight, str]:
    if guards.negated(left, right):
        return Weight.REJECTED, "negated"
    if part.asks and not confirmed:
        return Weight.REJECTED, "asked"
    supposed = guards.hypothetical(left, right)
    if supposed == "unreal":
        return Weight.REJECTED, "hypothetical"
    if mention.number is None and guards.compared(left, name=True):
        return Weight.REJECTED, "compared"
    if mention.number is not None and role == "":
        if guards.varies_from(left):
            return Weight.REJECTED, "range"
        if guards.compared(left):
            return Weight.REJECTED, "compared"
        if guards.multiplied(left):
            return Weight.REJECTED, "multiplied"
        if guards.changed_from(left, right):
            return Weight.REJECTED, "former value"
    source = guards.attribution(left, right)
    if source == "distant":
        return Weight.OPEN, "attributed"
    if source == "authority":
        return Weight.WEAK, "authority"
    if supposed == "condition":
        return Weight.WEAK, "condition"
    if guards.background(left) or (mention.number is None and guards.former(right)):
        return Weight.WEAK, "background"
    if guards.modal(left):
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
    if after is not None and (body := guards.BODIES.fullmatch(after["body"])):
        named_after = body[1].casefold()
        return named_after not in asked and not (not asked and named_after == "earth")
    named = [
        body.casefold()
        for body in guards.BODIES.findall(re.split(r"[;—]|\bbut\b|\bwhile\b|\bwhereas\b", clause)[-1])
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


def _groups(text: str, mentions: list[Mention]) -> list[Mention]:
    """Ranges, alternatives, lists, conversions: what two neighbouring values make of each other."""
    result = list(mentions)

    def lower(index: int, weight: Weight, reason: str) -> None:
        if result[index].weight > weight:
            result[index] = replace(result[index], weight=weight, reason=reason)

    run = [0]
    for index in range(1, len(mentions) + 1):
        joined = False
        if index < len(mentions):
            one, two = mentions[index - 1], mentions[index]
            gap = text[one.end : two.start]
            alike = _alike(one, two)
            if one.number and two.number:
                if result[index - 1].reason == "range" and alike and re.search(r"\bto\s+(?:about\s+)?$", gap):
                    lower(index, Weight.REJECTED, "range")
                between = bool(_BETWEEN.search(text, max(0, one.start - _NEAR), one.start)) and bool(
                    re.match(r"^\s*and\s+\W*$", gap)
                )
                dash = gap.strip() in ("-", "–") and not (
                    one.role == "result" or two.role or "=" in text[two.end : two.end + 3]
                )
                if alike and (between or (_RANGE_GAP.match(gap) and (dash or gap.strip() not in ("-", "–")))):
                    if one.reason != "former value":
                        lower(index - 1, Weight.REJECTED, "range")
                        lower(index, Weight.REJECTED, "range")
                elif not alike and _EQUALS_VERB.match(gap) and one.role in ("", "left"):
                    lower(index - 1, Weight.WEAK, "left")
                if _restated(one, two, gap):
                    result[index] = replace(
                        result[index], side=one.side, weight=result[index - 1].weight, reason="restated"
                    )
                    continue
            joined = alike and bool(_LIST_GAP.match(gap)) and one.role in ("", "result") and two.role == ""
        if joined:
            run.append(index)
            continue
        if len(run) > 1:
            gaps = [text[mentions[i].end : mentions[i + 1].start] for i in run[:-1]]
            distinct = {(mentions[i].side, _base(mentions[i])) for i in run}
            if len(distinct) > 1 and any(_OR_GAP.search(gap) for gap in gaps):
                for member in run:
                    lower(member, Weight.OPEN, "alternative")
            elif len(run) > 2 and len(distinct) > 1:
                for member in run:
                    lower(member, Weight.OPEN, "list")
        run = [index]
    return result


def _alike(one: Mention, two: Mention) -> bool:
    if (one.number is None) != (two.number is None):
        return False
    if one.number is None or two.number is None:
        return True
    first, second = one.number.scale, two.number.scale
    if _foreign(one.number) != _foreign(two.number) or (
        _foreign(one.number) and one.number.follow != two.number.follow
    ):
        return False
    return first is None or second is None or first.dimension == second.dimension


def _foreign(number: Number) -> bool:
    """Whether something unknown is counted: "5 Neelam" where nobody told what a Neelam is."""
    return number.factors is None and bool(number.follow) and number.follow not in FUNCTION_WORDS


def _base(mention: Mention) -> float:
    if mention.number is None:
        return 0.0
    scale = mention.number.scale
    return round(mention.number.value * (scale.factor if scale else 1.0), 9)


def _restated(one: Mention, two: Mention, gap: str) -> bool:
    """The same value in another unit, "50 N (about 11 lbf)": it repeats what stands before it."""
    if one.number is None or two.number is None or one.number.factors == two.number.factors:
        return False
    first, second = one.number.scale, two.number.scale
    if first is None or second is None or first.dimension != second.dimension or not _RESTATED_GAP.match(gap):
        return False
    return abs(_base(one) - _base(two)) <= 0.05 * abs(_base(one))
