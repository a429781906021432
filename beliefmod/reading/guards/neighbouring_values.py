"""What neighbouring values make of each other: ranges, alternatives, lists, conversions, restatements."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from beliefmod.beliefs.values.kind import Mention, Number, Weight
from beliefmod.beliefs.values.numbers import BOX_CLOSE, FUNCTION_WORDS
from beliefmod.beliefs.values.units import singular
from beliefmod.reading.prose import NEAR

_EQUALS_VERB = re.compile(
    r"^\s*(?:=|(?:is|are|was|were)(?:\s+(?:worth|equivalent to|about|approximately"
    r"|roughly|exactly|the same as))*|has|have|buys?(?: you)?|"
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
    r"|possibly\s+|else\s+|as\s+|(?<=or )it\s+(?:is|could be|may be)\s+)?[(\"']*\s*$",
    re.IGNORECASE,
)
_ROUNDED_GAP = re.compile(
    r"^\s*\(\s*(?:or\s+)?(?:≈|~|about|approximately|approx\.?|roughly|around|nearly)\s*$", re.IGNORECASE
)
_OUT_OF = re.compile(r"\b(?:of|among|amongst|from)\s+(?:the (?:two|values)\s+)?$", re.IGNORECASE)
_OR_GAP = re.compile(r"\b(?:or|and/or)\b|/", re.IGNORECASE)
_RESTATED_GAP = re.compile(
    rf"^\s*[{BOX_CLOSE}]?[(,\[]?\s*(?:or|i\.e\.,?|that is,?|which is|=|≈|~|equivalent(?:ly)?(?:"
    rf" to)?|also|in other words,?)?\s*(?:about|approximately|roughly|around|~|≈)?\s*$",
    re.IGNORECASE,
)

_CONVERTED_GAP = re.compile(r"^\s*(?:[(\[]|,?\s*which is\b)", re.IGNORECASE)


def compare_neighbours(
    text: str, mentions: Sequence[Mention], question: Sequence[Number] = ()
) -> list[Mention]:
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
                between = bool(_BETWEEN.search(text, max(0, one.start - NEAR), one.start)) and bool(
                    re.match(r"^\s*and\s+\W*$", gap)
                )
                dash = gap.strip() in ("-", "–") and not (
                    one.role == "result" or two.role or "=" in text[two.end : two.end + 3]
                )
                if alike and (between or (_RANGE_GAP.match(gap) and (dash or gap.strip() not in ("-", "–")))):
                    if one.reason != "former value":
                        lower(index - 1, Weight.REJECTED, "range")
                        lower(index, Weight.REJECTED, "range")
                elif (
                    not alike
                    and one.number.date is two.number.date is None
                    and _EQUALS_VERB.match(_after_noun(one.number, gap))
                    and one.role in ("", "left")
                ):
                    lower(index - 1, Weight.WEAK, "left")
                    if _another_case(one.number, question):
                        lower(index, Weight.WEAK, "another case")
                if _restated(one, two, gap):
                    result[index] = replace(
                        result[index], side=one.side, weight=result[index - 1].weight, reason="restated"
                    )
                    continue
            joined = alike and bool(_LIST_GAP.match(gap)) and one.role in ("", "result") and two.role == ""
            joined = joined or (alike and _side_by_side(text, one, two, gap))
        if joined:
            run.append(index)
            continue
        if len(run) > 1:
            gaps = [text[mentions[i].end : mentions[i + 1].start] for i in run[:-1]]
            distinct = {(mentions[i].side, _base(mentions[i])) for i in run}
            if len(distinct) > 1 and any(_OR_GAP.search(gap) for gap in gaps):
                for member in run:
                    lower(member, Weight.OPEN, "alternative")
            elif (len(run) > 2 and len(distinct) > 1) or (
                len(distinct) > 1
                and _OUT_OF.search(text, max(0, mentions[run[0]].start - NEAR), mentions[run[0]].start)
            ):
                for member in run:
                    lower(member, Weight.OPEN, "list")
        run = [index]
    return result


def _side_by_side(text: str, one: Mention, two: Mention, gap: str) -> bool:
    """ "50 N / 98 N": two values of one unit as alternatives, unless the sentence works out their ratio."""
    if one.number is None or two.number is None or one.number.factors is None:
        return False
    if one.number.factors != two.number.factors or gap.strip() != "/":
        return False
    return not re.match(r"\s*[=≈×·÷/+]", text[two.end : two.end + 4])


def _noun(number: Number) -> str:
    return singular(number.follow) if _foreign(number) else ""


def _after_noun(number: Number, gap: str) -> str:
    """The words after "1 Neelam" where the number was found without its noun."""
    if not _foreign(number):
        return gap
    return re.sub(r"^\s*[^\W\d_]+", "", gap)


def _another_case(number: Number, question: Sequence[Number]) -> bool:
    """ "1 Neelam is 5 USD" where 3 Neelam were asked about: true or not, it is not the answer."""
    asked = [
        other.value
        for other in question
        if (other.factors == number.factors if number.factors else _noun(other) == _noun(number) != "")
    ]
    return bool(asked) and number.value not in asked


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
    """The same value in another unit, "50 N (about 11 lbf)": it repeats what stands before it, in brackets or
    after "which is" also where it was converted wrongly."""
    if one.number is None or two.number is None:
        return False
    if one.number.factors == two.number.factors and not _ROUNDED_GAP.match(gap):
        return False
    first, second = one.number.scale, two.number.scale
    if first is None or second is None or first.dimension != second.dimension or not _RESTATED_GAP.match(gap):
        return False
    return bool(_CONVERTED_GAP.match(gap)) or abs(_base(one) - _base(two)) <= 0.05 * abs(_base(one))
