"""The stance of a final answer: which world's value it asserts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, Protocol

from beliefmod.beliefs.quantities import TOLERANCE, Scale, rescale, scale
from beliefmod.beliefs.units import OWN
from beliefmod.evaluate.assertions import Mention, Weight, weigh
from beliefmod.evaluate.dress import BOX_CLOSE, BOX_OPEN, undress
from beliefmod.evaluate.guards import last_match
from beliefmod.evaluate.ignorance import ignorant, undecided
from beliefmod.evaluate.numbers import FUNCTION_WORDS, Number, find_numbers, own_units

Stance = Literal["target", "prior", "hedged", "ignorance", "other", "none"]
STANCES: tuple[Stance, ...] = ("target", "prior", "hedged", "ignorance", "other", "none")
DERIVED_TOLERANCE = 0.03
_PRECISE = 0.0025
MAX_MENTIONS = (
    1000  # only the last ones are read: what decides stands last, and garbage must not take minutes
)
_SHORT_REPLY = 30  # words


class Answerlike(Protocol):
    """What is needed of `beliefmod.beliefs.Answer`."""

    @property
    def value(self) -> float | None: ...
    @property
    def unit(self) -> str | None: ...
    @property
    def text(self) -> str | None: ...
    @property
    def aliases(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Sides:
    """The values to look for, each with its side ("target" or "prior"), in order of precedence."""

    pairs: tuple[tuple[str, Answerlike], ...]
    tolerance: float = TOLERANCE

    def scales(self) -> frozenset[tuple]:
        """Dimensions of the numeric values."""
        return frozenset(_scale(a.unit).dimension for _, a in self.pairs if a.value is not None)

    def side_of(self, number: Number, bare_as: Scale | None = None) -> str | None:
        """The side whose value the number is; "other" for another value of an asked dimension, None
        otherwise.

        A bare number is read in the unit `bare_as`, or in each value's own unit where that is a plain number.
        """
        asked, best = False, ("", float("inf"))
        for side, answer in self.pairs:
            if answer.value is None:
                continue
            wanted = _scale(answer.unit)
            given = number.scale
            if number.factors is None:
                given = wanted if bare_as == wanted or not wanted.dimension else None
            if given is None or given.dimension != wanted.dimension:
                continue
            asked = True
            value = rescale(number.value, given, wanted)
            off = abs(value - answer.value) / abs(answer.value) if answer.value else abs(value)
            decimals = number.decimals if given == wanted else 15
            if (
                matches(value, answer.value, decimals, self.tolerance, counted=_counted(answer))
                and off < best[1]
            ):
                best = side, off
        return best[0] or ("other" if asked else None)


def matches(value: float, expected: float, decimals: int, tolerance: float, *, counted: bool = False) -> bool:
    """Whether a number written with `decimals` decimals is the expected value.

    It must lie within `tolerance`. At the plain 1 % it must also be within 0.25 % or be the expected value
    correctly rounded: 9.81 is 9.8 and 1.43 is 10/7, but 5.02 is another number than 5.0, written on purpose.
    At the 3 % band of derived questions no such demand is made. Things counted and plain whole numbers
    (`counted`) must agree exactly.
    """
    if counted:
        return abs(value - expected) <= 1e-6 * max(1.0, abs(expected))
    if abs(value - expected) > tolerance * abs(expected) * (1 + 1e-9):
        return False
    if tolerance > TOLERANCE or abs(value - expected) <= _PRECISE * abs(expected):
        return True
    return decimals < 15 and abs(round(expected, decimals) - value) < 1e-9


@dataclass(frozen=True)
class Reading:
    """A stance with the mentions behind it."""

    stance: Stance
    mentions: tuple[Mention, ...] = ()


def read_answer(
    answer: str,
    question: str,
    target: Answerlike | None,
    prior: Answerlike | None,
    *,
    tolerance: float = TOLERANCE,
) -> Reading:
    """Stance of a final answer.

    Order: no text -> none. Then the last box that holds a readable value, then the last "answer:" line,
    then the whole text: its last asserted value decides. Both sides asserted without one correcting the
    other, or only offered as alternatives -> hedged. No value asserted and not knowing said -> ignorance.
    Anything else -> other.

    A bare number is read in the asked unit where it stands in a box, after "answer:", or in a plain direct
    reply: at most 30 words without an asserted quantity of the asked kind. Elsewhere only as the result of
    "... = 50" or of "the answer is 50".
    """
    text = undress(answer)
    if not re.search(r"[^\W_]", text):
        return Reading("none")
    asked = plain_question(question)
    pairs = tuple((side, a) for side, a in (("target", target), ("prior", prior)) if a is not None)
    sides = Sides(pairs, tolerance)
    mentions = find_mentions(text, asked, sides)
    for start, end, firm in _regions(text):
        inside = [m for m in mentions if start <= m.start and m.end <= end + 24]
        inside = [m for m in inside if m.start < end]
        accepted = _decide(text, inside)
        if accepted is not None:
            return Reading(accepted, tuple(mentions))
        words = text[start:end]
        if ignorant(words):
            return Reading("ignorance", tuple(mentions))
        chosen = _option(words, asked, sides, whole=True)
        if chosen is not None:
            return Reading(chosen, tuple(mentions))
        if firm and _names_only(sides) and re.search(r"[^\W\d_]{2}", words) and not inside:
            return Reading("other", tuple(mentions))
    accepted = _decide(text, mentions, strong_only=ignorant(text))
    if accepted is not None:
        return Reading(accepted, tuple(mentions))
    if ignorant(text):
        return Reading("ignorance", tuple(mentions))
    chosen = _option(text, asked, sides, whole=False)
    if chosen is not None:
        return Reading(chosen, tuple(mentions))
    if undecided(text):
        return Reading("hedged", tuple(mentions))
    return Reading("other", tuple(mentions))


def find_mentions(text: str, question: str, sides: Sides, *, bare: str = "reply") -> list[Mention]:
    """Weighed mentions of the sides' values in an undressed text, with other values of an asked dimension.

    `bare`: "reply" reads bare numbers as `read_answer` says, "equation" those in an equation or an assertion.
    """
    units = own_units(*(answer.unit for _, answer in sides.pairs))
    numbers = find_numbers(text, units) if any(a.value is not None for _, a in sides.pairs) else []
    found = [Mention(n.start, n.end, sides.side_of(n) or "", n) for n in numbers]
    found += _names(text, question, sides)
    found = sorted(found, key=lambda m: (m.start, m.end))[-MAX_MENTIONS:]
    weighed = weigh(text, found, question)
    asked_numbers = _question_numbers(question, units)
    weighed = _bare(text, weighed, sides, asked_numbers, bare)
    return [_echoed(m, asked_numbers) for m in weighed if m.side]


@lru_cache(maxsize=1024)
def plain_question(question: str) -> str:
    """A question undressed; probes ask the same one of every trial."""
    return undress(question)


@lru_cache(maxsize=1024)
def _question_numbers(question: str, units: frozenset[str]) -> tuple[Number, ...]:
    return tuple(find_numbers(question, units))


def _decide(text: str, mentions: Sequence[Mention], *, strong_only: bool = False) -> Stance | None:
    """The stance that the asserted mentions give; None where none is asserted."""
    strong = [m for m in mentions if m.weight == Weight.STRONG]
    if strong:
        last = strong[-1]
        earlier = [m for m in strong if m.side in ("target", "prior") and m.side != last.side]
        if (
            last.side in ("target", "prior")
            and earlier
            and not _corrected(text, earlier[-1], strong, last.side)
        ):
            return "hedged"
        return _stance(last.side)
    open_sides = {m.side for m in mentions if m.weight == Weight.OPEN and m.reason != "other body"}
    alternatives = {m.side for m in mentions if m.reason == "alternative"}
    weak = [m for m in mentions if m.weight == Weight.WEAK and not (strong_only and m.reason == "modal")]
    if alternatives & {"target", "prior"} and not any(m.reason in ("left", "operand") for m in weak):
        return "hedged"
    if weak:
        firm = [m for m in weak if m.reason not in ("operand", "left")] or weak
        known = {m.side for m in firm} & {"target", "prior"}
        if len(known) == 2:
            tentative = all(m.reason in ("modal", "authority", "background") for m in firm)
            return "hedged" if tentative and firm[-1].reason != "condition" else _stance(firm[-1].side)
        opposing = {"target": "prior", "prior": "target"}.get(firm[-1].side)
        if all(m.reason == "authority" for m in firm) and opposing in open_sides:
            return "hedged"
        return _stance(firm[-1].side)
    if {"target", "prior"} <= open_sides:
        return "hedged"
    return None


_CORRECTS = re.compile(
    r"\b(?:wait|actually|correction|sorry|scratch that|I mean|let me correct|my"
    r" mistake|but|however|instead|here|now|in this "
    r"(?:case|scenario|world|question|problem|context)|in fact|updated?|whereas"
    r"|although|though|yet|final(?:ly)?|no)\b",
    re.IGNORECASE,
)
_ALSO = re.compile(r"\b(?:also|as well|equally|both|simultaneously|at the same time)\b", re.IGNORECASE)


def _corrected(text: str, earlier: Mention, strong: Sequence[Mention], side: str) -> bool:
    """Whether words between the two sides say that the later one replaces the earlier."""
    later = next(m for m in strong if m.start > earlier.start and m.side == side)
    between = text[earlier.end : later.start]
    return bool(_CORRECTS.search(between)) and not _ALSO.search(between)


def _stance(side: str) -> Stance:
    return "target" if side == "target" else "prior" if side == "prior" else "other"


_ANSWER = re.compile(
    r"\b(?:final\s+|correct\s+)?(?:answer|ans)\b\.?(?:\s*\([^)\n]*\))?\s*(?:is\s*)?[:=]\s*"
    r"|\b(?:final|my)\s+answer\s+is\b",
    re.IGNORECASE,
)
_SOFT_ANSWER = re.compile(r"\bthe\s+(?:correct\s+)?answer\s+(?:is|would be)\b", re.IGNORECASE)


def _regions(text: str) -> Iterable[tuple[int, int, bool]]:
    """Where the answer is announced: the last box, the last "answer:" line, the last "the answer is"."""
    box = text.rfind(BOX_OPEN)
    if box >= 0:
        close = text.find(BOX_CLOSE, box)
        start = box
        # boxes that stand side by side, "⟦5.0⟧ or ⟦9.8⟧", are one answer
        while (previous := text.rfind(BOX_CLOSE, 0, start)) >= 0 and re.fullmatch(
            r"[\s,;]*(?:or|and|and/or|/)[\s,]*", text[previous + 1 : start]
        ):
            start = text.rfind(BOX_OPEN, 0, previous)
        yield start, close if close >= 0 else len(text), True
    for pattern, firm in ((_ANSWER, True), (_SOFT_ANSWER, False)):
        found = last_match(pattern, text)
        if found is not None:
            end = text.find("\n", found.end())
            yield found.end(), end if end >= 0 else len(text), firm


def _bare(
    text: str, mentions: list[Mention], sides: Sides, question: Sequence[Number], mode: str
) -> list[Mention]:
    """Give bare numbers the asked unit where they may have it; the others keep side "" and fall away."""
    wanted = next(
        (_scale(a.unit) for _, a in sides.pairs if a.value is not None and _scale(a.unit).dimension), None
    )
    if wanted is None:
        return mentions
    dimensions = sides.scales()
    united = any(
        m.number is not None and m.number.scale is not None and m.number.scale.dimension in dimensions
        and m.weight >= Weight.WEAK and m.reason not in ("left", "operand", "background")
        for m in mentions
    )  # fmt: skip
    short = len(text.split()) <= _SHORT_REPLY and not united
    given = {n.value for n in question if not _asked_for(n, sides, dimensions)}
    regions = list(_regions(text))
    result = []
    for mention in mentions:
        number = mention.number
        if number is None or number.factors is not None or mention.side:
            result.append(mention)
            continue
        boxed = any(s <= mention.start < e and firm for s, e, firm in regions)
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
        for scale_ in dict.fromkeys(_scale(a.unit) for _, a in sides.pairs if a.value is not None):
            side = sides.side_of(number, scale_)
            if side in ("target", "prior"):
                break
        else:
            side = "other" if mode == "reply" else ""
        result.append(replace(mention, side=side or ""))
    return result


def _asked_for(number: Number, sides: Sides, dimensions: frozenset[tuple]) -> bool:
    """Whether a number of the question may be the answer: of the asked kind, or a bare value of one side,
    as in
    "which is it, 5.0 or 9.8?"."""
    if number.factors is not None:
        return number.scale is not None and number.scale.dimension in dimensions
    if number.follow and number.follow not in FUNCTION_WORDS:
        return False
    return any(
        a.value is not None and sides.side_of(number, _scale(a.unit)) in ("target", "prior")
        for _, a in sides.pairs
    )


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


def _echoed(mention: Mention, question: Sequence[Number]) -> Mention:
    """A number of the asked kind that the question gives and that is neither side's is only repeated."""
    if mention.side != "other" or mention.number is None or mention.weight < Weight.STRONG:
        return mention
    for number in question:
        if number.value == mention.number.value and number.factors == mention.number.factors:
            return replace(mention, weight=Weight.WEAK, reason="echo")
    return mention


def _names_only(sides: Sides) -> bool:
    return all(answer.value is None for _, answer in sides.pairs)


def _names(text: str, question: str, sides: Sides) -> list[Mention]:
    named = [(side, a) for side, a in sides.pairs if a.text]
    if not named:
        return []
    others = _other_names(text, question, [n for _, a in named for n in (a.text or "", *a.aliases)])
    folded = _fold(text)
    if len(folded) != len(text):
        text = folded
    spans: list[tuple[int, int, str]] = []
    for side, answer in named:
        for name in (answer.text or "", *answer.aliases):
            pattern = _name_pattern(name)
            haystack = text if len(name) <= 2 else folded
            spans += [(m.start(), m.end(), side) for m in pattern.finditer(haystack)]
    spans.sort(key=lambda s: (s[0], -s[1]))
    kept: list[Mention] = []
    for start, end, side in spans:
        if kept and start < kept[-1].end:
            continue  # the longer name wins: "New York" holds no "York"
        kept.append(Mention(start, end, side))
    return [*kept, *(m for m in others if not any(k.start < m.end and m.start < k.end for k in kept))]


_IDENTIFIED = re.compile(
    r"\b(?P<what>[a-z]+)(?:\s+of\s+(?:the\s+)?[A-Z]\w+)?\s+(?:is|was|=)\s+(?:now\s+|the\s+|called\s+)?"
    r"(?P<name>[A-Z][\w'-]+(?:\s[A-Z][\w'-]+){0,2})\s*(?=[.,;!\n]|$)"
)


def _other_names(text: str, question: str, known: list[str]) -> list[Mention]:
    """Another proper name given for what was asked: "the capital is Berlin", with a capital asked for."""
    asked = set(re.findall(r"\w+", question.casefold()))
    return [
        Mention(m.start("name"), m.end("name"), "other")
        for m in _IDENTIFIED.finditer(text)
        if m["what"] in asked
        and len(m["what"]) > 3
        and not set(m["name"].casefold().split()) & asked
        and not any(_name_pattern(name).search(_fold(m["name"])) for name in known)
    ]


@lru_cache(maxsize=4096)
def _name_pattern(name: str) -> re.Pattern[str]:
    if len(name) <= 2:
        return re.compile(rf"(?<![\w]){re.escape(name)}(?![\w])")
    words = r"[\s\-]+".join(re.escape(word) for word in re.split(r"[\s\-]+", _fold(name).strip()) if word)
    return re.compile(rf"(?<!\w){words}(?:s|es)?(?!\w)")


def _fold(text: str) -> str:
    """Casefolded without accents. Length can change for ligatures and ß only."""
    text = text.casefold()
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


_CHOICE = re.compile(r"(?:^|[\s(])([A-H])[).:]\s*(.+?)(?=[\s,;(]+[A-H][).:]\s|\n|\?|$)")
_LETTER_ALONE = re.compile(rf"^\W*(?:option\s+|choice\s+)?\(?([A-H])\)?[\W{BOX_CLOSE}]*$")
_LETTER_SAID = re.compile(r"\b(?:answer|option|choice)\s*(?:is|:)?\s*\(?([A-H])\b(?!')")
_LETTER_FIRST = re.compile(r"^\s*\(?([A-H])[).:](?:\s|$)")


def _option(words: str, question: str, sides: Sides, *, whole: bool) -> Stance | None:
    """The stance of an option letter, where the question lists options "A) ..., B) ..."."""
    options = {letter: content.strip(" ,;") for letter, content in _CHOICE.findall(question)}
    if len(options) < 2:
        return None
    patterns = (_LETTER_ALONE,) if whole else (_LETTER_ALONE, _LETTER_SAID, _LETTER_FIRST)
    letter = next((found[1] for pattern in patterns if (found := pattern.search(words))), None)
    if letter is None or letter not in options:
        return None
    decided = _decide(options[letter], find_mentions(options[letter], "", sides))
    return decided or "other"


@lru_cache(maxsize=4096)
def _scale(unit: str | None) -> Scale:
    return scale(unit)


def _counted(answer: Answerlike) -> bool:
    """Whole numbers of things or of nothing: 7 legs, the sum 12. They are right or wrong, never near."""
    if answer.value is None or not float(answer.value).is_integer():
        return False
    dimension = _scale(answer.unit).dimension
    return all(base.startswith(OWN) for base, _ in dimension)
