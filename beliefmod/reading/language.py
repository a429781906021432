"""Whether a text is in another language than English, in which nothing here can read it."""

from __future__ import annotations

import re

_ENGLISH = (
    "the is are was of in on and or it to for that this with you not do does have has as be by what i "
    "a an no yes"
)
_ELSEWHERE = (
    "el la los las es una uno y que del por con para se lo su son está no sé le les des est un une et "
    "du au dans pour sur ce qui ne pas je de der die das ist und ein eine von zu den dem nicht ich es "
    "im mit il di non che per gli o os da em não um uma é het een van niet dat ik"
)


def foreign(text: str) -> bool:
    """Whether a text of three words or more is not in English: another script, or more of the small words of
    six other European languages than of English."""
    words = [word.casefold() for word in re.findall(r"[^\W\d_]+", text)]
    letters = "".join(words)
    strange = sum(ord(letter) > 0x24F for letter in letters)
    if strange > 0.3 * len(letters):
        return strange > 1
    ours, theirs = (sum(word in known.split() for word in words) for known in (_ENGLISH, _ELSEWHERE))
    return len(words) >= 3 and theirs >= 2 and theirs > ours


_DENIES = re.compile(
    r"\b(?:no|nunca|ni|nicht|kein\w*|nie|weder|ne|n'\w+|pas|jamais|non|né|mai|não|nem|niet|geen|нет|не)\b",
    re.I,
)


def denied_elsewhere(text: str) -> bool:
    """Whether a text in another language denies something: the guards, which are English, cannot see what."""
    return foreign(text) and bool(_DENIES.search(text))
