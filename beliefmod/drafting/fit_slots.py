"""Computed questions fitted to a belief's numbers: decimals that do not spoil an answer, slots that work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from beliefmod.beliefs.expand import expand_belief_family, expand_suite_family
from beliefmod.beliefs.spec import BeliefFamily, BeliefSpec, LocalityFamily
from beliefmod.drafting.file_faults import EXPLAINED, question_fault

MOST_DECIMALS = 6
Family = dict[str, Any]
SOME = {"family": "some", "tier": "paraphrase", "split": "train", "ask": "?", "answer_text": {"target": "?"}}
"""A family that stands in a belief whose own families are still being made."""


def fitted(families: Iterable[Family], body: Mapping[str, Any], group: str) -> Iterator[Family]:
    """The families that a belief can have, each with the fewest decimals with which most of its slots' values
    work, and without the values that do not work (both worlds answer alike, or an answer would be rounded by
    more than 1 %). A family none of whose values work is left out.

    Args:
        body: the belief file's other fields.
        group: "questions" or "locality".
    """
    spec = BeliefSpec.model_validate({**body, "questions": [SOME], "locality": []})
    for family in families:
        if (found := fit(family, spec, group)) is not None:
            yield found


def fault_of(family: Family, spec: BeliefSpec, group: str) -> str | None:
    """Why a belief cannot have a family, in words; None where it can."""
    try:
        if group == "questions":
            questions = list(expand_belief_family(spec, BeliefFamily.model_validate(family)))
        else:
            suite = LocalityFamily.model_validate(family)
            questions = list(expand_suite_family(suite, "locality", spec.target.answer))
        for question in questions:
            for answer in (question.target, question.prior, question.correct):
                if answer is not None:
                    answer.check()
            if (fault := question_fault(question, spec)) is not None:
                return f"{EXPLAINED[fault.reason]} ({fault.detail})"
    except ValidationError as error:
        return "; ".join(
            f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()
        )
    except (ValueError, AssertionError) as error:
        return str(error)
    return None


def fit(family: Family, spec: BeliefSpec, group: str) -> Family | None:
    """One family fitted to a belief, None where no question of it works; see `fitted`."""
    try:
        (BeliefFamily if group == "questions" else LocalityFamily).model_validate(family)
    except ValidationError:
        return None
    best: Family | None = None
    answer = spec.target.answer
    first = 0 if answer is None else answer.places
    computed = "answer" in family and "decimals" not in family
    for decimals in range(first, MOST_DECIMALS + 1) if computed else [None]:
        told = family if decimals in (None, first) and group == "questions" else {**family}
        if decimals is not None and (decimals != first or group == "locality"):
            told = {**told, "decimals": decimals}
        working = _working(told, spec, group)
        if working is None:
            continue
        if best is None or _count(working) > _count(best):
            best = working
        if _count(working) == _count(family):
            break
    return best


def _working(family: Family, spec: BeliefSpec, group: str) -> Family | None:
    """The family with those values of its numeric slots, and entries of its table, that work."""
    if fault_of(family, spec, group) is None:
        return family
    slots = {
        name: [v for v in values if fault_of(_at(family, name, v), spec, group) is None]
        for name, values in family.get("slots", {}).items()
    }
    kept = {**family, **({"slots": slots} if slots else {})}
    if "table" in family:
        entries = {
            key: value
            for key, value in family["table"].items()
            if fault_of({**family, "table": {key: value}}, spec, group) is None
        }
        kept["table"] = entries
    return kept if fault_of(kept, spec, group) is None else None


def _at(family: Family, slot: str, value: Any) -> Family:
    """The family with one value of a slot, and of the others all."""
    return {**family, "slots": {**family["slots"], slot: [value]}}


def _count(family: Family) -> int:
    """Questions of a family."""
    total = 1
    for values in family.get("slots", {}).values():
        total *= len(values)
    return total * len(family.get("table") or "1")
