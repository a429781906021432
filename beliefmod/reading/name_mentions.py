"""Names in running text: whole words, whatever their case and accents."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from beliefmod.reading.answer_matching import Sides
from beliefmod.reading.mentions import Mention


def find_names(text: str, question: str, sides: Sides) -> list[Mention]:
    """Mentions of the sides' names in a normalised text, and of other proper names for what was asked."""
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


def name_spans(text: str, names: Iterable[str]) -> list[tuple[int, int]]:
    """Where any of the names stands as a whole word, in place order; names of one or two letters keep case.

    Places are those of the text without accents where that differs in length.
    """
    folded = _fold(text)
    spans = [
        match.span()
        for name in names
        if name
        for match in _name_pattern(name).finditer(text if len(name) <= 2 else folded)
    ]
    return sorted(spans)


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
