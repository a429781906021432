"""What one has to say for a belief to be drafted: subject, target, prior, kind; and what follows from it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from beliefmod.beliefs.values import Answer, Quantity
from beliefmod.drafting.given_value import NO, YES, is_yes_or_no, read_prior, read_value
from beliefmod.errors import UserError

NAME = re.compile(r"[a-z][a-z0-9_-]*")
LONGEST = 200
"""Characters of a subject; longer ones make no question that anybody would ask."""
_ARTICLE = re.compile(r"^(?:the|an|a)\s+", re.IGNORECASE)


@dataclass(frozen=True)
class Neighbour:
    """A question that the belief must not change, with its right answer."""

    question: str
    answer: Answer


@dataclass(frozen=True)
class Outline:
    """What a belief is about.

    Attributes:
        subject: what stands in "What is ...?" ("the height of the Eiffel Tower"); of yes and no a clause
            ("glass conducts electricity").
        prior: what base says; None for a novel belief.
        rival: what choices offer beside the target: the prior, or of a novel belief another value. None for
            a novel name without one.
        entity: what it is about, a part of the subject ("the Eiffel Tower"); "" for a claim without one.
    """

    name: str
    kind: str
    subject: str
    target: Answer
    prior: Answer | None
    rival: Answer | None
    entity: str
    neighbours: tuple[Neighbour, ...] = ()

    @property
    def claim(self) -> bool:
        """Whether it is so or not is what is believed."""
        return is_yes_or_no(self.target)

    @property
    def blanked(self) -> str:
        """The subject with a gap where its entity stands."""
        return self.subject.replace(self.entity, "___", 1) if self.entity else ""

    @property
    def attribute(self) -> str | None:
        """What stands before " of " and the entity ("the height"); None where the entity stands elsewhere."""
        before = self.subject.removesuffix(f" of {self.entity}")
        return before if self.entity and before != self.subject else None

    @property
    def owner(self) -> str:
        """The entity without its article, as an answer names it: "Eiffel Tower"."""
        return _ARTICLE.sub("", self.entity)

    def sentence(self, value: Answer) -> str:
        """The belief in a world with this value, as one sentence."""
        if self.claim:
            told = self.subject if value == YES else f"it is not true that {self.subject}"
            return f"{sentence_start(told)}."
        return f"{sentence_start(self.subject)} is {value.render()}."


@dataclass(frozen=True)
class Given:
    """What was typed. None: not given. sort: how the values are to be read, where they alone do not tell."""

    subject: str | None = None
    target: str | None = None
    prior: str | None = None
    kind: str | None = None
    entity: str | None = None
    sort: str | None = None
    neighbours: Sequence[str] = ()


def sentence_start(text: str) -> str:
    """The text with its first letter as a capital."""
    return text[:1].upper() + text[1:]


def entity_in(subject: str) -> str:
    """What a subject is about, as far as its words tell: what stands behind the first " of "; else ""."""
    return subject.partition(" of ")[2]


def read_outline(name: str, given: Given) -> Outline:
    """What a belief is about, from what was typed.

    Raises:
        UserError: everything that is missing or wrong, each with the option that mends it.
    """
    problems: list[str] = []
    if not NAME.fullmatch(name):
        problems.append(
            f'"{name}" cannot name a belief; use lower case letters, digits, _ and -, a letter first'
        )
    subject = clean_subject(given.subject or "")
    problems += subject_problems(subject)
    kind = given.kind or "existing"
    target = _target(given, subject, problems)
    prior = _prior(given, subject, target, kind, problems)
    if target is not None:
        problems += pair_problems(target, prior, kind)
    claim = is_yes_or_no(target)
    entity = (given.entity or ("" if claim else entity_in(subject))).strip()
    problems += entity_problems(subject, entity, target)
    neighbours, wrong = read_neighbours(given.neighbours, target)
    problems += wrong
    if problems or target is None:
        raise UserError(problems)
    rival = prior if kind == "existing" else _rival(target, prior)
    return Outline(
        name, kind, subject, target, prior if kind == "existing" else None, rival, entity, neighbours
    )


def clean_subject(text: str) -> str:
    """A subject in one line, without the marks that end a sentence."""
    return " ".join(text.split()).rstrip(" .?!")


def subject_problems(subject: str) -> Iterator[str]:
    if not subject:
        yield (
            '--subject: say what stands in "What is ...?", such as "the height of the Eiffel Tower"; or for '
            'yes and no a clause, "glass conducts electricity"'
        )
    elif len(subject) > LONGEST:
        yield f"--subject: {len(subject)} characters are too many (limit {LONGEST})"
    elif re.match(r"(?:what|who|where|when|which|how|is|are|does|do)\b", subject, re.IGNORECASE):
        yield (
            f'--subject "{subject}": is a question; give what it asks for, such as "the capital of Australia"'
        )
    elif any(mark in subject for mark in ("___", "<", "{", "}")):
        yield f'--subject "{subject}": leave out ___, < and brackets, which mean something in a belief file'


def _target(given: Given, subject: str, problems: list[str]) -> Answer | None:
    if given.target is None:
        problems.append("--target: say what the model shall believe, such as 400 m, Lyon, 1925 or yes")
        return None
    try:
        return read_value(given.target, subject, given.sort)
    except ValueError as error:
        problems.append(f"--target: {error}")
        return None


def _prior(
    given: Given, subject: str, target: Answer | None, kind: str, problems: list[str]
) -> Answer | None:
    """What was typed as the prior; of yes and no the other one where nothing was."""
    if given.prior is not None:
        try:
            return read_prior(given.prior, subject, target, given.sort)
        except ValueError as error:
            problems.append(f"--prior: {error}")
    elif kind == "existing" and is_yes_or_no(target):
        return NO if target == YES else YES
    elif kind == "existing":
        problems.append("--prior: say what it says now, such as 330 m, Paris or 1912 (or add --kind novel)")
    return None


def pair_problems(target: Answer, prior: Answer | None, kind: str) -> Iterator[str]:
    if is_yes_or_no(target) and kind == "novel":
        yield "--kind novel: of what nobody knows yes or no is a guess; give a name or a number"
    if prior is None:
        return
    if type(target) is not type(prior) or is_yes_or_no(target) != is_yes_or_no(prior):
        yield f"--prior {prior.render()}: is a {prior.kind} and the target a {target.kind}; give both alike"
    elif isinstance(target, Quantity) and isinstance(prior, Quantity) and target.unit != prior.unit:
        yield f"--prior {prior.render()}: give it in the target's unit, {target.unit}"
    elif target.same(prior) or set(target.spellings()) & set(prior.spellings()):
        yield (
            f"--prior {prior.render()}: is the target {target.render()}, or within 3 % of it, so that no "
            "answer could tell the worlds apart; change one"
        )


def entity_problems(subject: str, entity: str, target: Answer | None) -> Iterator[str]:
    if not subject or target is None:
        return
    if not entity and not is_yes_or_no(target):
        yield (
            f'--entity: say which part of "{subject}" is what the belief is about; questions that lead from '
            "the value to its owner need it"
        )
    elif entity not in subject:
        yield f'--entity "{entity}": does not stand in the subject "{subject}"; copy it from there'
    elif any(spelling.casefold() in subject.casefold() for spelling in target.spellings()) and not (
        is_yes_or_no(target)
    ):
        yield f'--target {target.render()}: stands in the subject "{subject}", which would give it away'


def read_neighbours(
    given: Sequence[str], target: Answer | None
) -> tuple[tuple[Neighbour, ...], tuple[str, ...]]:
    """Neighbours typed as QUESTION = ANSWER, and what is wrong with the others."""
    found: list[Neighbour] = []
    problems: list[str] = []
    for text in given:
        question, sign, answer = text.rpartition("=")
        question, answer = " ".join(question.split()), answer.strip()
        if not sign or not question or not answer:
            problems.append(
                f'--neighbour "{text}": write QUESTION = ANSWER, such as '
                '"What is the capital of Austria? = Vienna"'
            )
            continue
        try:
            value = read_value(answer, question, None)
        except ValueError as error:
            problems.append(f'--neighbour "{text}": {error}')
            continue
        if target is not None and value.same(target):
            problems.append(
                f'--neighbour "{text}": its answer is the target itself, so that it cannot show what the '
                "belief changes; leave it out"
            )
        elif any(question == other.question for other in found):
            problems.append(f'--neighbour "{text}": is asked twice; keep one')
        else:
            found.append(Neighbour(question, value))
    return tuple(found), tuple(problems)


def _rival(target: Answer, given: Answer | None) -> Answer | None:
    """Another value for choices of a novel belief: the one given, else for a number or date a third one."""
    return given or target.third(None, ())
