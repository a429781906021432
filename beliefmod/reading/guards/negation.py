"""Whether a sentence denies the value that stands in it.

Scopes are short on purpose: "It does not depend on mass and is 5.0 m/s^2" asserts 5.0, "It is not true that
g is 5.0" does not.
"""

from __future__ import annotations

import re

_I = re.IGNORECASE
_NEGATOR = re.compile(
    r"\b(?:not|never|neither|nor|cannot|no longer|none of)\b|n't\b|≠|!=|\bno\b(?=\s+[\d$])"
    r"|\b(?:incorrect|wrong|false|mistaken|inaccurate|erroneous|untrue)(?:ly)?\s+(?:to"
    r"|that|value|answer|figure|"
    r"number|result|assumption|claim|say|states?|stated)\b"
    r"|\b(?:wrong|incorrect|false)(?:\s+(?:value|answer))?\s*(?:[:=](?!\s*(?:it"
    r"|the|g|I|we)\b)|would be|is|was)"
    r"|\b(?:myths?|misconceptions?|mistakes?|errors?|fallac(?:y|ies)|typos?)\b"
    r"|\b(?:doubt|den(?:y|ies|ied)|reject|refute|debunk|dispute|disagree|disbelieve)\w*\b"
    r"|\bno (?:\w+ ){0,2}(?:evidence|information|indication|proof|records?|sources?|basis)\b"
    r"|\bno (?:\w+ )?reason to (?:think|believe|assume)\b"
    r"|\b(?:unlikely|doubtful|implausible|unproven|unverified|unconfirmed)\b(?=\s+(?:that|to)\b)"
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
    r"^\s*(?:\w+\s+){0,3}?(?:the (?:value|number|figure|usual|one|same)|what|true"
    r"|correct|right|case|clear|proven|think|believe"
    r"|say|claim|mean|agree|accept|suggest|"
    r"imply|know|confirm|conclude|assume|expect|possible|likely|sure|certain|that|if|whether)\b",
    _I,
)
_FLAT_DENIAL = re.compile(
    r"doubt|den(?:y|ie)|reject|refute|debunk|disp|disagree|disbelie|no (?:way|chance)", _I
)
_DENIALS = re.compile(
    r"incorrect|wrong|false|mistaken|inaccurate|untrue|myth|mist|error|den|reject|disp|disag", _I
)
_DENIED = re.compile(
    r"(?:\b(?:not|never|no|cannot|hardly|nothing)|n't)\s+(?:(?:a|an|at all|really|be)\s+)?$", _I
)
"""What turns a denial round: "it is not wrong that", "I can't deny that"."""
_TIED = re.compile(
    r"\x00\s*(?:,?\s*(?:or|nor)\b|[×·/÷+=≈^-]"
    r"|(?:[^\W\d]+\s+){0,2}(?:(?:is|are|was|were|be)\s+)?(?:worth|equals?|equal to|equivalent to)\b)"
)
"""What ties a mention to the next, so that one negator governs both: "9.8 or", "2 ×", "1 Neelam is worth"."""
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
ONLY = re.compile(
    r"(?:\b(?:not|cannot|nothing|never|none|no)\b|n't\b)[^,;.\x00]{0,40}\b(?:other"
    r" than|except|apart from)\b[^,;.\x00]{0,20}$",
    _I,
)
_POST_NEGATION = re.compile(
    r"^[\s\"'⟧)\]]*(?:,[^,.;]{1,25},\s*)?(?:(?:given|stated|claimed|mentioned|used|in|from|by|the|your"
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
    r"|[(\[]?\s*(?:incorrect|wrong|false|not\s+(?:correct|true|right"
    r"|the (?:\w+ )?(?:one|answer|value|case|result|truth)))\b"
    r"|cannot be\b|❌)",
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
    if ONLY.search(left):
        return False
    for pattern in (_NEGATOR, _INSTEAD):
        found = last_match(pattern, left)
        if found is None:
            continue
        between = left[found.end() :]
        if pattern is _NEGATOR:
            word = found[0].casefold()
            if _DENIALS.match(found[0]) and _DENIED.search(left[: found.start()]):
                continue
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
        if "\x00" in _TIED.sub(" ", between):
            continue
        if _NEGATION_BREAK.search(between):
            continue
        copula = _COPULA.search(between)
        if (
            pattern is _NEGATOR
            and copula is not None
            and not _FLAT_DENIAL.match(found[0])
            and not found[0].casefold().endswith("that")
            and not _REPORTED.match(between[: copula.start()] + " ")
        ):
            continue
        return True
    return False
