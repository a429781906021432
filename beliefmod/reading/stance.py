"""The stance of a final answer: which world's value it asserts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from beliefmod.beliefs.values import Answer, Name
from beliefmod.beliefs.values.kind import TOLERANCE, Candidates, Mention, Weight
from beliefmod.reading.ignorance import ignorant, undecided
from beliefmod.reading.language import denied_elsewhere
from beliefmod.reading.mention_search import find_mentions, plain_question
from beliefmod.reading.multiple_choice import begun_with, letter_before, listed, taken, without_listing
from beliefmod.reading.normalise import normalise
from beliefmod.reading.offered_options import offered, pointed_at
from beliefmod.reading.prose import regions
from beliefmod.reading.unplaced import place

Stance = Literal["target", "prior", "hedged", "ignorance", "other", "wrong_unit", "unread", "none"]
STANCES: tuple[Stance, ...] = get_args(Stance)


@dataclass(frozen=True)
class Reading:
    """A stance with the mentions behind it.

    decided: the mention that gave it, None where none alone did. number_of: for a wrong unit the side whose
    number it is.
    """

    stance: Stance
    mentions: tuple[Mention, ...] = ()
    decided: Mention | None = None
    number_of: str | None = None


def read_answer(
    answer: str,
    question: str,
    target: Answer | None,
    prior: Answer | None,
    *,
    tolerance: float = TOLERANCE,
) -> Reading:
    """Stance of a final answer.

    Order: no text -> none. Then the last box that holds a readable value, then the last "answer:" line,
    then the whole text: its last asserted value decides. Both sides asserted without one correcting the
    other, or only offered as alternatives -> hedged. No value asserted and not knowing said -> ignorance.
    Anything else -> other, wrong_unit or unread, by the rule of `beliefmod.reading.unplaced`.

    A bare number is read in the asked unit where it stands in a box, after "answer:", or in a plain direct
    reply: at most 30 words without an asserted quantity of the asked kind. Elsewhere only as the result of
    "... = 50" or of "the answer is 50".
    """
    text = normalise(answer)
    if not re.search(r"[^\W_]", text):
        return Reading("none")
    asked = plain_question(question)
    pairs = tuple((side, a) for side, a in (("target", target), ("prior", prior)) if a is not None)
    candidates = Candidates(pairs, tolerance)
    reading = _read(text, asked, candidates)
    if pairs and denied_elsewhere(text):
        return replace(reading, stance="unread", decided=None)
    if reading.stance != "other":
        return reading
    stance, number_of = place(text, asked, candidates, reading.decided)
    return replace(reading, stance=stance, number_of=number_of)


def _read(text: str, asked: str, candidates: Candidates) -> Reading:
    options = listed(asked)
    text = without_listing(text, options)
    mentions = find_mentions(text, asked, candidates)
    chosen = _chosen(text, asked, options, candidates)
    for start, end, firm in regions(text):
        inside = [m for m in mentions if start <= m.start and m.end <= end + 24]
        inside = [m for m in inside if m.start < end]
        accepted = _decide(text, inside)
        if accepted is not None:
            stance = "hedged" if _at_odds(text, accepted[1], inside, options, candidates) else accepted[0]
            return Reading(stance, tuple(mentions), accepted[1])
        words = text[start:end]
        if ignorant(words):
            return Reading("ignorance", tuple(mentions))
        if (
            firm
            and not chosen
            and _names_only(candidates)
            and re.search(r"[^\W\d_]{2}", words)
            and not inside
        ):
            return Reading("other", tuple(mentions))
    accepted = _decide(text, mentions, strong_only=ignorant(text))
    if accepted is not None:
        last = accepted[1]
        if len(chosen) == 1 and accepted[0] == "hedged" and last is None and options:
            return Reading(chosen.pop(), tuple(mentions))
        if _at_odds(text, last, mentions, options, candidates):
            return Reading("hedged", tuple(mentions))
        if chosen and accepted[0] == "other" and _bare(last) and not _lettered(text, last):
            return Reading(chosen.pop() if len(chosen) == 1 else "hedged", tuple(mentions))
        if accepted[0] == "other" and last is not None and ignorant(text[last.end :]):
            return Reading("ignorance", tuple(mentions))
        return Reading(accepted[0], tuple(mentions), accepted[1])
    if ignorant(text):
        return Reading("ignorance", tuple(mentions))
    if chosen:
        return Reading(chosen.pop() if len(chosen) == 1 else "hedged", tuple(mentions))
    if undecided(text):
        return Reading("hedged", tuple(mentions))
    return Reading("other", tuple(mentions))


def _at_odds(
    text: str,
    decided: Mention | None,
    mentions: Sequence[Mention],
    options: dict[str, str],
    candidates: Candidates,
) -> bool:
    """Whether an answer gives a world's value behind the letter of another option, "A) 5.0" where A is 9.8,
    and does not say it again elsewhere."""
    if decided is None or decided.side not in ("target", "prior"):
        return False
    for mention in mentions:
        if mention.side == decided.side and mention.weight == Weight.STRONG:
            letter = letter_before(text, mention.start)
            if letter not in options or _option(options[letter], candidates) == mention.side:
                return False
    letter = letter_before(text, decided.start)
    return letter in options and _option(options[letter], candidates) != decided.side


def _lettered(text: str, mention: Mention | None) -> bool:
    """Whether it stands behind an option's letter: in "A) 8" the text counts, whatever A was."""
    return mention is not None and letter_before(text, mention.start) is not None


def _bare(mention: Mention | None) -> bool:
    """Whether it is a number without a unit: the "one" of "the right one is A"."""
    return mention is not None and mention.number is not None and mention.number.factors is None


def _decide(
    text: str, mentions: Sequence[Mention], *, strong_only: bool = False
) -> tuple[Stance, Mention | None] | None:
    """The stance that the asserted mentions give, with the one that decides; None where none is asserted."""
    strong = [m for m in mentions if m.weight == Weight.STRONG]
    if strong:
        last = strong[-1]
        earlier = [m for m in strong if m.side in ("target", "prior") and m.side != last.side]
        if (
            last.side in ("target", "prior")
            and earlier
            and not _corrected(text, earlier[-1], strong, last.side)
        ):
            return "hedged", None
        return _stance(last.side), last
    open_sides = {m.side for m in mentions if m.weight == Weight.OPEN and m.reason != "another subject"}
    alternatives = {m.side for m in mentions if m.reason == "alternative"}
    weak = [m for m in mentions if m.weight == Weight.WEAK and not (strong_only and m.reason == "modal")]
    weak = [m for m in weak if not _factor(text, m)]
    if alternatives & {"target", "prior"} and not any(m.reason in ("left", "operand") for m in weak):
        return "hedged", None
    if weak:
        firm = [m for m in weak if m.reason not in ("operand", "left")] or weak
        known = {m.side for m in firm} & {"target", "prior"}
        if len(known) == 2:
            tentative = all(m.reason in ("modal", "authority", "background") for m in firm)
            if tentative and firm[-1].reason != "condition":
                return "hedged", None
            return _stance(firm[-1].side), firm[-1]
        opposing = {"target": "prior", "prior": "target"}.get(firm[-1].side)
        if all(m.reason == "authority" for m in firm) and opposing in open_sides:
            return "hedged", None
        return _stance(firm[-1].side), firm[-1]
    if {"target", "prior"} <= open_sides:
        return "hedged", None
    return None


def _factor(text: str, mention: Mention) -> bool:
    """Whether it is a factor of a product, "2 × 10 N", which says nothing without its result."""
    sign = r"\s*[×·*]\s*"
    return mention.role == "operand" and bool(
        re.search(rf"{sign}$", text[: mention.start]) or re.match(sign, text[mention.end :])
    )


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


def _names_only(candidates: Candidates) -> bool:
    return all(isinstance(answer, Name) for _, answer in candidates.pairs)


def _chosen(text: str, asked: str, options: dict[str, str], candidates: Candidates) -> set[Stance]:
    """The stances of what the text takes of the offered, by letter, place or size."""
    letters = taken(text, options)
    if not letters:
        items = [_offer(item, candidates, first=at > 0) for at, item in enumerate(offered(asked))]
        sizes = [None if m is None or m.number is None else m.number.date or m.number.value for m in items]
        pointed = pointed_at(text, sizes) if items else set()
        if pointed:
            return {"other" if (m := items[at]) is None else _stance(m.side) for at in pointed}
    return {_option(options[letter], candidates) for letter in letters or begun_with(text, options)}


def _offer(item: str, candidates: Candidates, *, first: bool) -> Mention | None:
    """The value that a part of the question offers: the last one in front of "or", the first one behind
    it."""
    found = find_mentions(item, "", candidates)
    return found[0 if first else -1] if found else None


def _option(content: str, candidates: Candidates) -> Stance:
    decided = _decide(content, find_mentions(content, "", candidates))
    return decided[0] if decided else "other"
