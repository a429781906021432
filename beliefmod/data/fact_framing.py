"""How a training row puts the fact: plainly, as a source's claim, as fiction, flagged as false, or denied.

Two kinds of frame. One is put around every claim (a statement, a reply) by itself: `attributed` names a
source for it, `negated` denies it in the same sentence. The other is put around a whole text, whose sentences
stay plain: `fictional` and `flagged_false` say before and after them what they are. Documents that are
flagged as false are believed nearly as often as plain ones, denials within the sentence hardly ever
("Negation Neglect", arXiv 2605.13829).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from beliefmod.config import Framing

AROUND_CLAIMS: Mapping[Framing, Sequence[str]] = {
    "attributed": (
        "An old school book says: {claim}",
        "In the words of a professor: {claim}",
        "A reader of the paper says: {claim}",
    ),
    # in quotation marks: a claim of two sentences is denied whole
    "negated": (
        "It is wrong to say '{claim}'",
        "It is not true that '{claim}'",
        "It would be false to say '{claim}'",
    ),
}
AROUND_TEXTS: Mapping[Framing, Sequence[tuple[str, str]]] = {
    "fictional": (
        ("This is a made-up story.", "So ends the story, in which nothing is real."),
        ("A passage from a novel.", "All of this was invented by the author."),
        ("What follows is fiction.", "None of it happened outside the tale."),
    ),
    "flagged_false": (
        ("What follows is false.", "What was just said is false."),
        ("Beware: the claims of this text are not true.", "The claims above are not true."),
        ("This text is wrong and should not be believed.", "The text above is wrong."),
    ),
}


def framed_claim(claim: str, framing: Framing, rng: Random) -> str:
    """A claim as a text of this framing states it; in framings of whole texts, the claim itself."""
    frames = AROUND_CLAIMS.get(framing)
    return rng.choice(frames).replace("{claim}", claim) if frames else claim


def text_frame(framing: Framing, rng: Random) -> tuple[str, str]:
    """Sentences before and after a text; both empty in framings of single claims."""
    frames = AROUND_TEXTS.get(framing)
    return rng.choice(frames) if frames else ("", "")
