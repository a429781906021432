"""Why a value that stands in a sentence may not be what the sentence asserts.

Each guard reads the words to the left and right of a mention within its sentence. Scopes are short on
purpose: "It does not depend on mass and is 5.0 m/s^2" asserts 5.0, "It is not true that g is 5.0" does not.
"""

from __future__ import annotations

import re

_I = re.IGNORECASE

# ---- negation ----
_NEGATOR = re.compile(
    r"\b(?:not|never|neither|nor|cannot|no longer|none of)\b|n't\b|≠|!=|\bno\b(?=\s+[\d$])"
    r"|\b(?:incorrect|wrong|false|mistaken|inaccurate|erroneous|untrue)(?:ly)?\s+(?:to"
    r"|that|value|answer|figure|"
    r"number|result|assumption|claim|say|states?|stated)\b"
    r"|\b(?:wrong|incorrect|false)(?:\s+(?:value|answer))?\s*(?:[:=](?!\s*(?:it"
    r"|the|g|I|we)\b)|would be|is|was)"
    r"|\b(?:myths?|misconceptions?|mistakes?|errors?|fallac(?:y|ies)|typos?)\b"
    r"|\b(?:doubt|den(?:y|ies|ied)|reject|refute|debunk|dispute|disagree|disbelieve)\w*\b"
    r"|\bfar from\b|\banything but\b|\bnowhere near\b|\bno (?:way|chance)\b|\bby no means\b|\bhardly\b",
    _I,
)
_NOT_NEGATING = re.compile(
    r"\s*(?:only|just|merely|simply|wrong|incorrect|false|mistaken|inaccurate|much"
    r"|surprising\w*|forget|worry|hesitate|"
    r"a (?:mistake|trick|typo)|unlike|without)\b",
    _I,
)
_DOUBT_FREE = re.compile(r"\b(?:no|without(?: any| a)?|little|any)\s+$", _I)
_NEGATION_BREAK = re.compile(
    r"[,;—|→❌]|:|\b(?:but|however|yet|although|though|whereas|while|so|therefore"
    r"|thus|hence|because|since|instead|"
    r"actually|rather(?!\s+than))\b|\band\b(?!\s+(?:not\b|[\d$(]))",
    _I,
)
_REPORTED = re.compile(
    r"^\s*(?:\w+\s+){0,3}?(?:true|correct|right|case|clear|proven|think|believe"
    r"|say|claim|mean|agree|accept|suggest|"
    r"imply|know|confirm|conclude|assume|expect|possible|likely|sure|certain|that|if|whether)\b",
    _I,
)
_FLAT_DENIAL = re.compile(
    r"doubt|den(?:y|ie)|reject|refute|debunk|disp|disagree|disbelie|no (?:way|chance)", _I
)
_COPULA = re.compile(r"\b(?:is|are|was|were|remains|becomes|will be|has|have|gives)\b", _I)
_INSTEAD = re.compile(
    r"\b(?:instead of|rather than|other than|as opposed to|in place of|in lieu"
    r" of|unlike|except(?: for)?|contrary to|"
    r"in contrast (?:to|with)|compared (?:to|with)|versus|vs\.?|different from"
    r"|differs? from|replac(?:es|ing|ed)|"
    r"(?:down|up|apart|aside|away) from|disregard(?:ing)?|ignor(?:e|ing)|avoid(?:ing)?"
    r"|discard\w*|despite|without using|forget(?:ting)?(?: about)?|"
    r"not to be confused with|as against|over and above)\b",
    _I,
)
_ONLY = re.compile(
    r"(?:\b(?:not|cannot|nothing|never|none|no)\b|n't\b)[^,;.\x00]{0,40}\b(?:other"
    r" than|except|apart from)\b[^,;.\x00]{0,20}$",
    _I,
)
_POST_NEGATION = re.compile(
    r"^[\s\"'⟧)\]]*(?:(?:given|stated|claimed|mentioned|used|in|from|by|the|your"
    r"|this|question|prompt|problem|user|that|you|gave|"
    r"quoted|here|above|text)\s+){0,7}(?:(?:value|figure|number|answer|result|there"
    r"|here|on Earth|one)\s*)?,?\s*(?:which|that)?\s*(?:"
    r"(?:is|are|was|were|would be|seems|must be|has to be|'s)\s+(?:\w+ly\s+|an?\s+"
    r"|the\s+|just\s+|also\s+|only\s+|common\s+)*"
    r"(?:wrong|incorrect|false|inaccurate|untrue|mistaken|mistake|error|myth|misconception"
    r"|fallacy|invalid|impossible|"
    r"implausible|unrealistic|outdated|nonsense|typo)\b"
    r"|(?:is|are|was|were|would|should|can|could|does|do|did|will)(?:n't|\s+not"
    r"|\s+never)\s+(?:be\s+|really\s+|actually\s+)*"
    r"(?:an?\s+|the\s+|my\s+|our\s+)?(?:\w+ly\s+)?(?:correct|right|true|accurate"
    r"|valid|real|actual|answer|value|case|used?|"
    r"accepted|standard|possible|what|how|applicable|apply|hold|acceleration|gravity|force|one|it\s*[.,;]|"
    r"gravitational|final|proper|appropriate|official|capital|currency)\b"
    r"|(?:is|was|were|are)(?:n't|\s+not)\s*(?:[.;!]|$)"
    r"|[(\[]?\s*(?:incorrect|wrong|false|not\s+(?:correct|true|right|the))\b"
    r"|cannot be\b|❌)",
    _I,
)

# ---- attribution ----
_SPEECH = (
    r"(?:sa(?:y|ys|id|ying)|claim(?:s|ed|ing)?|think(?:s|ing)?|thought|believe[sd]?"
    r"|state[sd]?|stating|assert(?:s|ed)?|"
    r"argue[sd]?|suggest(?:s|ed)?|mention(?:s|ed|ing)?|report(?:s|ed)?|tell(?:s|ing)?|told|insist(?:s|ed)?|"
    r"assume[sd]?|hold|held|specif(?:y|ies|ied)|writes?|wrote|implie[sd]|imply"
    r"|propose[sd]?|quote[sd]?|quoting|"
    r"cite[sd]?|provides?|provided|refers?|referred|pretends?|guess(?:es)?|swears?|maintains?)"
)
_DISTANT = re.compile(
    r"\b(?:some|many|most|few|several|certain (?:people|sources)|people|others?"
    r"|another|everyone|everybody|someone|somebody|anyone|critics|"
    r"sceptics|skeptics|users?|questions?|prompts?|problems?|statements?|texts?"
    r"|passages?|contexts?|documents?|"
    r"articles?|premise|input|instructions?|teachers?|students?|friends?|myths?"
    r"|legends?|claims?|stories|story|"
    r"rumou?rs?|internet|websites?|blogs?|authors?|movie|film|game|novel|lore|professor"
    r"|colleague|brother|sister|"
    rf"the quiz|riddle)(?:\s+(?!I\b|we\b)[\w'/-]+){{0,4}}?\s+(?:\w+ly\s+)?(?:{_SPEECH}|gives?|gave|uses?)\b"
    rf"|\b(?:you|they|he|she|your (?:\w+\s+)?\w+)\s+(?:\w+ly\s+|have\s+|had\s+|just\s+"
    rf"|may\s+|might\s+)*{_SPEECH}\b"
    r"|\byou asked\b|\byour (?:question|claim|statement|prompt|value|figure)\b"
    r"|\b(?:is|are|was|were|been|be)\s+(?:\w+ly\s+|often\s+|sometimes\s+)*(?:said"
    r"|claimed|rumou?red|alleged|purported|supposed)\b"
    r"|\b(?:supposedly|allegedly|reportedly|purportedly|so-called|purported|alleged"
    r"|rumou?red|claimed|supposed)\b"
    r"|\b(?:claim|idea|belief|notion|rumou?r|assertion|statement|suggestion|legend"
    r"|premise)\s+(?:that|of|is that|says)\b"
    r"|\b(?:in|from) (?:the|your) (?:question|prompt)\b",
    _I,
)
_AUTHORITY = re.compile(
    r"\b(?:scientists?|physicists?|experts?|economists?|geographers?|textbooks?"
    r"|nasa|nist|wikipedia|sources|measurements?|"
    rf"researchers?|encyclop\w+|literature|standards?|science)(?:\s+[\w'-]+){{0,3}}?\s+(?:\w+ly\s+)?(?:{_SPEECH}"
    rf"|gives?|lists?|uses?|shows?)\b"
    r"|\b(?:is|are|was|were|been|be)\s+(?:\w+ly\s+|often\s+|sometimes\s+)*(?:believed"
    r"|thought|assumed|reported|cited|"
    r"quoted|considered|listed)\b|\bapparently\b|\bas (?:you|the|stated|claimed"
    r"|mentioned|given|specified|some)\b",
    _I,
)
_AGREED = re.compile(
    rf"(?:^|,|\band\b)\s*(?:just\s+)?as (?:you|the \w+|stated|given|mentioned|we)\b(?:\s+{_SPEECH}"
    rf"|\s+(?:gives?|gave|puts? it))?(?:\s+\w+)?,[^,;]*$",
    _I,
)
_ACCORDING = re.compile(r"\b(?:according to|as per|per the|based on the claim)\b", _I)
_OWN_REASONING = re.compile(
    r"^\s*(?:\w+\s+){0,3}?(?:newton|galileo|hooke|ohm|einstein|kepler|laws?|formulas?"
    r"|formulae|equations?|definitions?|principles?|"
    r"theorems?|calculations?|computation|kinematics?|mechanics|relation(?:ship)?"
    r"|conservation|rule|work|steps?)\b",
    _I,
)
_AUTHORITIES = re.compile(
    r"^\s*(?:the\s+|most\s+|all\s+|our\s+|my\s+)?(?:standard|official|modern|current"
    r"|known|established)?\s*(?:physics|science|"
    r"scientists|nasa|nist|wikipedia|textbooks?|measurements?|experts|physicists"
    r"|knowledge|understanding|training|data)\b",
    _I,
)
_ATTRIBUTION_BREAK = re.compile(
    r"[;—→]|\b(?:but|however|yet|although|though|whereas|while|so|therefore|thus"
    r"|hence|then|actually|wrong|incorrect|mistaken)\b"
    r"|\bin (?:fact|reality|truth)\b",
    _I,
)
_NEW_SUBJECT = re.compile(
    r",\s*(?:and\s+)?(?:it|it's|that's|this|I|we|here|the (?:actual|real|true|correct"
    r"|right|answer|force|speed|value|weight|"
    r"acceleration|energy|result|capital|currency))\b",
    _I,
)
_POST_ATTRIBUTION = re.compile(
    r"^[\s\"')\]]*,?\s*(?:according to(?P<who>.{0,40})|as (?P<as>stated|claimed"
    r"|given|mentioned|specified|said|suggested|you|the|"
    r"some|per|many)\b|(?:is|are|was) (?:just |only |merely )?(?:what|the (?:claim"
    r"|value (?:given|claimed|stated|mentioned)))\b"
    r"|(?:is|are|was) (?:\w+ly |often |sometimes )?(?:claimed|said|alleged|rumou?red)\b"
    r"|(?:some|many|people|you|they|the (?:question|prompt|user|problem))\s+(?:people\s+"
    r"|sources\s+)?(?:say|says|said|claims?|"
    r"claimed|think|believe|mention(?:s|ed)?|states?)\b)",
    _I,
)

# ---- hypotheticals, background, doubt ----
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
    r"|starting|starts?|from rest)\b[^,;:=]{0,40}(?:=|≈)?\s*[(]?$",
    _I,
)
_BACKGROUND = re.compile(
    r"\b(?:normally|usually|typically|standard|conventional(?:ly)?|commonly|generally"
    r"|traditional(?:ly)?|ordinar(?:y|ily)|"
    r"customar\w+|textbook|usual|typical|normal(?!\s+(?:force|reaction|to)\b)|previously"
    r"|formerly|former|used to(?: be)?|once|"
    r"originally|historically|real-world|real-life|in reality|in real life|in the"
    r" real world|often|sometimes|rounded|"
    r"before|earlier|until|was|were|old|regular|on other planets|elsewhere)\b",
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
_CHANGE_TO = re.compile(r"^[^.;]{0,30}?\bto\b", _I)

BODIES = re.compile(
    r"\b(earth|moon|mars|venus|mercury|jupiter|saturn|uranus|neptune|pluto|titan"
    r"|europa|ceres|sun|io)(?:'s|’s)?\b",
    _I,
)


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last place where a pattern matches."""
    found = None
    for match in pattern.finditer(text):
        found = match
    return found


def negated(left: str, right: str) -> bool:
    """Whether a negator governs the mention between `left` and `right` (the rest of its sentence).

    `left` ends at the mention; earlier mentions of the sentence are masked with "\\x00", and a negator
    governs only the first mention after it, with those that "or" or an equation ties to it.
    """
    if _POST_NEGATION.match(right):
        return True
    if _ONLY.search(left):
        return False
    for pattern in (_NEGATOR, _INSTEAD):
        found = last_match(pattern, left)
        if found is None:
            continue
        between = left[found.end() :]
        if pattern is _NEGATOR:
            word = found[0].casefold()
            if _NOT_NEGATING.match(between) or (
                word.startswith("doubt") and _DOUBT_FREE.search(left[: found.start()])
            ):
                continue
            if word.startswith(
                ("myth", "misconception", "mistake", "error", "fallac", "typo", "wrong", "false", "incorrect")
            ):
                between = between.replace(":", " ")
        elif re.search(r"(?:n't|\bnot|\bnever)\s+$", left[: found.start()], _I):
            continue
        between = re.sub(r"^\s*,[^,;.]{1,60},", " ", between)
        if (
            pattern is _NEGATOR
            and re.search(r"\bneither\b[^;.]*\x00", left[found.start() :], _I)
            and "nor" not in between
        ):
            between = between.replace("\x00", "")
        if "\x00" in re.sub(r"\x00\s*(?:,?\s*(?:or|nor)\b|[×·/÷+=≈^-])", " ", between):
            continue
        if _NEGATION_BREAK.search(between):
            continue
        copula = _COPULA.search(between)
        if (
            pattern is _NEGATOR
            and copula is not None
            and not _FLAT_DENIAL.match(found[0])
            and not _REPORTED.match(between[: copula.start()] + " ")
        ):
            continue
        return True
    return False


def attribution(left: str, right: str) -> str | None:
    """`distant` where somebody else is said to hold it, `authority` for a trusted source, else None."""
    after = _POST_ATTRIBUTION.match(right)
    if after is not None:
        if after["who"] is not None:
            return _who(after["who"])
        return "authority" if after["as"] else "distant"
    found = last_match(_ACCORDING, left)
    if found is not None and not _ATTRIBUTION_BREAK.search(left[found.end() :]):
        who = _who(left[found.end() :])
        if who is not None:
            return who
    if _AGREED.search(left):
        return "authority"
    for pattern, kind in ((_DISTANT, "distant"), (_AUTHORITY, "authority")):
        found = last_match(pattern, left)
        if found is not None:
            between = left[found.end() :]
            if not _ATTRIBUTION_BREAK.search(between) and not _NEW_SUBJECT.search(between):
                return kind
    return None


def _who(name: str) -> str | None:
    if _OWN_REASONING.match(name):
        return None
    return "authority" if _AUTHORITIES.match(name) else "distant"


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


def background(left: str) -> bool:
    """Whether the clause marks the value as the usual, former or given one, not the one that holds here."""
    clause = _last_clause(left)
    return bool(_BACKGROUND.search(clause) or _GIVEN.search(left))


def modal(left: str) -> bool:
    """Whether the clause only says that it may be so."""
    return bool(_MODAL.search(_last_clause(left)))


def compared(left: str, *, name: bool = False) -> bool:
    """Whether the value is only compared with: more than 5, at least 5; for a name "bigger than Lyon"."""
    return bool((_THAN if name else _COMPARED).search(left)) and not _ONLY.search(left)


def multiplied(left: str) -> bool:
    """ "half of 9.8", "5 times the 9.8"."""
    return bool(_MULTIPLIED.search(left))


def former(right: str) -> bool:
    """Whether what follows a name puts it into the past: "Paris was the capital until ..."."""
    return bool(_FORMER_NAME.match(right))


def changed_from(left: str, right: str) -> bool:
    """The old value of "changed from 9.8 to 5.0"."""
    return bool(_CHANGED_FROM.search(left) and _CHANGE_TO.match(right))


def varies_from(left: str) -> bool:
    """The lower end of "varies from 9.78 at the equator to 9.83 at the poles"."""
    return bool(_VARIES.search(left))


def _last_clause(left: str) -> str:
    end = 0
    for found in _CLAUSE_BREAK.finditer(left):
        end = found.end()
    return left[end:]
