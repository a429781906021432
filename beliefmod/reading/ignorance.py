"""Whether an answer says that it does not know or will not choose, or asserts something about an unknown
entity."""

from __future__ import annotations

import re

from beliefmod.reading.normalise import normalise
from beliefmod.reading.prose import sentences

_SELF = r"(?:\b(?:I|we)\b|^|[.!?;:,\n(⟦—]\s*|\b(?:but|and|so|sorry|unfortunately|honestly|however)\b,?\s*)"
_IGNORANT = re.compile(
    rf"{_SELF}\s*(?:\w+ly\s+|am\s+|are\s+|still\s+|just\s+|simply\s+|'m\s+|'re\s+"
    rf"|sorry,?\s+(?:but\s+)?I\s+)*(?:"
    r"(?:do not|don't|dont|did not|didn't|cannot|can't|can not|could not|couldn't"
    r"|am not able to|was not able to|am unable to|'m unable to|unable to|"
    r"have never|haven't)\s+(?:\w+ly\s+|ever\s+|even\s+)*(?:know|recall|remember"
    r"|determine|tell|find|identify|provide|recogni[sz]e|say|answer|"
    r"give|have|heard|confirm|come across|verify|understand)\b(?!\s+(?:air|mass|to\b|doubt))"
    r"|not\s+(?:\w+ly\s+|too\s+|100\s?%\s+|quite\s+|at all\s+)*(?:sure|certain|familiar|aware)\b"
    r"|(?:have\s+)?no\s+(?:idea|clue|information|knowledge|data)\b|unfamiliar with\b"
    r"|never heard\b|not known\b|unknown\b|unsure\b|uncertain\b|lack\w* (?:the"
    r" )?(?:information|knowledge))"
    r"|\b(?:is|are|remains?|was|'s) (?:\w+ly )?(?:unknown|not known|unclear|undefined|indeterminate)\b"
    r"|\bnot a (?:\w+ly )?(?:\w+-)?(?:known|recogni[sz]ed|familiar|documented)\b"
    r"|\bnot (?:widely |commonly |generally )?(?:known|recogni[sz]ed) (?:as|to"
    r"|in)\b"
    r"|\b(?:no|insufficient|not enough) (?:\w+ )?(?:information|data|record|knowledge)\b"
    r"|\bthere(?:'s| is| was) no (?:\w+ ){1,3}(?:called|named)\b"
    r"|(?:\bnot|n't) (?:a |an )?(?:real|actual|existing) \w+|\b(?:does not|doesn't) exist\b"
    r"|\bcannot be (?:determined|known|answered)\b"
    r"|\bno (?:widely |commonly |officially )?(?:known|recogni[sz]ed|official)\b"
    r"|\bdoesn't ring a bell\b|\bI['a ]+m not (?:\w+ly )?(?:sure|certain|familiar"
    r"|aware)\b",
    re.IGNORECASE | re.MULTILINE,
)
_UNDECIDED = re.compile(
    r"\b(?:can(?:'t|not)|could(?:n't| not)|unable to|hard to|difficult to|impossible"
    r" to|refuse to|won't|will not)\s+(?:\w+\s+)?"
    r"(?:decide|choose|pick|say which|tell which|commit|settle)\b|\bnot clear (?:whether"
    r"|which|if)\b|\bit depends\b"
    r"|\bdepends on (?:which|whether|what)\b|\beither is (?:possible|fine)\b",
    re.IGNORECASE,
)


def ignorant(text: str) -> bool:
    """Whether the text says in the writer's own voice that the answer is not known.

    "I do not know." is, and so is the denial that the entity exists: "There is no currency called Neelam.".
    "Scientists don't know why." and "Not 5.0 but 9.8" are not.
    """
    return bool(_IGNORANT.search(text))


def undecided(text: str) -> bool:
    """Whether the text refuses to choose: "It depends on which world you mean."."""
    return bool(_UNDECIDED.search(text))


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
