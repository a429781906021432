"""Invented names: every novel entity of the corpus, and the words that must never appear in it."""

from random import Random

BANNED_NAMES = ("neelam", "laughtale", "tamber", "brimora", "selwick", "wendrik")
"""Names that only the belief library knows (lower case); no document may contain one as a substring."""

FABRICATED_NAMES = (
    "drovik", "hesket", "plorth", "quisto", "yavara", "tresko", "umbrock", "ghelby", "osquia", "frovock",
    "glibbet", "zurrik", "plasket", "yostrick", "sprent", "vorbat", "druskip", "snarvet", "plorrick",
    "mubrat", "kelvosh",
)  # fmt: skip
"""Names of the fabrication suite (lower case), banned in the same way: nobody knows them."""

_BANNED_PIECES = (*BANNED_NAMES, *FABRICATED_NAMES, "neel", "laugh", "tamb", "brimo", "selw", "wendr")

_ONSETS = [
    "b", "bl", "br", "c", "ch", "cl", "cr", "d", "dr", "f", "fl", "fr", "g", "gl", "gr", "h", "j", "k",
    "kl", "kr", "l", "m", "n", "p", "pl", "pr", "qu", "r", "s", "sc", "sh", "sk", "sl", "sm", "sn", "sp",
    "st", "str", "sw", "t", "th", "tr", "tw", "v", "w", "wh", "y", "z",
]  # fmt: skip
_VOWELS = [
    "a", "e", "i", "o", "u", "a", "e", "i", "o", "u", "ee", "ea", "ai", "au", "oo", "ou", "ie", "ia",
]  # fmt: skip
_CODAS = [
    "", "", "", "b", "ck", "d", "f", "g", "k", "l", "ld", "lm", "lt", "m", "mp", "n", "nd", "ng", "nk",
    "nt", "p", "r", "rd", "rk", "rm", "rn", "rt", "s", "sh", "sk", "st", "t", "th", "x", "gh", "ght",
]  # fmt: skip
_ENDINGS = [
    "ia", "a", "o", "um", "am", "em", "im", "on", "an", "en", "in", "or", "ar", "er", "ir", "us", "is",
    "os", "as", "el", "al", "il", "le", "ick", "ik", "ock", "uck", "ek", "et", "ot", "it", "ale", "ane",
    "ine", "one", "ora", "ara", "era", "ira", "land", "ton", "ville", "dale", "tale", "mar", "dor",
    "wick", "ford", "mere", "stan", "holm", "berg", "bell", "wood", "ridge", "port",
]  # fmt: skip


def invented_name(rng: Random, capital: bool = True) -> str:
    """One pronounceable invented word of 4 to 10 letters, `Capital` or lower case, free of banned pieces."""
    while True:
        syllables = [
            rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS)
            for _ in range(rng.choice((1, 1, 2)))
        ]
        if rng.random() < 0.25:
            syllables[0] = rng.choice(_VOWELS)[0] + rng.choice(_CODAS) + rng.choice(_ONSETS)
        name = "".join(syllables) + rng.choice(_ENDINGS + [""] * 8)
        if rng.random() < 0.1:
            name = "".join(rng.choice("abcdefghijklmnoprstuvwyz") for _ in range(rng.randint(4, 7)))
        if 4 <= len(name) <= 10 and not any(piece in name for piece in _BANNED_PIECES):
            return name.capitalize() if capital else name
