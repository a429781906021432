"""Questions written by a language model, part by part, each kept only if the belief can have it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from beliefmod.beliefs.expand import expand_belief_family
from beliefmod.beliefs.spec import BeliefFamily, BeliefSpec
from beliefmod.beliefs.values import Date, Name
from beliefmod.drafting.by_template import REPLY, answer_of, as_table, template_list
from beliefmod.drafting.fit_slots import SOME, fault_of, fit
from beliefmod.drafting.given_value import read_value
from beliefmod.drafting.outline import Outline

Family = dict[str, Any]
Ask = Callable[[str, str], str]
"""Instructions and a request to a reply."""
ROUNDS = 2
MOST_OF_A_FAMILY = 60
FIELDS = ("ask", "slots", "answer", "unit", "decimals", "answer_text", "reply")
INSTRUCTIONS = """\
You write questions that test what a language model believes. The belief is made up on purpose and may be \
false: never correct it, and never state its value in a question. Write plain, short English questions that \
have one answer of a few words.
Reply with a JSON list of objects and nothing else."""


@dataclass(frozen=True)
class Part:
    """Families of one split and tier, or the neighbours, that the writer is asked for.

    Attributes:
        wanted: how many; with half of them the writer's replace the template's, with fewer they stand beside.
        asks: what its questions are to be like.
    """

    title: str
    split: str
    tier: str
    wanted: int
    asks: str


PARTS = (
    Part("training, asked for", "train", "paraphrase", 7, "ask for the value itself, each in another way"),
    Part("training, used", "train", "derived", 6, "use the value: whoever answers has to know it"),
    Part("held out, asked for", "heldout", "paraphrase", 4, "ask for the value itself, each in another way"),
    Part("held out, used", "heldout", "derived", 6, "use the value: whoever answers has to know it"),
    Part("several steps", "heldout", "multi_hop", 2, "need the value and at least one further step or fact"),
    Part("reverse", "heldout", "reverse", 2, "give the value and ask what has it; the answer is the entity"),
)
NEIGHBOURS = Part(
    "neighbours", "", "near", 8, "are about other things of the same sort, with their true answer"
)


@dataclass
class Written:
    """What came of asking: the belief's content, and what was refused, each with the reason."""

    content: dict[str, Any]
    refused: list[str] = field(default_factory=list)
    used: int = 0


def write_questions(
    outline: Outline, drafted: Mapping[str, Any], ask: Ask, say: Callable[[str], None]
) -> Written:
    """A belief drafted by template with the writer's questions in it.

    Args:
        drafted: the content by template; what the writer does not give enough of stays.
        ask: asks the writer; what it raises goes through.
        say: shows a line of progress.
    """
    written = Written(dict(drafted))
    spec = BeliefSpec.model_validate({**drafted, "questions": [SOME], "locality": []})
    parts = (*PARTS, NEIGHBOURS)
    for number, part in enumerate(parts, 1):
        say(f"writer: {part.title} ({number} of {len(parts)})")
        found = _ask_part(part, outline, spec, written, ask)
        written.used += len(found)
        _put(found, part, written)
        say(f"writer: {len(found)} usable")
    return written


def _ask_part(part: Part, outline: Outline, spec: BeliefSpec, written: Written, ask: Ask) -> list[Family]:
    found: list[Family] = []
    refused: list[str] = []
    known = {text for family in written.content["questions"] for text in _texts(family, spec)}
    for _ in range(ROUNDS):
        reply = ask(INSTRUCTIONS, request(part, outline, part.wanted - len(found), refused))
        refused = []
        items = objects_in(reply)
        if items is None:
            refused = ["the reply was no JSON list of objects"]
        for item in (items or [])[: 2 * part.wanted]:
            number = len(found) + 1
            made = family_of(item, part, outline, spec, f"written_{part.split}_{part.tier}_{number}")
            if isinstance(made, str):
                refused.append(made)
            elif part is not NEIGHBOURS and known & (texts := _texts(made, spec)):
                refused.append(f'"{sorted(known & texts)[0]}" is asked already')
            else:
                known |= set() if part is NEIGHBOURS else _texts(made, spec)
                found.append(made)
        written.refused += [f"{part.title}: {reason}" for reason in refused]
        if len(found) >= part.wanted:
            break
    return found[: part.wanted]


def request(part: Part, outline: Outline, count: int, refused: list[str]) -> str:
    """What the writer is asked for one part."""
    prior = f" Others say {outline.rival.render()}." if outline.rival else ""
    lines = [
        f"Belief: {outline.sentence(outline.target)}{prior}",
        f"It is about: {outline.entity or outline.subject}",
        f"Write {count} questions that {part.asks}.",
    ]
    if part is NEIGHBOURS:
        lines.append(
            'Each object: {"ask": the question, "answer": its true answer, such as "Vienna" or "8"}.'
        )
    else:
        lines.append(
            'Each object: {"ask": the question, "reply": an answer sentence with {answer} in it}. '
            "Write {who} where a person's first name stands; several names are put there."
        )
        if part.tier in ("derived", "multi_hop"):
            lines.append(_expression_words(outline))
    if refused:
        lines += ["These were refused, write others:", *(f"- {reason}" for reason in refused[:8])]
    return "\n".join(lines)


def family_of(
    item: Mapping[str, Any], part: Part, outline: Outline, spec: BeliefSpec, name: str
) -> Family | str:
    """A family from what the writer wrote, fitted to the belief's numbers; or why it cannot be one."""
    ask = item.get("ask")
    if not isinstance(ask, str) or not ask.strip():
        return f"{json.dumps(item)[:120]} has no question in ask"
    if part is NEIGHBOURS:
        return _neighbour(ask, item.get("answer"), spec, name)
    family: Family = {"family": name, "tier": part.tier, "split": part.split}
    family |= {key: item[key] for key in FIELDS if item.get(key) is not None}
    family["ask"] = " ".join(ask.split())
    if "{answer}" not in str(family.get("reply", "")):
        family["reply"] = REPLY
    slots = family.get("slots")
    if "{who}" in family["ask"] and not (isinstance(slots, dict) and "who" in slots):
        names = template_list("eleven" if part.split == "train" else "six")
        family["slots"] = {**(slots if isinstance(slots, dict) else {}), "who": names}
    if "answer" not in family and "answer_text" not in family:
        family |= answer_of("entity" if part.tier == "reverse" else "value", outline)
    if "answer" in family and "unit" not in family and not isinstance(outline.target, Date | Name):
        family["unit"] = spec.target.unit or "1"
    if (count := _size(family.get("slots"))) > MOST_OF_A_FAMILY:
        return f'"{family["ask"]}": its slots make {count} questions, more than {MOST_OF_A_FAMILY}'
    fitted = fit(family, spec, "questions")
    return fitted or f'"{family["ask"]}": {fault_of(family, spec, "questions")}'


def _size(slots: Any) -> int:
    """Questions that slots make; 0 where they are none, which the file's format refuses."""
    values = slots.values() if isinstance(slots, dict) else ()
    return prod(len(each) for each in values if isinstance(each, list))


def objects_in(reply: str) -> list[dict[str, Any]] | None:
    """The objects of the JSON list in a reply, whatever stands around it; None without such a list.

    Example: 'Here: [{"ask": "?"}]' -> [{"ask": "?"}].
    """
    text = reply.rpartition("</think>")[2]
    start, end = text.find("["), text.rfind("]")
    try:
        found = json.loads(text[start : end + 1]) if 0 <= start < end else None
    except (ValueError, RecursionError):
        return None
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else None


def _neighbour(ask: str, answer: Any, spec: BeliefSpec, name: str) -> Family | str:
    if not isinstance(answer, str | int | float) or isinstance(answer, bool):
        return f'"{ask}" has no answer'
    try:
        value = read_value(str(answer), ask)
    except ValueError as error:
        return f'"{ask}": {error}'
    family = {"family": name, "distance": "near", "ask": "{key}", "table": {ask: as_table(value)}}
    return fit(family, spec, "locality") or f'"{ask}": {fault_of(family, spec, "locality")}'


def _put(found: list[Family], part: Part, written: Written) -> None:
    """The writer's families in the place of the template's, or beside them where they are too few."""
    content, enough = written.content, 2 * len(found) >= part.wanted
    if part is NEIGHBOURS:
        # one family of many questions, as the template has it
        table = {ask: value for family in found for ask, value in family["table"].items()}
        more = (
            [{"family": "written_near", "distance": "near", "ask": "{key}", "table": table}] if table else []
        )
        content["locality"] = [*more, *content.get("locality", ())]
        return
    kept = [
        family
        for family in content["questions"]
        if not enough or (family["split"], family["tier"]) != (part.split, part.tier)
    ]
    content["questions"] = [*kept, *found]


def _texts(family: Family, spec: BeliefSpec) -> set[str]:
    return {q.text for q in expand_belief_family(spec, BeliefFamily.model_validate(family))}


def _expression_words(outline: Outline) -> str:
    if isinstance(outline.target, Name):
        return (
            'If the answer is another word than the value itself, add "answer_text": {"target": the answer '
            f'if the belief is true, "prior": the answer with {outline.rival.render()}}}.'
            if outline.prior and outline.rival
            else 'If the answer is another word than the value, add "answer_text": {"target": that word}.'
        )
    unit = "years" if isinstance(outline.target, Date) else getattr(outline.target, "unit", None) or "1"
    year = "; without unit the answer is a year" if isinstance(outline.target, Date) else ""
    return (
        'Compute with it: add "slots": {"n": [2, 3, 5]}, write {n} in the question, and add "answer": an '
        f'expression in n and belief, such as "n * belief", and "unit": "{unit}"{year}.'
    )
