"""Phrases by which an answer says that it does not know, or that it will not choose."""

from __future__ import annotations

import re

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
