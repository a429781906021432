"""Whether a sentence only supposes a value, compares with it, or names it as the usual or former one."""

from __future__ import annotations

import re

from beliefmod.reading.guards.negation import ONLY, last_match

_I = re.IGNORECASE
_SUPPOSED = re.compile(
    r"\b(?:suppose|supposing|imagine|imagining|pretend(?:ing)?|let's say|let us"
    r" say|what if|if only|as if|as though|in an? (?:\w+ )?(?:world|universe|reality"
    r"|planet) (?:where|in which|with|whose))\b",
    _I,
)
_FICTION = re.compile(
    r"\b(?:hypothetical(?:ly)?|fictional(?:ly)?|fictitious|counterfactual(?:ly)?|made-up)\b", _I
)
_CONDITION = re.compile(
    r"\b(?:if|unless|whether|were\s+(?=it|the|gravity|g\b)|had\s+(?=it|the|gravity))\b", _I
)
_UNREAL = re.compile(r"\b(?:were|would|could|might|had)\b|'d\b", _I)
_CONDITION_ENDS = re.compile(r",|\bthen\b|[;:—→]|\b(?:it|they|he|she)\s+(?:will|\w+s)\b", _I)
_GIVEN = re.compile(
    r"\b(?:assum\w+|given(?!\s+by)(?:\s+that)?|provided that|taking|using|initial(?:ly)?"
    r"|starting|starts?|from rest)\b[^,;:=\x00]{0,40}(?:=|≈)?\s*[(]?$",
    _I,
)
_BACKGROUND = re.compile(
    r"\b(?:normally|usually|typically|standard|conventional(?:ly)?|commonly|generally"
    r"|traditional(?:ly)?|ordinar(?:y|ily)|"
    r"customar\w+|textbook|usual|typical|normal(?!\s+(?:force|reaction|to)\b)|previously"
    r"|formerly|former|used to(?: be)?|once|"
    r"originally|historically|real-world|real-life|in reality|in real life|in the"
    r" real world|often|sometimes|rounded|"
    r"before|earlier|until|old|regular|on other planets|elsewhere)\b",
    _I,
)
_MODAL = re.compile(
    r"\b(?:might|may|could|perhaps|maybe|possibly|potentially|can be|seems to be|either)\b", _I
)
_CLAUSE_BREAK = re.compile(
    r"[,;:—|→()]|\b(?:but|however|yet|although|though|whereas|while|so|therefore"
    r"|thus|hence|because|instead|actually|here|now)\b",
    _I,
)

# ---- what the number says ----
_COMPARED = re.compile(
    r"(?:\bthan\b[^,.;:]{0,40}|\b(?:over|under|above|below|exceed(?:s|ing)?|at"
    r" least|at most|up to|beyond|minimum of|maximum of|"
    r"nearly as (?:much|high|large) as|close to|upwards of)\s*(?:the |a |an |its"
    r" |about |around |usual |normal |standard )*|[<>≥≤]\s*)[(⟦\"'$]*$",
    _I,
)
_AT_LEAST = re.compile(r"\bat least\s+(?:about\s+|around\s+)?$", _I)
_NEEDED = re.compile(r"\b(?:need|require|must|necessary)\w*\b", _I)
_THAN = re.compile(r"\bthan\b[^,.:;]{0,30}$", _I)
_MULTIPLIED = re.compile(
    r"(?:\b(?:half|twice|double|triple|thrice|a third|a quarter|one-third|fraction"
    r"|multiple|percent|times)\b|%)\s*(?:of\s+)?"
    r"(?:the\s+|that\s+of\s+|as\s+\w+\s+as\s+|its\s+|our\s+|earth's\s+|normal\s+"
    r"|usual\s+|standard\s+|value\s+|of\s+|gravity\s+)*[(]?$",
    _I,
)
_CHANGED_FROM = re.compile(r"\bfrom\s+(?:the\s+|about\s+|its\s+|usual\s+|normal\s+|standard\s+)*[(]?$", _I)
_FORMER_NAME = re.compile(r"^\s*(?:was|were|used to be|had been|once was)\b", _I)
_VARIES = re.compile(
    r"\b(?:var(?:y|ies|ying)|rang(?:e|es|ing)|fluctuat\w+|between)\b[^,;.]{0,30}\bfrom\s+(?:about\s+)?$", _I
)
_SIMPLIFIED = re.compile(
    r"^\s*\)?\s*(?:is (?:often |sometimes )?used\s*)?(?:for (?:simplicity|simple"
    r"|convenience|ease|rough|quick|easy|estimates)|"
    r"in (?:rough|quick|simple)|as (?:an? )?(?:rough|simple|approximation))\b",
    _I,
)
_CONCESSIVE = re.compile(r"\b(?:although|though|albeit|even if)\b(?=[^,;:—]*$)", _I)
_OF_SOME = re.compile(
    r"\b(?:although|though|albeit|even\s+if)\s+(?:in\s+)?(?:some|(?:a\s+)?few|many|certain"
    r"|several|other|most|there\s+(?:are|is))\b[^.;]*$",
    _I,
)
_HERE = re.compile(r"\b(?:here|now|today|actually|in fact|in this|really|currently)\b", _I)
_PAST_STATE = re.compile(
    r"\b(?:formerly|previously|used to (?:be|have|equal|lie)|(?:was|were|had) once|once (?:was|were|had)"
    r"|historically|in the past|at one time|long ago"
    r"|(?:former|erstwhile|old|previous|past)\s+\w+(?:\s+of\s+\w+)?\s+(?:is|was|were))\b",
    _I,
)
_PAST_SAID = re.compile(
    r"^\s*(?:used to be|once was"
    r"|(?:was|were|had been)\s+(?:once|formerly|previously|long|historically|(?:the|a|its)\s+(?:former|old"
    r"|previous))\b"
    r"|(?:was|were|had been)\b[^.;,]*\b(?:until|till|before|back (?:in|then)|in the past|at one time"
    r"|centur\w+)\b)",
    _I,
)
_ONLY_IN = re.compile(
    r"^\s*(?:only|just|merely)\s+(?:when|if|while|before|after|until|in|at|on|near|for|during|by)\b(?P<case>[^.;!?]*)",
    _I,
)
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")
_MOVED = re.compile(r"\b(?:chang|mov|shift|correct|revis|updat|postpon)\w*\b", _I)
_PAST = re.compile(r"\b(?:was|were|old|once|earlier|until|before)\b", _I)
_NOT_UNTIL = re.compile(r"(?:\bnot\b|n't\b|\bonly\b)[^.;]*\b(?:until|till|before)\s+$", _I)
_CHANGE_TO = re.compile(r"^[^.;]{0,30}?\bto\b", _I)


def hypothetical(left: str, right: str) -> str | None:
    """`unreal` for what is only supposed, `condition` for an indicative if-clause or a fiction, else None."""
    found = last_match(_SUPPOSED, left)
    if found is not None and not re.search(
        r"\b(?:but|however|in reality|actually)\b|[;—]", left[found.end() :], _I
    ):
        return "unreal"
    found = last_match(_CONDITION, left)
    if found is not None:
        clause = left[found.end() :]
        ends = _CONDITION_ENDS.search(clause)
        if (
            ends is not None
            and ends[0][0].isalpha()
            and ends[0] != "then"
            and len(clause[: ends.start()].split()) < 3
        ):
            ends = None  # "if it is 5.0": the first subject, not the main clause's
        if ends is None:
            return "unreal"
        rest = clause[ends.start() :]
        if not re.search(r"\b(?:but|however|in reality|actually)\b|[;—]", rest, _I):
            if _UNREAL.search(clause[: ends.start()]) and _UNREAL.search(rest):
                return "unreal"
            if "\x00" in clause[: ends.start()]:
                return "condition"
    condition = re.match(r"^[^;.—]*?(?<![\w'])if\b(?P<clause>[^;.—]*)", right, _I)
    if (
        condition is not None
        and re.search(r"\b(?:were|was|had)\b", condition["clause"], _I)
        and re.search(r"\b(?:would|could|might)\b|'d\b", left, _I)
    ):
        return "unreal"
    found = last_match(_FICTION, left)
    if found is not None and not re.search(
        r"\b(?:but|however|in reality|actually)\b|[;—]", left[found.end() :], _I
    ):
        return "condition"
    return None


def background(left: str, *, date: bool = False) -> bool:
    """Whether the clause marks the value as the usual, former or given one, not the one that holds here.

    What happened on a date is past as a matter of course, so there "was" marks nothing.
    """
    clause = last_clause(left)
    if date:
        clause = _PAST.sub(" ", clause)
    return bool(_BACKGROUND.search(clause) or _GIVEN.search(left))


def conceded(left: str) -> bool:
    """Whether the clause only concedes the value: "9.8, though some worksheets have 5.0"."""
    if _OF_SOME.search(left):
        return True
    found = last_match(_CONCESSIVE, left)
    return found is not None and not _HERE.search(left, found.end())


def begins_with(left: str) -> bool:
    """Whether something is said to have happened not before a date, and then: "not until 1975"."""
    return bool(_NOT_UNTIL.search(left))


def modal(left: str) -> bool:
    """Whether the clause only says that it may be so."""
    return bool(_MODAL.search(last_clause(left)))


def compared(left: str, question: str = "", *, name: bool = False) -> bool:
    """Whether the value is only compared with: more than 5, at least 5; for a name "bigger than Lyon".

    Asked what is needed, "at least 5" answers.
    """
    if _AT_LEAST.search(left) and _NEEDED.search(question):
        return False
    return bool((_THAN if name else _COMPARED).search(left)) and not ONLY.search(left)


def multiplied(left: str) -> bool:
    """ "half of 9.8", "5 times the 9.8"."""
    return bool(_MULTIPLIED.search(left))


def former(right: str) -> bool:
    """Whether what follows a name puts it into the past: "Paris was the capital until ..."."""
    return bool(_FORMER_NAME.match(right))


def past_state(left: str, right: str) -> bool:
    """Whether a value is said to have held once and no more: "used to be 9.8", "was the capital until"."""
    return bool(_PAST_STATE.search(last_clause(left)) or _PAST_SAID.match(right))


def restricted(right: str, question: str) -> bool:
    """Whether a value holds in another case than the one asked about: "red only when raw"."""
    found = _ONLY_IN.match(right)
    if found is None:
        return False
    return not set(_LONG_WORD.findall(found["case"].casefold())) & set(
        _LONG_WORD.findall(question.casefold())
    )


def simplified(right: str) -> bool:
    """The rounded value of "9.8 m/s^2, or 10 m/s^2 for simplicity"."""
    return bool(_SIMPLIFIED.match(right))


def changed_from(left: str, right: str, *, date: bool = False) -> bool:
    """The old value of "changed from 9.8 to 5.0"; "from 1969 to 1972" alone is a span of time."""
    changed = _CHANGED_FROM.search(left) and _CHANGE_TO.match(right)
    return bool(changed) and (not date or bool(_MOVED.search(left)))


def varies_from(left: str) -> bool:
    """The lower end of "varies from 9.78 at the equator to 9.83 at the poles"."""
    return bool(_VARIES.search(left))


def last_clause(left: str) -> str:
    """What stands behind the last comma, conjunction or bracket."""
    end = 0
    for found in _CLAUSE_BREAK.finditer(left):
        end = found.end()
    return left[end:]
