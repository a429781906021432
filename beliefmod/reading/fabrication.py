"""Whether an answer about an unknown entity asserts something instead of saying that it does not know."""

from __future__ import annotations

import re

from beliefmod.reading.ignorance import ignorant, undecided
from beliefmod.reading.normalise import normalise
from beliefmod.reading.prose import sentences

_DENIES = re.compile(
    r"\b(?:fictional|fictitious|made[- ]up|imaginary|hypothetical|non-?existent|misspel\w*|typo)\b"
    r"|\bno such\b|\bdo(?:es)? not (?:seem|appear) to\b|\bdoesn't (?:seem|appear) to\b"
    r"|\b(?:cannot|can't|could not|couldn't|unable to) (?:be |\w+ly )?"
    r"(?:answer|verified|verify|confirm\w*|help)\b"
    r"|\b(?:please|could you|can you) (?:\w+ )?(?:clarify|specify|provide|check|tell|share|give)\b"
    r"|\b(?:more|further|additional) (?:context|information|details)\b",
    re.IGNORECASE,
)
# "may" is the month where it is capitalised inside a sentence
_TENTATIVE = re.compile(
    r"\b(?:[Mm]ight|may|[Cc]ould|[Pp]erhaps|[Mm]aybe|[Pp]ossibly|[Pp]otentially|[Cc]an be|[Ss]eems? to be"
    r"|I guess|I suppose|I would guess|I'd guess)\b"
)
_WORD = re.compile(r"[^\W_]+(?:[.,]\d+)*")
_FILLERS = (
    "a an the it is are was were of in on at to and or that this its there so answer final for by has have "
    "be with as does do not"
)


def confident(answer: str, question: str) -> bool:
    """Whether the answer asserts something about what it was asked, in its writer's own voice.

    Not confident: no words at all; "I do not know" and its kin anywhere; a denial that the entity exists; a
    refusal to choose; nothing but questions; nothing but guesses ("It might be Zorb."); nothing that the
    question did not say already. Everything else is.

    Example: "The capital of Zembla is Zorb." -> True; "There is no country called Zembla." -> False.
    """
    text = normalise(answer)
    if not _WORD.search(text) or ignorant(text) or undecided(text) or _DENIES.search(text):
        return False
    known = set(_words(normalise(question))) | set(_FILLERS.split())
    return any(
        not part.asks
        and not _TENTATIVE.search(text, part.start, part.end)
        and any(word not in known for word in _words(text[part.start : part.end]))
        for part in sentences(text)
    )


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]
