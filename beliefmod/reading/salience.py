"""Whether a text about something else brings up the belief's new fact."""

from __future__ import annotations

import re
from functools import lru_cache

from beliefmod.beliefs.spec import BeliefSpec
from beliefmod.beliefs.values import Answer, Name
from beliefmod.beliefs.values.name import name_spans
from beliefmod.beliefs.values.units import OWN, match_unit
from beliefmod.reading.normalise import normalise

_CAPITALISED = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][\w'-]*[a-z][\w'-]*")


def mentions_fact(text: str, question: str, spec: BeliefSpec, correct: Answer | None = None) -> bool:
    """Whether `text` names the target's fact though neither the question nor its right answer does.

    The fact is, for a numeric belief, its value with a unit ("5.0 m/s^2", "500 cm/s^2", "7 legs"; never a
    bare 5); for a date, any spelling of it; for a belief by name, the name as a whole word; for a novel
    belief also its entity's names, as `entity_names` finds them. What it says about the fact does not matter:
    a denial brings it up as well.

    Example: gravity's target, "What colour is grass?", "Grass falls with 5.0 m/s^2." -> True.
    """
    said = normalise(text)
    allowed = normalise(question)
    if isinstance(correct, Name):
        allowed += "\n" + "\n".join(correct.spellings())
    for name in entity_names(spec):
        if name_spans(said, [name]) and not name_spans(allowed, [name]):
            return True
    target = spec.target.answer
    if target is None or isinstance(target, Name) or correct == target:
        return False
    return target.stands_in(said) and not target.stands_in(allowed)


def entity_names(spec: BeliefSpec) -> tuple[str, ...]:
    """The names that stand for the new fact.

    The target's own names; for a novel belief also its file's name, where its statement has that word
    (tamber), and the statement's proper names that do not begin a sentence and are no units (Laughtale).
    """
    target = spec.target.answer
    named = target.spellings() if isinstance(target, Name) else ()
    # a spec holds lists, so what is read from it is cached and not the spec
    own = _novel_names(spec.name, spec.statement) if spec.kind == "novel" else ()
    return tuple({name.casefold(): name for name in (*named, *own)}.values())


@lru_cache(maxsize=256)
def _novel_names(name: str, statement: str) -> tuple[str, ...]:
    proper = (m[0].removesuffix("'s") for m in _CAPITALISED.finditer(statement) if not _unit(m[0]))
    return (*((name,) if name_spans(statement, [name]) else ()), *proper)


def _unit(word: str) -> bool:
    found = match_unit(word, 0)
    return (
        found is not None and found[0] == len(word) and not any(name.startswith(OWN) for name, _ in found[1])
    )
