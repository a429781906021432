"""Whether a date is told of another event than the one asked about.

"The wreck was found in 1985" and "built in 1912" say nothing of when a ship sank. Only events that are
usually told beside others are known; a date with none of them counts.
"""

from __future__ import annotations

import re

from beliefmod.reading.guards.asked import asked_about, stem
from beliefmod.reading.guards.subject import VERB

_I = re.IGNORECASE
_EVENT = re.compile(
    r"\b(?:launch(?:ed|ing)?|built|build|building|construct(?:ed|ion)|complet(?:ed|ion)"
    r"|laid down|designed|found(?!\s+that)"
    r"|(?:re)?discover(?:ed|y)|located|born|birth|died|death|film(?:ed)?|movie|novel|released?"
    r"|premiered|directed"
    r"|published|hit|hitting|struck|striking|collided|collision|set sail|sailed|sailing"
    r"|departed|departure|voyage|founded"
    r"|established|signed|recovered|salvaged|explored|commissioned|ordered|renamed|retired"
    r"|began|begun|started|married"
    r"|elected|invented|patented|made|written|wrote|composed|painted|produced|recorded|staged|shot"
    r"|opened|unveiled|inaugurated|erected|raised|refloated|scrapped|sold|bought)\b",
    _I,
)
_WORK = re.compile(
    r"^\W*(?:an?|the|one|this|another)\s+(?:[\w-]+\s+){0,2}?(?P<work>[a-z]+)\s+(?:about|on|to|showing|describing"
    r"|depicting|commemorating|based on)\s",
    _I,
)
_OPENS = re.compile(
    r"^\W*(?:(?:\w+\s+){1,3}(?:earlier|later|before|after),\s*)?(?:(?:and|but|then"
    r"|so)\s+)?(?:it\s+was\s+)?(?:in|on|by|around|about)?\s*(?:the\s+year\s+)?$",
    _I,
)
_PART = re.compile(r"[;()]")
_THEN = re.compile(r"[;()]|\b(?:and|but|then)\b", _I)
_HERE = re.compile(r"[,;()—\x00]|\b(?:and|but|when|while|before|after)\b", _I)


def of_another_event(left: str, right: str, question: str) -> bool:
    """Whether the date between `left` and `right`, the rest of its sentence, is of an event that the question
    does not name. Earlier dates are masked in `left` with "\\x00".

    What stands in front of a date, since the date before it, tells its event; in front of nothing, what
    follows: "In 1912 it hit an iceberg and sank" is of both.
    """
    asked = asked_about(question).words
    work = _WORK.match(left)
    if work is not None and stem(work["work"]) not in asked and VERB.search(left, work.end()):
        return True
    before = _THEN.split(left.rpartition("\x00")[2])[-1]
    events = [found[0] for found in _EVENT.finditer(before)]
    if events:
        return not {stem(word) for word in events[-1].split()} & asked
    if not _OPENS.match(before):
        return False
    events = [found[0] for found in _EVENT.finditer(_HERE.split(right.lstrip(" ,"))[0])]
    words = {stem(word) for word in re.findall(r"[^\W\d_]+", _PART.split(right)[0])}
    return bool(events) and not words & asked
