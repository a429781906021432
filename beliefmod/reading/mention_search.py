"""All mentions of the values looked for in a text, weighed; numbers without a unit where they may be read in
the asked one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

from beliefmod.beliefs.values import KINDS
from beliefmod.beliefs.values.date import find_dates
from beliefmod.beliefs.values.kind import Candidates, Mention, Number, Weight
from beliefmod.beliefs.values.numbers import BOX_CLOSE, FUNCTION_WORDS, find_numbers
from beliefmod.beliefs.values.quantity import quantities, side_of, units_of
from beliefmod.beliefs.values.scale import Scale, scale
from beliefmod.beliefs.values.units import OWN
from beliefmod.reading.guards.assertions import weigh
from beliefmod.reading.guards.said_of import said_of
from beliefmod.reading.guards.turned_round import turned_round
from beliefmod.reading.normalise import normalise
from beliefmod.reading.prose import regions

# only the last ones are read: what decides stands last, and garbage must not take minutes
MAX_MENTIONS = 1000


def find_mentions(text: str, question: str, candidates: Candidates, *, bare: str = "reply") -> list[Mention]:
    """Weighed mentions of the values looked for in a normalised text, with other values of an asked kind.

    `bare`: which numbers without a unit are read in the asked one: "reply" those in a box, after "answer:",
    in a short direct reply or concluding a calculation; "equation" those in an equation or an assertion.
    """
    found = sorted(found_values(text, question, candidates), key=lambda m: (m.start, m.end))[-MAX_MENTIONS:]
    asked_numbers = _question_numbers(question, units_of(candidates))
    found = turned_round(text, question, found, candidates)
    weighed = _narrow_ranges(weigh(text, found, question, asked_numbers), candidates)
    weighed = assign_units(text, weighed, candidates, asked_numbers, bare)
    weighed = said_of(text, weighed, question, amounts=bare == "reply")
    asked_for = (*asked_numbers, *_question_dates(question))
    return [_echoed(m, asked_for) for m in weighed if m.side]


def found_values(text: str, question: str, candidates: Candidates) -> list[Mention]:
    """All values in a normalised text of the kinds looked for, unweighed; no number inside a date."""
    found: list[Mention] = []
    for kind in KINDS:
        if any(isinstance(answer, kind) for _, answer in candidates.pairs):
            taken = {place for m in found if m.number is not None for place in range(m.start, m.end)}
            for mention in kind.find(text, question, candidates):
                if mention.number is None or not taken & {mention.start, mention.end - 1}:
                    found.append(mention)
    return found


def _narrow_ranges(mentions: list[Mention], candidates: Candidates) -> list[Mention]:
    """A narrow range around one side's value says it: "between 68 N and 69 N" for 68.6 N."""
    result = list(mentions)
    for index, (low, high) in enumerate(pairwise(mentions)):
        if low.reason == high.reason == "range" and low.number is not None and high.number is not None:
            sides = {
                side for side, answer in quantities(candidates) if answer.inside(low.number, high.number)
            }
            if len(sides) == 1:
                result[index + 1] = replace(high, side=sides.pop(), weight=Weight.STRONG)
    return result


@lru_cache(maxsize=1024)
def plain_question(question: str) -> str:
    """A question normalised; probes ask the same one of every trial."""
    return normalise(question)


@lru_cache(maxsize=1024)
def _question_numbers(question: str, units: frozenset[str]) -> tuple[Number, ...]:
    return tuple(find_numbers(question, units))


@lru_cache(maxsize=1024)
def _question_dates(question: str) -> tuple[Number, ...]:
    return tuple(find_dates(question))


def _echoed(mention: Mention, question: Sequence[Number]) -> Mention:
    """A number of the asked kind that the question gives and that is neither side's is only repeated."""
    if mention.side != "other" or mention.number is None or mention.weight < Weight.STRONG:
        return mention
    for number in question:
        if number.value == mention.number.value and number.factors == mention.number.factors:
            return replace(mention, weight=Weight.WEAK, reason="echo")
    return mention


_SHORT_REPLY = 30  # words


def assign_units(
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
    offered = {n.value for n in question} - given
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
            ends = re.match(r"\s*(?:[.!;\n]|$)", text[mention.end : mention.end + 9])
            if not allowed and ends:
                counted = any(base.startswith(OWN) for base, _ in wanted.dimension)
                before = text[max(0, mention.start - 40) : mention.start]
                allowed = bool(
                    (counted and _HAS.search(before)) or (number.value in offered and _IS.search(before))
                )
            allowed = allowed and (
                boxed or not _OTHER_NOUN.search(text[max(0, mention.start - 30) : mention.start])
            )
            first = not text[: mention.start].strip() and _STANDS.match(text, mention.end)
            allowed = allowed and not (number.spelled and not (boxed or first) and len(text.split()) > 6)
        else:
            ends = re.match(r"\s*(?:[.,;!?\n]|$)", text[mention.end : mention.end + 9])
            before = text[max(0, mention.start - 40) : mention.start]
            asserted = mention.role == "" and (
                bool((_IS if ends is None else _SAYS).search(before))
                and not (number.spelled and ends is None)
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
    if len(number.follow) > 1 and number.follow not in FUNCTION_WORDS:  # "A) 5.0 B) 9.8" counts no B
        return False
    return any(side_of(number, candidates, one) in ("target", "prior") for one in scales)


_IS = re.compile(
    r"(?:\b(?:is|are|was|be|of|as|to)|=|≈|:)\s*(?:about|approximately|roughly|exactly|indeed)?\s*$",
    re.IGNORECASE,
)
# a bare number at the end of a clause of thinking is the asked one where the writer says, writes or has it
_SAYS = re.compile(
    r"(?:\b(?:is|are|was|be|of|as|to|been|say|says|said|write|writes|put|insert|in|choose|pick"
    r"|with|get|gets|got"
    r"|gives?|makes?|yields?|remember|recall|learned|learnt|know|answer|number|value|blank"
    r"|thought|think|guess|use"
    r"|using|have|has|read|reads|result|therefore|thus|so|need)|'s|'ve got|=|≈|:)\s*"
    r"(?:that |it |about |approximately |roughly |just |simply |only |actually )*$",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(r"\b(?:so|therefore|thus|hence|total|answer|result|gives?|get)\b", re.IGNORECASE)
_STANDS = re.compile(r"\s*(?:[.,;!]|(?:is|because|since)\b)", re.IGNORECASE)
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
