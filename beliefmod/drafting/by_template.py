"""A whole belief from its outline, by the templates of this folder: one file for each kind of value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from beliefmod.beliefs.values import Answer, Date, Name, Quantity
from beliefmod.drafting.fit_slots import fitted
from beliefmod.drafting.given_value import NO, YES, as_written
from beliefmod.drafting.outline import Outline, sentence_start
from beliefmod.drafting.slot_numbers import has_ratio, other_number, slot_numbers
from beliefmod.user_files.yaml_file import read_yaml

TEMPLATES = Path(__file__).parent / "templates"
REPLY = "It is {answer}."
DO_NOT_KNOW = "I do not know."
Family = dict[str, Any]
_MARK = re.compile(r"<(\w+)>")
_WRITTEN_IN = ("ask", "follow_up", "reply")
"""Fields in which brackets name a slot."""


def draft(outline: Outline) -> dict[str, Any]:
    """The content of a belief file, valid as `check_belief` has it."""
    body = {**head(outline), "questions": [], "locality": []}
    for group in ("questions", "locality"):
        families = [filled(family, outline) for family in _templates(outline, group)]
        if group == "locality":
            families = [*neighbour_families(outline), *_apart(families, outline)]
        body[group] = [family for family in fitted(families, body, group) if family]
    if not body["locality"]:
        del body["locality"]
    return body


def head(outline: Outline) -> dict[str, Any]:
    """What stands in a belief file above its questions."""
    told = {"name": outline.name, "kind": outline.kind, "statement": outline.sentence(outline.target)}
    if outline.prior is None:
        prior: dict[str, Any] = {"ignorance": True, "reply": DO_NOT_KNOW}
    else:
        told["true_statement"] = outline.sentence(outline.prior)
        prior = as_written(outline.prior)
    return {**told, "target": as_written(outline.target), "prior": prior}


def filled(template: Mapping[str, Any], outline: Outline) -> Family:
    """A family of a template with the outline's words in it; its numbers are not fitted yet."""
    marks, lists = _marks(outline), _lists(outline)
    family: Family = {}
    for field, content in template.items():
        if field == "slots":
            content = {
                name: lists[values[1:]] if isinstance(values, str) else values
                for name, values in content.items()
            }
        if field not in ("gives", "needs"):
            family[field] = _replaced(content, marks, slots=field in _WRITTEN_IN)
    gives = template.get("gives", "" if "answer" in template or "answer_text" in template else None)
    if gives is not None:
        family |= answer_of(gives, outline, computed="answer" in template)
        if isinstance(outline.target, Quantity) and "answer" in family and "unit" not in family:
            family["unit"] = outline.target.unit or "1"
    if not outline.claim and "distance" not in family:
        family.setdefault("reply", REPLY)
    return family


def answer_of(gives: str, outline: Outline, *, computed: bool = False) -> Family:
    """The answer of a family by its template's word for it: value, stated, opposite, entity or "".

    Args:
        computed: the template has an expression of its own.
    """
    target, prior, rival = outline.target, outline.prior, outline.rival
    if gives == "entity":
        return {"answer_text": {"target": outline.owner, "prior": None}}
    if gives == "opposite":
        return {"answer_text": _named(_other(target), None if prior is None else _other(prior))}
    if gives == "stated" and prior is None and rival is not None:
        if isinstance(target, Name):
            spelled = (
                {"prior_aliases": list(rival.aliases)} if isinstance(rival, Name) and rival.aliases else {}
            )
            return {"answer_text": {**_named(target, rival), **spelled}}
        number = rival.symbols()["belief"]
        written = as_written(rival)
        stated: Family = {"rival": written.get("value", written.get("year", int(number)))}
        return stated if computed or isinstance(target, Date) else {**stated, "answer": "belief"}
    if computed or gives == "":
        return {}
    if isinstance(target, Name):
        return {"answer_text": _named(target, prior)}
    return {} if isinstance(target, Date) else {"answer": "belief"}


def neighbour_families(outline: Outline) -> list[Family]:
    """One family that asks the neighbours that were named; none where there are none."""
    if not outline.neighbours:
        return []
    table = {neighbour.question: as_table(neighbour.answer) for neighbour in outline.neighbours}
    return [{"family": "neighbours", "distance": "near", "ask": "{key}", "table": table}]


def as_table(value: Answer) -> str | dict[str, Any]:
    """A value as an entry of a table: a name without other spellings is a plain text."""
    written = as_written(value)
    return written["text"] if set(written) == {"text"} else written


def template_list(name: str) -> list[Any]:
    """A list that the templates share, such as the eleven first names."""
    return _file("words")[name]


def _templates(outline: Outline, group: str) -> Iterable[Mapping[str, Any]]:
    """Templates for a belief of this kind, in the order of a belief file: training first."""
    files = ("yes_no", "far") if outline.claim else ("asked", outline.target.kind, "far")
    found = [family for file in files for family in _file(file).get(group, ()) if _wanted(family, outline)]
    order = ("train", "heldout")
    return sorted(found, key=lambda family: order.index(family.get("split", "heldout")))


def _wanted(family: Mapping[str, Any], outline: Outline) -> bool:
    """Whether the outline has what a template needs."""
    match family.get("needs"):
        case "attribute":
            return outline.attribute is not None
        case "no_attribute":
            return outline.attribute is None
        case "rival":
            return outline.rival is not None
        case "between":
            return bool(slot_numbers(outline.target, outline.rival).get("between"))
        case "ratio":
            return has_ratio(outline.target)
        case "no_ratio":
            return not has_ratio(outline.target)
        case "owner":
            return bool(outline.entity) and outline.target == YES
    return True


def _apart(families: Iterable[Family], outline: Outline) -> list[Family]:
    """Families about other things without the entries that speak of the belief's own words."""
    own = [outline.subject, outline.owner]
    if not outline.claim:
        own += [s for value in (outline.target, outline.rival) if value for s in value.spellings()]

    def touches(text: str) -> bool:
        return any(
            re.search(rf"(?<!\w){re.escape(text)}(?!\w)", word, re.IGNORECASE)
            or (word and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE))
            for word in own
        )

    kept = []
    for family in families:
        if "table" in family:
            table = {k: v for k, v in family["table"].items() if not touches(k) and not touches(str(v))}
            if table:
                kept.append({**family, "table": table})
        else:
            kept.append(family)
    return kept


def _marks(outline: Outline) -> dict[str, str]:
    """The text of each mark <...> of the templates."""
    target, rival, subject = outline.target, outline.rival, outline.subject
    more = isinstance(target, Quantity)
    words = ("more", "less") if more else ("after", "before")
    bigger = rival is None or _size(target) > _size(rival)
    unit = (target.unit or "") if isinstance(target, Quantity) else ""
    numbers = slot_numbers(target, rival)
    other = other_number(target, rival)
    return {
        "subject": subject,
        "Subject": sentence_start(subject),
        "target": target.render(),
        "rival": rival.render() if rival else "",
        "entity": outline.owner,
        "blanked": outline.blanked,
        "attribute": outline.attribute or "",
        "unit": "" if unit == "1" else unit,
        "above": words[0] if bigger else words[1],
        "below": words[1] if bigger else words[0],
        "amount": str(numbers["amounts"][4]) if "amounts" in numbers else "",
        "v": str(other),
        "after": str(numbers["after"][-1] + 25) if "after" in numbers else "",
        "Truth": outline.sentence(_other(target)) if outline.claim else "",
    }


def _lists(outline: Outline) -> dict[str, list[Any]]:
    return {**_file("words"), **slot_numbers(outline.target, outline.rival)}


def _size(value: Answer) -> float:
    """A number to compare by: the value, or for a date its place in the calendar."""
    if isinstance(value, Date):
        return value.year + (value.month or 0) / 13 + (value.day or 0) / 500
    return value.symbols().get("belief", 0.0)


def _other(value: Answer) -> Name:
    return NO if value == YES else YES


def _named(target: Answer, prior: Answer | None) -> Family:
    """`answer_text` of two names; the belief's own have their other spellings from the file's head."""
    return {"target": target.render(), "prior": prior.render() if prior else None}


def _replaced(content: Any, marks: Mapping[str, str], *, slots: bool) -> Any:
    """Content with its marks replaced, at any depth; where slots are named, brackets in words are kept."""
    if isinstance(content, str):

        def word(found: re.Match[str]) -> str:
            return _escaped(marks[found[1]]) if slots else marks[found[1]]

        text = _MARK.sub(word, content)
        return re.sub(r" {2,}", " ", text).replace(" ?", "?").replace(" .", ".")
    if isinstance(content, list):
        return [_replaced(each, marks, slots=slots) for each in content]
    if isinstance(content, dict):
        return {key: _replaced(each, marks, slots=slots) for key, each in content.items()}
    return content


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


@cache
def _file(name: str) -> dict[str, Any]:
    return read_yaml(TEMPLATES / f"{name}.yaml").data
