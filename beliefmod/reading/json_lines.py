"""Completions made anywhere, as JSON lines: read, checked whole, scored."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from beliefmod.beliefs import Answer, Belief, Question
from beliefmod.beliefs.values import KINDS, Date, Quantity
from beliefmod.beliefs.values.kind import TOLERANCE
from beliefmod.beliefs.values.units import singular
from beliefmod.errors import UserError, did_you_mean
from beliefmod.reading.verdict import Verdict, asked_text, judge, tolerance_for
from beliefmod.user_files.json_objects import Problem, json_objects

ADDED = ("answer_stance", "thinking_stance", "think_state", "loop")
FINISHED = {"eos": "eos", "stop": "eos", "length": "length"}


@dataclass(frozen=True)
class Line:
    """One line of the file: its number, from 1, and its fields."""

    number: int
    fields: Mapping[str, Any]


Plan = tuple[Line, Answer | None, Answer | None, float]  # line, target, prior, tolerance


@dataclass(frozen=True)
class Scored:
    """A line with the verdict's fields added, and the verdict."""

    line: dict[str, Any]
    verdict: Verdict


def score_file(content: bytes, name: str, belief: Belief | None) -> list[Scored]:
    """The verdict on every line of a JSON lines file. Without a belief the lines are only checked.

    Raises:
        UserError: with every problem of the file, each naming file, line, field and fix.
    """
    lines, problems = read_lines(content, name)
    plans: list[Plan] = []
    if belief is not None:
        plans, unread = _plan(lines, belief)
        problems += unread
    if problems:
        raise UserError(
            f"{name}:{number}: {text}" if number else f"{name}: {text}" for number, text in sorted(problems)
        )
    return [_score(plan, belief) for plan in plans if belief is not None]


def read_lines(content: bytes, name: str) -> tuple[list[Line], list[Problem]]:
    """The objects of a JSON lines file that have the right fields, and what is wrong with the others.

    Blank lines are skipped.
    """
    objects, problems = json_objects(content, '{"question": ..., "completion": ...}')
    lines: list[Line] = []
    for number, fields in objects:
        misshapen = _shape_problems(fields)
        problems += [(number, problem) for problem in misshapen]
        if not misshapen:
            lines.append(Line(number, fields))
    if not lines and not problems:
        problems.append((0, "holds no completions; write one JSON object on each line"))
    return lines, problems


def _plan(lines: Sequence[Line], belief: Belief) -> tuple[list[Plan], list[Problem]]:
    """What each line is compared with; a unit that nobody knows (tool, belief, question) is refused."""
    known = _known_questions(belief)
    words = _own_words(belief)
    problems: list[Problem] = []
    plans: list[Plan] = []
    for line in lines:
        question = known.get(_key(line.fields["question"]))
        given: dict[str, Answer | None] = {}
        for field in ("target", "prior"):
            if field in line.fields:
                try:
                    given[field] = _answer(
                        line.fields[field], words | _words(line.fields["question"]), belief.spec.target.answer
                    )
                except ValueError as error:
                    problems.append((line.number, f"{field}: {error}"))
        target, prior = _sides(given, question, belief)
        own = belief.spec.target.answer if question is None else None
        problems += [
            (line.number, problem) for problem in _world_problems(line.fields, given, target, prior, own)
        ]
        tolerance = tolerance_for(question) if question else TOLERANCE
        plans.append((line, target, prior, tolerance))
    return plans, problems


def _known_questions(belief: Belief) -> dict[str, Question]:
    """The belief's questions by the message that is answered, of two turns the second; of several with one
    text the first counts, so that a later one does not change how it is read."""
    every = (*belief.training, *belief.heldout, *belief.locality)
    known: dict[str, Question] = {}
    for question in (*every, *(replace(q, follow_up=None) for q in every)):
        known.setdefault(_key(asked_text(question)), question)
    return known


def _world_problems(
    fields: Mapping[str, Any],
    given: Mapping[str, Answer | None],
    target: Answer | None,
    prior: Answer | None,
    own: Answer | None,
) -> list[str]:
    """Why a line's two worlds cannot be told apart, or are not answers to one question.

    own: the belief's value for a question that the belief does not know.
    """
    if len(given) == 1 and isinstance(own, Quantity) and own.unit not in (None, "1"):
        ((field, mine),) = given.items()
        if isinstance(mine, Quantity) and mine.unit in (None, "1"):
            return [
                f'{field} "{fields[field]}" has no unit, and the belief is about {own.unit}; write it like '
                f'"{fields[field]} {own.unit}", or give both sides where a plain number is asked for'
            ]
    for field, other in (("target", prior), ("prior", target)):
        mine = given.get(field)
        if isinstance(mine, Quantity) and isinstance(other, Quantity) and not mine.comparable(other):
            return [
                f'{field} "{fields[field]}" is not measured as the other side, {other.render()}, is; give '
                "both in units of one kind"
            ]
    if target is None or prior is None or not given:
        return []
    if type(target) is not type(prior):
        return [
            f"target is a {target.kind} ({target.render()}) and prior a {prior.kind} ({prior.render()}); "
            "give both as one kind, or one of them as null"
        ]
    if target.same(prior):
        return [
            f"target {target.render()} and prior {prior.render()} are too close to be told apart; mend one, "
            "or give one of them as null"
        ]
    return []


def _score(plan: Plan, belief: Belief) -> Scored:
    line, target, prior, tolerance = plan
    spec = belief.spec
    verdict = judge(
        line.fields["completion"],
        line.fields["question"],
        target,
        prior,
        belief_target=spec.target.answer,
        belief_prior=spec.prior.answer,
        finish_reason=FINISHED.get(line.fields.get("finish_reason") or "eos"),
        tolerance=tolerance,
    )
    return Scored({**line.fields, **{field: getattr(verdict, field) for field in ADDED}}, verdict)


def _sides(
    given: Mapping[str, Answer | None], question: Question | None, belief: Belief
) -> tuple[Answer | None, Answer | None]:
    """What the line says; else its known question's answer; else the belief's own, unless the line's other
    side shows that something else is asked for."""
    spec = belief.spec
    own: dict[str, Answer | None] = {"target": spec.target.answer, "prior": spec.prior.answer}
    if question is not None:
        own = {"target": question.target, "prior": question.prior or question.correct}
    else:
        for field, other in (("target", "prior"), ("prior", "target")):
            mate, mine = given.get(other), own[field]
            if field not in given and mate is not None and mine is not None and not mine.comparable(mate):
                own[field] = None
    return given.get("target", own["target"]), given.get("prior", own["prior"])


def _shape_problems(fields: Mapping[str, Any]) -> list[str]:
    problems = []
    for field in ("question", "completion"):
        if field not in fields:
            near = did_you_mean(field, set(fields) - {"question", "completion"}) if fields else ""
            hint = near if "did you mean" in near else ""
            problems.append(
                f'lacks "{field}"{hint}; add it as text' if not hint else f'lacks "{field}"{hint}'
            )
        elif not isinstance(fields[field], str):
            problems.append(f"{field} is {_kind(fields[field])}; it must be text")
        elif field == "question" and not fields[field].strip():
            problems.append("question is empty; write the question as it was asked")
    for field in ("target", "prior"):
        value = fields.get(field)
        if value is not None and (not isinstance(value, str) or not value.strip()):
            problems.append(
                f'{field} is {_kind(value)}; write a text such as "50 N" or "Lyon", or leave it out'
            )
    reason = fields.get("finish_reason")
    if reason is not None and (not isinstance(reason, str) or reason not in FINISHED):
        shown = f'"{reason}"' if isinstance(reason, str) else _kind(reason)
        problems.append(f'finish_reason is {shown}; write "eos" or "length", or leave it out')
    return problems


def _kind(value: Any) -> str:
    if value == "" or (isinstance(value, str) and not value.strip()):
        return "empty"
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "text")


def _answer(text: str | None, words: frozenset[str], belief: Answer | None) -> Answer | None:
    """ "50 N" as a quantity, "Lyon" as a name, null as no answer; "1969" as a date for a belief that is one.

    Raises:
        ValueError: a quantity whose unit nobody knows, or a date that could be two.
    """
    if text is None:
        return None
    kinds = KINDS if isinstance(belief, Date) else [kind for kind in KINDS if kind is not Date]
    return next((found for kind in kinds if (found := kind.parse(text, words)) is not None), None)


def _own_words(belief: Belief) -> frozenset[str]:
    answers = [a for q in (*belief.training, *belief.heldout) for a in (q.target, q.prior)]
    units = {a.unit for a in answers if isinstance(a, Quantity) and a.unit}
    return _words(belief.spec.statement) | frozenset(singular(unit) for unit in units)


def _words(text: str) -> frozenset[str]:
    return frozenset(singular(word) for word in re.findall(r"[^\W\d_]+", text))


def _key(text: str) -> str:
    return " ".join(text.split()).casefold()
