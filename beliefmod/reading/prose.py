"""The structure of a normalised text: its sentences, its equations, where it announces its answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from beliefmod.beliefs.values.numbers import BOX_CLOSE, BOX_OPEN
from beliefmod.reading.guards.negation import last_match

NEAR = 60  # characters read around a number for its equation
_ABBREVIATED = re.compile(
    r"\b(?:approx|e\.g|i\.e|vs|eqs?|figs?|cf|ca|resp|a\.k\.a|deg|(?-i:Dr|Mrs?|Ms|St|Prof))$", re.IGNORECASE
)
_SOMETIMES = re.compile(r"\b(?:no|est|rs|etc|u\.s|[a-z]\.[a-z])$", re.IGNORECASE)
_NEW_SENTENCE = re.compile(r"\s+[\"'(]?[A-Z]")
_STOP = re.compile(rf"[.!?]+[\"'){BOX_CLOSE}\]]*(?=\s|$)|\n+")
_OPERATORS = "×·÷/+^√*"
_APPROXIMATELY = re.compile(
    r"\b(?:about|approximately|approx\.?|roughly|around|exactly|nearly|almost|just)\s*$", re.IGNORECASE
)


@dataclass(frozen=True)
class Sentence:
    """Attributes: start, end: its place; asks: whether it is a question."""

    start: int
    end: int
    asks: bool


def sentences(text: str) -> list[Sentence]:
    """Sentences of a normalised text; line ends separate them, abbreviations and decimals do not."""
    found: list[Sentence] = []
    start = 0
    for stop in _STOP.finditer(text):
        if text[stop.start()] == "." and "\n" not in stop[0]:
            if _ABBREVIATED.search(text, start, stop.start()):
                continue
            # "no. 5" goes on, and "No. It is 5." does not
            if _SOMETIMES.search(text, start, stop.start()) and not _NEW_SENTENCE.match(text, stop.end()):
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
    behind, ahead = text[max(0, start - NEAR) : start], text[end : end + NEAR]
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


_BARE_SUM = re.compile(r"(?<![\w.])[\d.,]+(?:\s*[×·÷/+*^-]\s*[(]?[\d.,]+[)]?)+\s*[=≈]\s*$")


def worked_out(text: str, start: int) -> bool:
    """Whether the number at `start` is the result of a calculation with bare numbers: 5 in "10 / 2 = 5"."""
    return bool(_BARE_SUM.search(text, max(0, start - NEAR), start))


_ANSWER = re.compile(
    r"\b(?:final\s+|correct\s+)?(?:answer|ans)\b\.?(?:\s*\([^)\n]*\))?\s*(?:is\s*)?[:=]\s*"
    r"|\b(?:final|my)\s+answer\s+is\b",
    re.IGNORECASE,
)
_SOFT_ANSWER = re.compile(r"\bthe\s+(?:correct\s+)?answer\s+(?:is|would be)\b", re.IGNORECASE)


def regions(text: str) -> Iterable[tuple[int, int, bool]]:
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
            end = end if end >= 0 else len(text)
            if not firm:
                end = min((part.end for part in sentences(text) if part.end > found.end()), default=end)
            yield found.end(), end, firm
