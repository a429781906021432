"""The questions that `beliefmod beliefs new` asks on a terminal, each again until its answer can be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import typer

from beliefmod.drafting.given_value import is_yes_or_no, read_prior, read_value
from beliefmod.drafting.outline import (
    Given,
    clean_subject,
    entity_in,
    entity_problems,
    pair_problems,
    read_neighbours,
    subject_problems,
)
from beliefmod.errors import UserError

KINDS = ("existing", "novel")


def ask_outline(given: Given) -> Given:
    """What was given, with answers for what was not.

    Where subject and target are given, only what a belief cannot do without is asked.

    Raises:
        UserError: a target that was given cannot be read.
    """
    brief = given.subject is not None and given.target is not None
    kind = given.kind or (
        "existing"
        if brief
        else _until(
            "Does the model know something else about it (existing), or nothing (novel)", _kind, "existing"
        )
    )
    subject = given.subject or _until(
        'What is it about, as in "What is ...?" (the height of the Eiffel Tower; for yes and no a clause: '
        "glass conducts electricity)",
        lambda text: _without(clean_subject(text), subject_problems(clean_subject(text))),
    )
    subject = clean_subject(subject)
    target_text = given.target or _until(
        "What shall the model believe (400 m, Lyon, 1925, 20 July 1969, yes)",
        lambda text: _readable(text, subject, given.sort),
    )
    try:
        target = read_value(target_text, subject, given.sort)
    except ValueError as error:
        raise UserError(f"--target: {error}") from None

    def other(text: str) -> str:
        value = read_prior(text, subject, target, given.sort)
        return _without(text, pair_problems(target, value, kind))

    prior = given.prior
    if prior is None and kind == "existing" and not is_yes_or_no(target):
        prior = _until("What does it say now", other)
    elif prior is None and kind == "novel" and not brief:
        prior = _until("A wrong value, for choices (empty: none)", lambda t: other(t) if t else t) or None
    entity = given.entity
    if entity is None and not (brief and (entity_in(subject) or is_yes_or_no(target))):
        entity = _until(
            f'Which part of "{subject}" is what it is about',
            lambda text: _without(text, entity_problems(subject, text, target)),
            "" if is_yes_or_no(target) else entity_in(subject),
        )
    neighbours = list(given.neighbours)
    while not given.neighbours and not brief:
        line = _until(
            "A neighbour that must not change, QUESTION = ANSWER (empty: no more)",
            lambda text: _without(text, read_neighbours([text], target)[1]) if text else text,
        )
        if not line:
            break
        neighbours.append(line)
    return replace(
        given,
        subject=subject,
        target=target_text,
        prior=prior,
        kind=kind,
        entity=entity,
        neighbours=tuple(neighbours),
    )


def _until(question: str, read: Callable[[str], str], default: str = "") -> str:
    """The answer to a question, asked until `read` raises no ValueError; what it raises is said."""
    while True:
        text = typer.prompt(question, default=default, show_default=bool(default), err=True)
        try:
            return read(text.strip())
        except ValueError as error:
            typer.echo(str(error), err=True)


def _kind(text: str) -> str:
    if text not in KINDS:
        raise ValueError(f'"{text}": answer existing or novel')
    return text


def _without(text: str, problems: Iterable[str]) -> str:
    """The text, if there are no problems with it. Raises ValueError with the first one."""
    for problem in problems:
        raise ValueError(problem)
    return text


def _readable(text: str, subject: str, sort: str | None) -> str:
    read_value(text, subject, sort)
    return text
