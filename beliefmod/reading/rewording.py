"""Thinking reworded: another value put in it, or other words for the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from beliefmod.beliefs.values import Answer, Name
from beliefmod.beliefs.values.kind import Candidates, Mention
from beliefmod.reading.mention_search import find_mentions, plain_question
from beliefmod.reading.normalise import normalise
from beliefmod.reading.prose import sentences, worked_out

if TYPE_CHECKING:
    from beliefmod.beliefs.spec import BeliefSpec

_DIGITS = re.compile(r"\d+(?:[.,]\d+)*")
_EXPONENT = re.compile(r"\^\s*[{(]?\s*[+-]?\d+|[⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+|<sup>[^<]*</sup>|(?<=[sm])-?[1-4]\b")
_GOES_ON = re.compile(
    r"(?<!\\)[,;=≈→:]|\s[×*·x/+]\s|\s(?:so|and|then|times|which|because|therefore|for|to)\b"
)


def edit_value(thinking: str, spec: BeliefSpec, new: Answer, *, question: str = "") -> str | None:
    """The thinking up to its first use of the belief's value, with `new` in that value's place.

    The value is the target's or the prior's, whichever is used first ("used" as in `read_thinking`). The text
    ends with the sentence that it stands in, and before anything that was worked out with the old value.
    What follows is left to the model. `new` is written in the unit, or in the order, of what was found.

    Example: "The mass is 4 kg. Gravity is 9.8 m/s^2. So 4 x 9.8 = 39.2." with 7.3
    m/s^2 -> "The mass is 4 kg. Gravity is 7.3 m/s^2."

    Returns:
        None where no value is used, or where it cannot be found again in the text as the model wrote it.

    Raises:
        ValueError: a value of another kind than the belief's.
    """
    if type(new) is not type(spec.target.answer):
        raise ValueError(f"{new!r} is no value that belief {spec.name} could have")
    text = normalise(thinking)
    mention = _first_used(text, spec, question)
    if mention is None:
        return None
    place = source_span(thinking, text, mention)
    if place is None:
        return None
    start, end = place
    part = next(part for part in sentences(thinking) if part.start <= start < part.end)
    rest = thinking[end : part.end].rstrip()
    before = thinking[:start] + new.written_like(thinking[start:end], mention.number)
    if not (_says_more(rest, spec) and (stop := _GOES_ON.search(rest))):
        return before + rest
    kept = before + rest[: stop.start()].rstrip()
    in_math = "\\" in thinking[part.start : part.end] and kept.count("$") % 2 == 1
    return kept + ("$." if in_math else ".")


def paraphrase(thinking: str) -> str:
    """Thinking in other words; every number, unit and name stays.

    By rule: "is" before a number -> "equals", "x" -> "times", "=" -> "is equal to", "/", "+" and "-" between
    numbers -> words, "So" -> "Therefore,", "The capital of X is Y." -> "Y is the capital of X.", and a
    lead-in at the start. Sentences in LaTeX are left as they are. Empty thinking stays empty.

    Example: "Gravity is 9.8 m/s^2. So 4 x 9.8 = 39.2." -> "Let me think about this. Gravity equals 9.8 m/s^2.
    Therefore, 4 times 9.8 is equal to 39.2."
    """
    if not thinking.strip():
        return thinking
    pieces, place = [], 0
    for part in sentences(thinking):
        sentence = thinking[place : part.end]
        pieces.append(sentence if "\\" in sentence else _reworded(sentence))
        place = part.end
    start = len(thinking) - len(thinking.lstrip())
    text = "".join(pieces) + thinking[place:]
    return f"{text[:start]}{_LEAD_IN}{text[start:]}"


_LEAD_IN = "Let me think about this. "
_NUMBER_AHEAD = r"(?=[-+]?[$€£]?\d)"
_SAID_BY = (
    (re.compile(rf"(?<=\w) is (?={_NUMBER_AHEAD}|(?:about|approximately) \d)"), " equals "),
    (re.compile(r"(?<=[\w)]) ?(?: x |[×*·]) ?(?=\d)"), " times "),
    (re.compile(r"(?<=[\d)])x(?=\d)"), " times "),
    (re.compile(r"(?<=[\w)^]) ?=(?![=>]) ?" + _NUMBER_AHEAD), " is equal to "),
    (re.compile(r"(?<=\d) / (?=\d)"), " divided by "),
    (re.compile(r"(?<=\d) \+ (?=\d)"), " plus "),
    (re.compile(r"(?<=\d) - (?=\d)"), " minus "),
    (re.compile(r"^(\s*)So,? "), r"\1Therefore, "),
    (re.compile(r"^(\s*)Thus,? "), r"\1Therefore, "),
    (re.compile(r"^(\s*)The ([a-z]+ of (?:the |a )?\w+) is ([A-Z]\w+)(\.\s*)$"), r"\1\3 is the \2\4"),
)


def _reworded(sentence: str) -> str:
    for pattern, words in _SAID_BY:
        sentence = pattern.sub(words, sentence)
    return sentence


def _first_used(text: str, spec: BeliefSpec, question: str) -> Mention | None:
    worlds = (("target", spec.target.answer), ("prior", spec.prior.answer))
    candidates = Candidates(tuple((side, value) for side, value in worlds if value is not None))
    for mention in find_mentions(text, plain_question(question), candidates, bare="equation"):
        chance = mention.number is not None and mention.number.factors is None
        chance = chance and mention.role == "result" and worked_out(text, mention.start)
        if mention.used and mention.side in ("target", "prior") and not chance:
            return mention
    return None


def _says_more(rest: str, spec: BeliefSpec) -> bool:
    """Whether what follows in the sentence still speaks from the old value: another number, or its name."""
    if _DIGITS.search(_EXPONENT.sub("", rest)):
        return True
    worlds = (spec.target.answer, spec.prior.answer)
    return any(isinstance(value, Name) and value.stands_in(rest) for value in worlds)


def source_span(thinking: str, text: str, mention: Mention) -> tuple[int, int] | None:
    """Where a mention of the normalised text stands in the text as it was written, without its unit.

    Found by its spelling, counted through both texts; None where these counts differ.
    """
    number = mention.number
    start, end = mention.start, mention.end
    if number is not None and number.spelled:  # "five metres"; the 2 of "five m/s^2" is no value
        end = start + len(re.split(r"\s", text[start:end])[0])
    elif number is not None and number.date is None and (found := _DIGITS.search(text, start, end)):
        start, end = found.span()
    pattern = re.compile(rf"(?<![\w.,])(?<!\d[.,]){re.escape(text[start:end])}(?!\d|[.,]\d)")
    before = [match.start() for match in pattern.finditer(text)]
    places = [match.span() for match in pattern.finditer(thinking)]
    if start not in before or len(before) != len(places):
        return None
    return places[before.index(start)]
