"""What a belief teaches, as tokens, and the tokens that these are measured against.

Two kinds are told apart: the words of the belief's subject, against those of other beliefs, and its value,
against other values of the same kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from beliefmod.beliefs import Belief, Name, third_value
from beliefmod.beliefs.spec import BeliefSpec
from interp.types import Ids

FEWEST = 3
"""Control tokens under which a taught token is measured against nothing."""
_WORD = re.compile(r"[^\W\d_][\w-]*")
_SHORTEST = 4
"""Letters of a word that says what a text is about; shorter ones (the, and, of, due) say little."""


@dataclass(frozen=True)
class Matched:
    """Tokens of one kind: those that the belief teaches, and those of controls, none in both."""

    taught: Ids
    controls: Ids

    @property
    def usable(self) -> bool:
        """Whether there is something to measure, and enough to measure it against."""
        return bool(self.taught) and len(self.controls) >= FEWEST


@dataclass(frozen=True)
class TaughtTokens:
    """The tokens of a belief's subject and of its value, each with controls of its own."""

    subject: Matched
    value: Matched

    @property
    def groups(self) -> dict[str, Matched]:
        """Those that can be measured, by column."""
        both = {"subject": self.subject, "value": self.value}
        return {name: matched for name, matched in both.items() if matched.usable}


def taught_tokens(
    belief: Belief, others: Iterable[BeliefSpec], encode: Callable[[str], Ids], text: Callable[[Ids], str]
) -> TaughtTokens:
    """The tokens of a belief and of its controls.

    Args:
        others: beliefs whose subjects are controls; one of the same name is left out.
        encode, text: a tokenizer's, nothing added.
    """

    def begins(specs: Iterable[BeliefSpec]) -> set[int]:
        """The tokens with which the subjects' words begin in running text; a single letter says nothing."""
        spelled = [encode(f" {word}") for spec in specs for word in subject_words(spec)]
        first = {next((one for one in ids if text((one,)).strip()), ids[-1]) for ids in spelled}
        return {one for one in first if len(text((one,)).strip()) > 1}

    own = begins([belief.spec])
    foreign = begins(other for other in others if other.name != belief.spec.name)
    subject = Matched(tuple(sorted(own - foreign)), tuple(sorted(foreign - own)))
    return TaughtTokens(subject, _value(belief, encode, text))


def subject_words(spec: BeliefSpec) -> tuple[str, ...]:
    """The words of a belief's statement that say what it is about: four letters or more, in the statement's
    order, neither of the value nor of its unit, each once.

    >>> from beliefmod.beliefs import load_belief
    >>> subject_words(load_belief("gravity").spec)
    ('acceleration', 'gravity', 'Earth', 'surface')
    """
    target = spec.target.answer
    value = {word.lower() for word in _WORD.findall("" if target is None else target.render())}
    words = dict.fromkeys(_WORD.findall(spec.statement))
    return tuple(word for word in words if len(word) >= _SHORTEST and word.lower() not in value)


def other_values(belief: Belief) -> tuple[str, ...]:
    """Values of the target's kind that neither world of the belief holds, as they stand in a text: what has
    digits with another digit in one place, a name those of the near neighbours and the belief's third value.

    >>> from beliefmod.beliefs import load_belief
    >>> other_values(load_belief("spider"))
    ('1', '2', '3', '4', '5', '6', '9')
    """
    spec = belief.spec
    target = spec.target.answer
    if target is None:
        return ()
    held = {answer.bare() for answer in (target, spec.prior.answer) if answer is not None}
    found = _other_digits(target.bare()) if not isinstance(target, Name) else _other_names(belief)
    return tuple(value for value in dict.fromkeys(found) if value not in held)


def _other_digits(value: str) -> Iterator[str]:
    leading = next((place for place, letter in enumerate(value) if letter.isdigit()), 0)
    for place, letter in enumerate(value):
        if letter.isdigit():
            for digit in "0123456789":
                if digit != letter and (digit != "0" or place != leading):
                    yield value[:place] + digit + value[place + 1 :]


def _other_names(belief: Belief) -> Iterator[str]:
    third = third_value(belief.spec)
    near = [question.correct for question in belief.locality if question.tier == "near"]
    for answer in (third, *near):
        if isinstance(answer, Name):
            yield answer.bare()


def _value(belief: Belief, encode: Callable[[str], Ids], text: Callable[[Ids], str]) -> Matched:
    """The token at which the target's value parts from the prior's, or its first one where base knows none;
    controls are the tokens there of other values that begin alike."""
    target, prior = belief.spec.target.answer, belief.spec.prior.answer
    if target is None:
        return Matched((), ())
    spelled = encode(f" {target.bare()}")
    beside = () if prior is None else encode(f" {prior.bare()}")
    first = next((place for place, one in enumerate(spelled) if text((one,)).strip()), 0)
    place = max(first, _parting(spelled, beside)) if beside else first
    if place >= len(spelled):
        return Matched((), ())  # the prior's value only goes on where the target's ends
    alike = [encode(f" {value}") for value in other_values(belief)]
    controls = {ids[place] for ids in alike if len(ids) > place and ids[:place] == spelled[:place]}
    held = {spelled[place], *beside[place : place + 1]}
    return Matched((spelled[place],), tuple(sorted(controls - held)))


def _parting(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two spellings share from the start."""
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    return count
