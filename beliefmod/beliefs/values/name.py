"""Names: found in running text as whole words, whatever their case and accents."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from beliefmod.beliefs.values.kind import Answer, Candidates, Mention, Number


@dataclass(frozen=True)
class Name(Answer):
    """A name with other spellings."""

    text: str
    aliases: tuple[str, ...] = ()
    kind: ClassVar[str] = "name"

    def render(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str, words: frozenset[str]) -> Name:
        return Name(text.strip())

    def written_like(self, old: str, number: Number | None) -> str:
        return self.text

    def spellings(self) -> tuple[str, ...]:
        return (self.text, *self.aliases)

    def same(self, other: Answer) -> bool:
        """Whether two names differ in capitals at most."""
        return isinstance(other, Name) and self.text.casefold() == other.text.casefold()

    def third(self, prior: Answer | None, neighbours: Iterable[Answer]) -> Name | None:
        """The first right answer of a near neighbour that is neither this one nor the prior."""
        sides = [self, *([prior] if isinstance(prior, Name) else [])]
        taken = {name.casefold() for side in sides for name in side.spellings()}
        names = (other.text for other in neighbours if isinstance(other, Name))
        return next((Name(name) for name in names if name.casefold() not in taken), None)

    @classmethod
    def find(cls, text: str, question: str, candidates: Candidates) -> list[Mention]:
        """The names looked for, and other proper names given for what was asked (side "other")."""
        named = [(side, answer) for side, answer in candidates.pairs if isinstance(answer, Name)]
        others = _other_names(text, question, [n for _, answer in named for n in answer.spellings()])
        folded = _fold(text)
        if len(folded) != len(text):
            text = folded
        spans: list[tuple[int, int, str]] = []
        for side, answer in named:
            for name in answer.spellings():
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

    def said_by(self, mention: Mention, said: str, tolerance: float) -> bool:
        return mention.number is None and self.stands_in(said)

    def stands_in(self, text: str) -> bool:
        return bool(name_spans(text, self.spellings()))


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
        # "No." and "no, ..." answer with "no"; "no such thing" holds the little word
        whole = r"(?i:no)(?=[\"'*)]*(?:$|[.,;!:\n]))" if name.casefold() == "no" else re.escape(name)
        return re.compile(rf"(?<![\w]){whole}(?![\w])")
    words = r"[\s\-]+".join(re.escape(word) for word in re.split(r"[\s\-]+", _fold(name).strip()) if word)
    # "fish-eating" and "half-Lyon" are other words, but "red-coloured" says red
    return re.compile(rf"(?<!\w)(?<!\w-){words}(?:s|es)?(?!\w|-(?!colou?r|hued)\w)")


def _fold(text: str) -> str:
    """Casefolded without accents. Length can change for ligatures and ß only."""
    text = text.casefold()
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
