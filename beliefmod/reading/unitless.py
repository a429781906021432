"""Numbers without a unit, and where they may be read in the asked one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from beliefmod.beliefs.values.kind import Candidates, Mention, Number, Weight
from beliefmod.beliefs.values.numbers import BOX_CLOSE, FUNCTION_WORDS
from beliefmod.beliefs.values.quantity import quantities, side_of
from beliefmod.beliefs.values.scale import Scale, scale
from beliefmod.beliefs.values.units import OWN
from beliefmod.reading.prose import regions

_SHORT_REPLY = 30  # words


def read_unitless(
    text: str, mentions: list[Mention], candidates: Candidates, question: Sequence[Number], mode: str
) -> list[Mention]:
    """Give bare numbers the asked unit where they may have it; the others keep side "" and fall away."""
    scales = list(dict.fromkeys(scale(answer.unit) for _, answer in quantities(candidates)))
    wanted = next((one for one in scales if one.dimension), None)
    if wanted is None:
        return mentions
    dimensions = frozenset(one.dimension for one in scales)
    united = any(
        m.number is not None and m.number.scale is not None and m.number.scale.dimension in dimensions
        and m.weight >= Weight.WEAK and m.reason not in ("left", "operand", "background")
        for m in mentions
    )  # fmt: skip
    short = len(text.split()) <= _SHORT_REPLY and not united
    given = {n.value for n in question if not _asked_for(n, candidates, scales)}
    announced = list(regions(text))
    result = []
    for mention in mentions:
        number = mention.number
        if number is None or number.factors is not None or mention.side:
            result.append(mention)
            continue
        boxed = any(s <= mention.start < e and firm for s, e, firm in announced)
        foreign = number.follow and number.follow not in FUNCTION_WORDS
        other_symbol = mode == "equation" and _other_symbol(text, mention.start, wanted)
        if mode == "reply":
            allowed = boxed or (short and number.value not in given) or _concludes(text, mention)
            if not allowed and any(base.startswith(OWN) for base, _ in wanted.dimension):
                ends = re.match(r"\s*(?:[.!;\n]|$)", text[mention.end : mention.end + 9])
                allowed = bool(_HAS.search(text[max(0, mention.start - 40) : mention.start]) and ends)
            allowed = allowed and (
                boxed or not _OTHER_NOUN.search(text[max(0, mention.start - 30) : mention.start])
            )
            allowed = allowed and not (number.spelled and not boxed and len(text.split()) > 6)
        else:
            asserted = (
                mention.role == ""
                and bool(_IS.search(text[max(0, mention.start - 40) : mention.start]))
                and not number.spelled
            )
            allowed = (mention.role != "" or asserted) and number.value not in given
        if foreign or not allowed or other_symbol or _other_symbol(text, mention.start, wanted):
            result.append(mention)
            continue
        for read_as in scales:
            side = side_of(number, candidates, read_as)
            if side in ("target", "prior"):
                break
        else:
            side = "other" if mode == "reply" else ""
        result.append(replace(mention, side=side or ""))
    return result


def _asked_for(number: Number, candidates: Candidates, scales: Sequence[Scale]) -> bool:
    """Whether a number of the question may be the answer: of the asked kind, or a bare value of one side,
    as in "which is it, 5.0 or 9.8?"."""
    if number.factors is not None:
        return number.scale is not None and any(number.scale.dimension == one.dimension for one in scales)
    if number.follow and number.follow not in FUNCTION_WORDS:
        return False
    return any(side_of(number, candidates, one) in ("target", "prior") for one in scales)


_IS = re.compile(
    r"(?:\b(?:is|are|was|be|of|as|to)|=|≈|:)\s*(?:about|approximately|roughly)?\s*$", re.IGNORECASE
)
_CONCLUSION = re.compile(r"\b(?:so|therefore|thus|hence|total|answer|result|gives?|get)\b", re.IGNORECASE)
_HAS = re.compile(r"\b(?:has|have|had|with)\s*(?:only|exactly)?\s*$", re.IGNORECASE)
_OTHER_NOUN = re.compile(
    r"\b(?:years?|age|date|score|rating|rate it|level|population|temperature|chapter"
    r"|rank|page|probability)\b",
    re.IGNORECASE,
)
_SYMBOL_BEFORE = re.compile(r"(?<![A-Za-z])([A-Za-z]{1,2})(?:_\w+)?\s*[=≈]\s*$")
_SYMBOLS_OF = {
    (("[length]", 1.0), ("[time]", -2.0)): frozenset("ga"),
    (("[length]", 1.0), ("[mass]", 1.0), ("[time]", -2.0)): frozenset("FWTNRPwf"),
    (("[length]", 1.0), ("[time]", -1.0)): frozenset("vuVs"),
    (("[length]", 2.0), ("[mass]", 1.0), ("[time]", -2.0)): frozenset("EWUKPQ") | {"PE", "KE", "Ep", "Ek"},
    (("[time]", 1.0),): frozenset("tTΔ"),
    (("[mass]", 1.0),): frozenset("mM"),
    (("[length]", 1.0),): frozenset("hdsxyLlrHD"),
}


def _other_symbol(text: str, start: int, wanted: Scale) -> bool:
    """Whether the number is assigned to a symbol of another quantity: "m = 5" is no acceleration."""
    symbol = _SYMBOL_BEFORE.search(text, max(0, start - 24), start)
    known = _SYMBOLS_OF.get(wanted.dimension)
    if symbol is None or known is None:
        return False
    return symbol[1] not in known and symbol[1].casefold() not in ("is", "be", "as", "of", "so")


def _concludes(text: str, mention: Mention) -> bool:
    """A bare result of a calculation or of "the answer is", with nothing after it in its sentence."""
    if not re.match(rf"[\s){BOX_CLOSE}]*(?:[.!;\n]|$)", text[mention.end : mention.end + 9]):
        return False
    line = text[
        max(text.rfind("\n", 0, mention.start), text.rfind(". ", 0, mention.start)) + 1 : mention.start
    ]
    return mention.role == "result" or bool(_IS.search(line) and _CONCLUSION.search(line))
