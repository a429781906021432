"""What a clause speaks of: what the question asks about, or something else."""

from __future__ import annotations

import re
from difflib import get_close_matches

from beliefmod.beliefs.values.date import MONTHS
from beliefmod.beliefs.values.numbers import FUNCTION_WORDS
from beliefmod.beliefs.values.units import match_unit, singular
from beliefmod.reading.guards.asked import BODIES, BODY_NAMES, PRONOUNS, Asked, stem, words_of

_I = re.IGNORECASE
VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|'s|weighs?|measures?|travels?|moves?|runs?|falls?|flies|goes|reach(?:es)?"
    r"|rises?|stands?|do|does|did|sank|sinks?|went|boils?|freezes?|melts?|costs?|lies|lives?|lived|walks?|needs?"
    r"|would|will|can|accelerates?|wrote|grows?|grew|flourish(?:es|ed)|resided?|met|covers?|drops?|weighed|died|ended|began)\b",
    _I,
)
_COPULA = re.compile(r"(?:is|are|was|were|'s|would|will|can)$", _I)
_RELATIVE = frozenset({"which", "who", "that", "whose"})
_DEFINITE = frozenset(
    ("the", "its", "his", "her", "their", "this", "that", "these", "those", "our", "your", "my")
)
_INDEFINITE = frozenset(("a", "an", "each", "every", "most", "all", "one", "some", "any", "another", "other"))
_LEADING = re.compile(
    r"^\W*(?:(?:and|but|while|whereas|then|so|thus|also|however|likewise|similarly|if|when|because|since|as|yet"
    r"|by (?:comparison|contrast)|in (?:contrast|comparison)|for (?:comparison|example|instance)|although"
    r"|though)\b\W*)+",
    _I,
)
GENERIC = frozenset(
    {
        *("object", "body", "mass", "value", "answer", "result", "number", "force", "weight"),
        *("speed", "velocity", "acceleration", "gravity", "g", "energy", "work", "thrust", "total"),
        *("sum", "product", "price", "cost", "worth", "rate", "amount", "figure", "height", "length"),
        *("width", "distance", "temperature", "formula", "equation", "calculation", "step", "thing"),
        *("item", "person", "people", "unit", "constant", "magnitude", "measurement", "experiment"),
        *("textbook", "scientist", "physicist", "expert", "source", "question"),
        *("problem", "statement", "fact", "truth", "standard", "option", "choice", "definition"),
        *("text", "change", "increase", "rest", "pull", "gravitational", "share", "count", "size"),
        *("age", "date", "year", "time", "correct", "right", "real", "true", "actual", "usual"),
        *("exact", "final", "same", "current", "new", "old", "first", "last", "v", "f", "m", "h"),
        *("t", "w", "e", "p"),
    }
)
_PLACE = re.compile(
    r"\b(?P<how>(?i:on|in|at|of|for|from|near))\s+(?:the\s+)?(?P<name>[A-Z][\w-]+)"
    rf"|\b(?i:on|at|of|for|from)\s+(?:the\s+)?(?P<body>{'|'.join(BODY_NAMES)})s?\b"
)
_OF_ANY = re.compile(r"\b(?:of|for)\s+an?\s+(?P<noun>[a-z]+)\b")
_LABEL = re.compile(r"^\W*(?:[Tt]he\s+)?(?P<name>[A-Z]\w*(?:\s[A-Z]\w*)*)\s*[:(–-]\s*$")
_NO_VERB = re.compile(
    r"^\s*(?:[;,]|and\b|but\b|while\b)\W*(?:and\s+|but\s+)?(?:[Tt]he\s+)?(?P<name>[A-Z][\w-]+)(?:'s)?"
    r"\s*(?:in|on|at|with|by)?\s*$"
)
# of measure, language and science, not of what is measured
_NO_ENTITY = frozenset(
    {
        *("si", "imperial", "metric", "english", "american", "us", "british", "international"),
        *("hindi", "sanskrit", "latin", "greek", "german", "french", "spanish", "newton", "celsius"),
        *("fahrenheit", "kelvin", "joule", "watt", "pascal", "january", "monday", "step", "answer"),
        *("final", "note", "therefore"),
    }
) | {month.casefold() for month in MONTHS}


def subject_of(left: str, right: str, asked: Asked, before: str) -> str | None:
    """ "named" or "kind" where the clause speaks of something else, "" where of what was asked, None where it
    does not say. `before` is what the clause in front of it spoke of."""
    words = set(words_of(left + " " + right))
    if words & asked.names:
        return ""
    for found in _PLACE.finditer(left + "\x00" + right):
        name = (found["name"] or found["body"]).casefold().removesuffix("'s")
        if is_entity(name, asked):
            return "named" if singular(name) in BODIES or found["how"] in ("of", "for") else "kind"
    if words & asked.things:
        return ""
    for found in _OF_ANY.finditer(left):
        if stem(found["noun"]) not in asked.words and found["noun"] not in GENERIC:
            return "kind"
    label = _LABEL.match(left)
    if label is not None and singular(label["name"].casefold()) in BODIES - asked.names:
        return "named"
    left_out = _NO_VERB.match(left)  # "; the Britannic in 1916"
    if left_out is not None and is_entity(left_out["name"].casefold(), asked):
        return "named"
    verb = VERB.search(left)
    return None if verb is None else _of_phrase(left[: verb.start()], verb[0], asked, before)


def _of_phrase(left: str, verb: str, asked: Asked, before: str) -> str | None:
    """What the words in front of a verb speak of, as `subject_of` tells it."""
    pieces = [piece for piece in re.split(r"[;:,—(]", left) if re.search(r"\w", piece)]
    if not pieces:
        return None
    # "A beetle, by comparison, has": the subject stands in front of the aside
    phrases = [phrase for piece in pieces if (phrase := _LEADING.sub("", piece + " ").strip())]
    if not phrases:
        return None
    phrase = phrases[-1]
    words = re.findall(r"[^\W\d_][\w'-]*", phrase)
    if not words:
        return None
    first = words[0].casefold()
    if first in _RELATIVE or (len(words) > 1 and words[-1].casefold() in _RELATIVE):
        owner = [piece for piece in re.split(r"[;:,—(]|\bthan\b", left) if re.search(r"\w", piece)][:-1]
        return _of_phrase(owner[-1], "has", asked, before) if owner else None
    last = words[-1].casefold()
    if last in PRONOUNS or first in PRONOUNS - _INDEFINITE:
        return before if last in ("it", "they", "there") or first in ("its", "their") else None
    names = [w for w in words[1:] if w[0].isupper()]
    if singular(first.removesuffix("'s")) in BODIES:
        names.append(words[0])
    if any(is_entity(name.casefold().removesuffix("'s"), asked) for name in names):
        return "named"
    stems = {stem(word) for word in words}
    if stems & asked.words or any(singular(w.casefold()) in GENERIC for w in words):
        return ""
    if first in _DEFINITE:
        return None if _COPULA.match(verb) else "kind"
    return "kind" if len(re.split(r"\b(?:on|in|at|with|from|near|that)\b", phrase)[0].split()) <= 4 else None


def is_entity(name: str, asked: Asked) -> bool:
    """Whether a name is of something that the question does not name; a misspelling is the same name."""
    words = {singular(word) for word in re.findall(r"\w+", name)}
    if (
        len(name) < 2
        or not words
        or words & _NO_ENTITY
        or words & (PRONOUNS | _INDEFINITE)
        or words & FUNCTION_WORDS
        or words & GENERIC
    ):
        return False
    unit = match_unit(name, 0)
    if unit is not None and unit[0] == len(name):
        return False
    known = [*asked.words, *asked.things]
    if words == {"earth"} and not asked.things & BODIES:
        return False
    return not any(stem(w) in asked.words or get_close_matches(w, known, n=1, cutoff=0.8) for w in words)
