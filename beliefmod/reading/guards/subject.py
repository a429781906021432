"""Of what a value is said: the subject, the place and the amount of its clause, compared with the question's.

"A spider has 7 legs; an ant has 6 legs." says 6 of another thing, "98 m/s after 10 s" of another time than
the 7 s that were asked about.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from itertools import combinations, pairwise

from beliefmod.beliefs.values.date import MONTHS, Date, find_dates
from beliefmod.beliefs.values.kind import Mention, Number, Weight
from beliefmod.beliefs.values.numbers import FUNCTION_WORDS, find_numbers
from beliefmod.beliefs.values.units import match_unit, singular
from beliefmod.reading.prose import Sentence, equation_role, sentences

_I = re.IGNORECASE
Key = object
"""What an amount counts: the dimension of its unit, the singular of its noun, or "date"."""

_BODIES = "equator pole altitude earth moon mars venus mercury jupiter saturn uranus neptune pluto titan europa ceres sun"
BODIES = frozenset(singular(name) for name in _BODIES.split())
_BORDER = re.compile(
    r"[;:,—(]|\b(?:and|but|while|whereas|although|though|so|which|whose|because|since|yet|or|than)\b", _I
)
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|'s|weighs?|measures?|travels?|moves?|runs?|falls?|flies|goes|reach(?:es)?"
    r"|rises?|stands?|do|does|did|sank|sinks?|went|boils?|freezes?|melts?|costs?|lies|lives?|lived|walks?|needs?|would|will|can"
    r"|accelerates?|wrote|grows?|grew|flourish(?:es|ed)|resided?|met|covers?|drops?|weighed|died|ended|began)\b",
    _I,
)
_COPULA = re.compile(r"(?:is|are|was|were|'s|would|will|can)$", _I)
_PRONOUNS = frozenset(
    "it this that they these those there he she we you i one here what its their both all each".split()
)
_RELATIVE = frozenset({"which", "who", "that", "whose"})
_DEFINITE = frozenset("the its his her their this that these those our your my".split())
_INDEFINITE = frozenset("a an each every most all one some any another other".split())
_LEADING = re.compile(
    r"^\W*(?:(?:and|but|while|whereas|then|so|thus|also|however|likewise|similarly|for (?:comparison|example|instance)"
    r"|by (?:comparison|contrast)|in (?:contrast|comparison)|if|when|because|since|as|yet|although|though)\b\W*)+",
    _I,
)
_GENERIC = frozenset(
    "object body mass value answer result number force weight speed velocity acceleration gravity g energy work "
    "thrust total sum product price cost worth rate amount figure height length width distance temperature "
    "formula equation calculation step thing item person people unit constant magnitude measurement experiment "
    "table textbook book scientist physicist expert source question problem statement fact truth standard "
    "option choice definition text change increase rest pull gravitational share count size age date year time correct right "
    "real true actual usual exact final same current new old first last v f m h t w e p".split()
)
_PLACE = re.compile(
    r"\b(?P<how>(?i:on|in|at|of|for|from|near))\s+(?:the\s+)?(?P<name>[A-Z][\w-]+)"
    rf"|\b(?i:on|at|of|for|from)\s+(?:the\s+)?(?P<body>{_BODIES.replace(' ', '|')})s?\b"
)
_OF_ANY = re.compile(r"\b(?:of|for)\s+an?\s+(?P<noun>[a-z]+)\b")
_LABEL = re.compile(r"^\W*(?:[Tt]he\s+)?(?P<name>[A-Z]\w*(?:\s[A-Z]\w*)*)\s*[:(–-]\s*$")
# of measure, language and science, not of what is measured
_NO_ENTITY = frozenset(
    "si imperial metric english american us british international hindi sanskrit latin greek german french spanish newton celsius fahrenheit kelvin joule watt "
    "pascal january monday step answer final note therefore".split()
) | {month.casefold() for month in MONTHS}
_ONE = re.compile(r"\b(?:each|every|per|an?|single|first)\s+(?P<noun>[^\W\d_]+)", _I)
_OTHER_NAME = re.compile(
    r"(?<=[a-z,\x00])\s(?<!\bon\s)(?<!\bin\s)(?<!\bat\s)(?<!\bby\s)(?<!\bnear\s)(?P<name>[A-Z][\w-]*[a-z]\w*)"
)
_EACH = re.compile(
    r"\s*(?:per|each|every|(?:for|in|of) (?:each|every|an?))\s+[^\W\d_]+|\s*(?:each|apiece)\b", _I
)
_BRACKET = re.compile(r"\s*\([^()]*\)")
_APIECE = re.compile(r"^\W*(?:each|apiece)\b(?!\s+[^\W\d_])|^\s*(?:each|apiece)\b\s*(?:[.,;)]|$)", _I)


@dataclass(frozen=True)
class _Asked:
    """What a question asks about: its words, the things it names, the amounts that it gives."""

    words: frozenset[str]
    names: frozenset[str]
    things: frozenset[str]
    listed: bool
    amounts: Mapping[Key, frozenset[object]]


def said_of(text: str, mentions: Sequence[Mention], question: str, *, amounts: bool) -> list[Mention]:
    """The mentions, those lowered that are said of something else than the question asks about.

    Of another amount or time -> rejected (only with `amounts`: thinking works with the value of one); of
    another named thing -> open; of another kind of thing -> weak, for it may be a wider word ("an
    arachnid").
    """
    result = list(mentions)
    asked = _asked(question)
    asked = replace(
        asked, listed=any(re.search(rf"\b{re.escape(t)}\s*[:(–-]", text, _I) for t in asked.things)
    )
    valued = [i for i, m in enumerate(mentions) if m.side]
    if not valued or not question:
        return result
    counted = _amounts(text) if amounts and asked.amounts else []
    counted = [one for one in counted if one[2] in asked.amounts]
    dimensions = {_key(m.number) for m in mentions if m.side and m.number is not None}
    other = ""
    about: dict[int, bool] = {}
    for part in sentences(text):
        inside = [i for i in valued if part.start <= mentions[i].start < part.end]
        for left, right, index in _zones(text, part, mentions, inside):
            if index is None:
                other = _or(_subject(text[left:right], "", asked, other), other)
                continue
            mention = mentions[index]
            behind = _behind(text, mention, right)
            found = _subject(text[left : mention.start], behind, asked, other)
            other = _or(found, other)
            if other and mention.weight > Weight.OPEN:
                weight = Weight.OPEN if other == "named" else Weight.WEAK
                if mention.weight > weight:
                    result[index] = replace(mention, weight=weight, reason="another subject")
            end = (
                mention.end + len(behind)
                if mention.number is not None
                else _clause_end(text, mention, left, right)
            )
            if mention.number is None and _other_pair(text, left, end, mention, mentions, asked):
                result[index] = replace(mention, weight=Weight.REJECTED, reason="another subject")
            if mention.number is None and not text[mention.start].isupper():
                continue  # "after", of two words to choose from, is no thing that has amounts
            if (
                amounts
                and asked.amounts
                and _another_amount(text, left, end, mention, counted, asked, dimensions)
            ):
                result[index] = replace(mention, weight=Weight.REJECTED, reason="another amount")
            if mention.number is None:
                about[index] = _about(text[left : mention.start] + text[mention.end : end], asked)
    return _told_of_names(result, about)


def _about(clause: str, asked: _Asked) -> bool:
    """Whether a clause speaks in words of the question, or in hardly any of its own: "It is Lyon."."""
    words = {word for word in _words(clause) if len(word) > 3 and word not in FUNCTION_WORDS | _GENERIC}
    return not words or bool({_stem(word) for word in words} & asked.words)


def _told_of_names(mentions: list[Mention], about: Mapping[int, bool]) -> list[Mention]:
    """Of names that are told of different things, those told of what was asked count; else the first."""
    told = [i for i in about if mentions[i].weight == Weight.STRONG]
    if len({mentions[i].side for i in told}) > 1:
        kept = [i for i in told if about[i]] or told[:1]
        for index in told:
            if index not in kept:
                mentions[index] = replace(mentions[index], weight=Weight.WEAK, reason="aside")
    return mentions


def _zones(
    text: str, part: Sentence, mentions: Sequence[Mention], inside: Sequence[int]
) -> list[tuple[int, int, int | None]]:
    """The sentence cut between its values: what stands in front of a value and behind it up to the next
    border is said of it."""
    if not inside:
        return [(part.start, part.end, None)]
    cuts = [part.start]
    for one, two in pairwise(inside):
        end, start = mentions[one].end, mentions[two].start
        each = _EACH.match(text, end, start)
        end = each.end() if each else end
        border = _BORDER.search(text, end, max(end, start))
        cuts.append(border.start() if border else end)
    cuts.append(part.end)
    return [(left, right, index) for (left, right), index in zip(pairwise(cuts), inside, strict=True)]


def _behind(text: str, mention: Mention, right: int) -> str:
    """What is said of a number behind it: up to the next border, or in brackets; of a name nothing is, for
    "the currency of Laughtale" is all one name."""
    if mention.number is None:
        return ""
    bracket = _BRACKET.match(text, mention.end, right)
    if bracket is not None:
        return bracket[0]
    border = _BORDER.search(text, mention.end, right)
    return text[mention.end : border.start() if border else right]


def _clause_end(text: str, mention: Mention, left: int, right: int) -> int:
    """Where the clause of a name ends: at the next border, past the one behind "On Earth, ..."."""
    border = _BORDER.search(text, mention.end, right)
    if border is not None and not _VERB.search(text, left, mention.start) and text[border.start()] == ",":
        border = _BORDER.search(text, border.end(), right)
    return border.start() if border else right


def _other_pair(
    text: str, left: int, end: int, mention: Mention, mentions: Sequence[Mention], asked: _Asked
) -> bool:
    """Whether a clause ties a name to another name than the question does: "France has the capital Paris"
    where the country with the capital Lyon was asked for."""
    clause = text[left : mention.start] + "\x00" + text[mention.end : end]
    stems = {_stem(word) for word in _words(clause)}
    if not asked.names or stems & {_stem(name) for name in asked.names} or not stems & asked.words:
        return False
    others = (name["name"] for name in _OTHER_NAME.finditer(clause))
    return any(_is_entity(name.casefold(), asked) for name in others)


def _or(found: str | None, before: str) -> str:
    return before if found is None else found


# ---- subjects ----


def _subject(left: str, right: str, asked: _Asked, before: str) -> str | None:
    """ "named" or "kind" where the clause speaks of something else, "" where of what was asked, None where it
    does not say. `before` is what the clause in front of it spoke of."""
    words = set(_words(left + " " + right))
    if words & asked.names:
        return ""
    for found in _PLACE.finditer(left + "\x00" + right):
        name = (found["name"] or found["body"]).casefold().removesuffix("'s")
        if _is_entity(name, asked):
            return "named" if singular(name) in BODIES or found["how"] in ("of", "for") else "kind"
    if words & asked.things:
        return ""
    for found in _OF_ANY.finditer(left):
        if _stem(found["noun"]) not in asked.words and found["noun"] not in _GENERIC:
            return "kind"
    label = _LABEL.match(left)
    if label is not None and asked.listed and _is_entity(label["name"].casefold(), asked):
        return "named"
    verb = _VERB.search(left)
    return None if verb is None else _of_phrase(left[: verb.start()], verb[0], asked, before)


def _of_phrase(left: str, verb: str, asked: _Asked, before: str) -> str | None:
    """The same of the words in front of the verb."""
    pieces = [piece for piece in re.split(r"[;:,—(]", left) if re.search(r"\w", piece)]
    if not pieces:
        return None
    phrase = _LEADING.sub("", pieces[-1]).strip()
    words = re.findall(r"[^\W\d_][\w'-]*", phrase)
    if not words:
        return None
    first = words[0].casefold()
    if first in _RELATIVE or (len(words) > 1 and words[-1].casefold() in _RELATIVE):
        owner = [piece for piece in re.split(r"[;:,—(]|\bthan\b", left) if re.search(r"\w", piece)][:-1]
        return _of_phrase(owner[-1], "has", asked, before) if owner else None
    last = words[-1].casefold()
    if last in _PRONOUNS or first in _PRONOUNS - _INDEFINITE:
        return before if last in ("it", "they", "there") or first in ("its", "their") else None
    names = [w for w in words[1:] if w[0].isupper()]
    if singular(first.removesuffix("'s")) in BODIES:
        names.append(words[0])
    if any(_is_entity(name.casefold().removesuffix("'s"), asked) for name in names):
        return "named"
    stems = {_stem(word) for word in words}
    if stems & asked.words or any(singular(w.casefold()) in _GENERIC for w in words):
        return ""
    if first in _DEFINITE:
        return None if _COPULA.match(verb) else "kind"
    return "kind" if len(re.split(r"\b(?:on|in|at|with|from|near|that)\b", phrase)[0].split()) <= 4 else None


def _is_entity(name: str, asked: _Asked) -> bool:
    """Whether a name is of something that the question does not name; a misspelling is the same name."""
    words = {singular(word) for word in re.findall(r"\w+", name)}
    if (
        len(name) < 2
        or not words
        or words & _NO_ENTITY
        or words & (_PRONOUNS | _INDEFINITE)
        or words & FUNCTION_WORDS
        or words & _GENERIC
    ):
        return False
    unit = match_unit(name, 0)
    if unit is not None and unit[0] == len(name):
        return False
    known = [*asked.words, *asked.things]
    if words == {"earth"} and not asked.things & BODIES:
        return False
    return not any(_stem(w) in asked.words or get_close_matches(w, known, n=1, cutoff=0.8) for w in words)


def _words(text: str) -> list[str]:
    return [singular(word.removesuffix("'s")) for word in re.findall(r"[^\W\d_][\w'-]*", text.casefold())]


def _stem(word: str) -> str:
    return singular(word.casefold().removesuffix("'s"))[:6]


# ---- amounts ----


@lru_cache(maxsize=1024)
def _asked(question: str) -> _Asked:
    words = re.findall(r"[^\W\d_][\w'-]*", question)
    content = {_stem(w) for w in words if w.casefold() not in FUNCTION_WORDS | _PRONOUNS and len(w) > 2}
    proper = {w for w in words[1:] if w[0].isupper()} | {w for w in words if singular(w.casefold()) in BODIES}
    amounts: dict[Key, set[object]] = {}
    for _, _, key, value in _amounts(question):
        amounts.setdefault(key, set()).add(value)
    names = {singular(w.casefold().removesuffix("'s")) for w in proper}
    things = names | {key for key in amounts if isinstance(key, str) and key != "date"}
    counts = [v for key, values in amounts.items() if isinstance(key, str) for v in values]
    counts = [v for v in counts if isinstance(v, float)]
    for values in amounts.values():
        numbers = [v for v in values if isinstance(v, float)]
        values |= {v * n for v in numbers for n in counts} | {a + b for a, b in combinations(numbers, 2)}
    return _Asked(
        frozenset(content),
        frozenset(names),
        frozenset(things),
        False,
        {key: frozenset(values) for key, values in amounts.items()},
    )


def _amounts(text: str) -> list[tuple[int, int, Key, object]]:
    """Amounts and dates of a text, each with its place, what it counts and how much: "7 s", "3 Neelam",
    "each kilogram"."""
    dates = [(n.start, n.end, "date", n.date) for n in find_dates(text)]
    taken = {place for start, end, _, _ in dates for place in range(start, end)}
    found: list[tuple[int, int, Key, object]] = list(dates)
    for number in find_numbers(text):
        key = _key(number)
        if key is not None and number.start not in taken:
            factor = 1.0 if number.scale is None else number.scale.factor
            found.append((number.start, number.end, key, round(number.value * factor, 9)))
            taken.update(range(number.start, number.end))
    for one in _ONE.finditer(text):
        unit = match_unit(text, one.start("noun"))
        single = Number(
            one.start(), one.end(), 1.0, unit[1] if unit else None, 0, True, one["noun"].casefold()
        )
        key = _key(single)
        if key is not None and one.start() not in taken:
            factor = 1.0 if single.scale is None else single.scale.factor
            found.append((one.start(), one.end(), key, round(factor, 9)))
    return found


def _key(number: Number) -> Key | None:
    if number.date is not None:
        return "date"
    if number.factors is not None:
        return None if number.scale is None else number.scale.dimension
    return singular(number.follow) if number.follow and number.follow not in FUNCTION_WORDS else None


def _another_amount(
    text: str,
    left: int,
    right: int,
    mention: Mention,
    counted: Sequence[tuple[int, int, Key, object]],
    asked: _Asked,
    dimensions: set[Key | None],
) -> bool:
    """Whether the words around a value give an amount that the question gives otherwise."""
    given: dict[Key, list[object]] = {}
    for start, end, key, value in counted:
        apart = end <= mention.start or start >= mention.end
        of_another = (
            text.startswith("per", start) and re.search(r"\d", text[left:start]) and end <= mention.start
        )
        if (
            left <= start
            and end <= right
            and apart
            and not of_another
            and key not in dimensions
            and not (key == "date" and mention.number is not None)
        ):
            if equation_role(text, start, end) != "operand":
                given.setdefault(key, []).append(value)
    if any(not any(_same(v, w) for v in values for w in asked.amounts[key]) for key, values in given.items()):
        return True
    several = any(v != 1.0 for key, vs in asked.amounts.items() if isinstance(key, str) for v in vs)
    return several and bool(_APIECE.match(text[mention.end : right]))


def _same(one: object, two: object) -> bool:
    if isinstance(one, Date) and isinstance(two, Date):
        return one.agrees(two)
    if isinstance(one, float) and isinstance(two, float):
        return abs(one - two) <= 0.005 * max(abs(one), abs(two))
    return False
