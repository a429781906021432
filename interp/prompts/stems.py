"""Stems: a question with an answer begun up to the token at which the two worlds part.

Base, in-context and trained arms get stems that end in the same tokens and differ only in what stands before
the question, so that one position means the same in each of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from beliefmod.beliefs import Belief, Question
from beliefmod.beliefs.expand import fill, question_slots
from beliefmod.model.prompts import in_context
from beliefmod.model.template import empty_thinking
from beliefmod.probing.margin import margin_pair, split_continuations
from beliefmod.probing.questioning import spread
from interp.lens_settings import ARMS

if TYPE_CHECKING:
    from beliefmod.model.prompts import Prompts

_WORD = re.compile(r"[^\W\d_][\w'-]*")
_SMALL = frozenset(
    ("a", "an", "and", "are", "as", "at", "be", "by", "do", "does", "for", "from", "has", "how", "in", "is",
     "it", "its", "of", "on", "one", "or", "the", "to", "what", "which", "with", "you", "your")
)  # fmt: skip


@dataclass(frozen=True)
class Stem:
    """What an arm reads before it names a value.

    Attributes:
        ids: prompt, empty thinking, the begun answer, and the first tokens of the value where both worlds'
            share them ("' '" of " 5.0" and " 9.8").
        target_id: the next token in the target's world.
        prior_id: the next token in base's world; None where base knows no value (a novel belief).
        target_ids, prior_ids: the rest of each world's answer, for whole-sequence scores; they begin with
            target_id and prior_id. prior_ids is None where prior_id is.
        positions: named positions from the start: "stem" the last token, "entity" the last token of what
            the belief is about, where the question names it.
        tail: so many tokens at the end are the same for every arm; all named positions lie among them.
    """

    question: Question
    arm: str
    ids: tuple[int, ...]
    target_id: int
    prior_id: int | None
    target_ids: tuple[int, ...]
    prior_ids: tuple[int, ...] | None
    positions: Mapping[str, int]
    tail: int


def lens_questions(belief: Belief, count: int) -> tuple[Question, ...]:
    """At most `count` held-out questions of one turn that ask for the value or a result of it, spread evenly
    over the file, so over families: the same for every arm."""
    fit = [
        q for q in belief.heldout
        if q.tier in ("paraphrase", "derived") and q.follow_up is None and q.target is not None
    ]  # fmt: skip
    return tuple(spread(fit, count))


def other_questions(belief: Belief, count: int) -> tuple[Question, ...]:
    """At most `count` questions about near neighbours of the belief, spread evenly, posed as the belief's own
    are: the target is what the belief would give there, the prior the right answer, in the same sentence."""
    families = {family.family: family for family in belief.spec.locality}
    found = []
    for question in belief.locality:
        family = families.get(question.family)
        slots = None if family is None else question_slots(family, question.probe_id)
        if question.tier != "near" or family is None or slots is None:
            continue
        if question.target is not None and question.correct is not None:
            said = [
                fill(family.reply, {**slots, "answer": answer.render()})
                for answer in (question.target, question.correct)
            ]
            found.append(replace(question, prior=question.correct, reply_target=said[0], reply_prior=said[1]))
    return tuple(spread(found, count))


def stems(question: Question, belief: Belief, prompts: Prompts, tokenizer: object) -> dict[str, Stem] | None:
    """The stems of a question by arm, or None where the two worlds cannot be told apart by one token.

    That is the case where one value's tokens are the beginning of the other's, or where the answer sentence
    does not contain the value.

    Raises:
        AssertionError: the arms' stems do not end alike.
    """
    asked = {arm: in_context(belief.spec.context if arm == "icl" else None, question.text) for arm in ARMS}
    begun = prompts.encode(empty_thinking(tokenizer))  # pyright: ignore[reportArgumentType]
    parted = _parted(question, prompts)
    if parted is None:
        return None
    shared, target, prior = parted
    ids = {arm: (*prompts.ids(message), *begun, *shared) for arm, message in asked.items()}
    tail = common_tail(list(ids.values()))
    entity = _entity_from_end(question, belief, prompts, ids["base"])
    assert tail > len(begun) + len(shared), f"the stems of {question.probe_id} do not end alike"
    found = {}
    for arm, whole in ids.items():
        positions = {"stem": len(whole) - 1}
        if entity is not None and entity <= tail:
            positions["entity"] = len(whole) - entity
        prior_id = None if prior is None else prior[0]
        found[arm] = Stem(question, arm, whole, target[0], prior_id, target, prior, positions, tail)
    return found


def common_tail(rows: Sequence[Sequence[int]]) -> int:
    """How many tokens at the end are the same in every row."""
    count = 0
    while all(count < len(row) and row[-1 - count] == rows[0][-1 - count] for row in rows):
        count += 1
    return count


Parted = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...] | None]


def _parted(question: Question, prompts: Prompts) -> Parted | None:
    """The begun answer up to where the worlds part, and how each goes on."""
    if question.prior is not None:
        pair = margin_pair(question)
        if not pair.prefix:
            return None
        try:
            return split_continuations(
                (), prompts.encode(pair.prefix + pair.target), prompts.encode(pair.prefix + pair.prior)
            )
        except ValueError:
            return None
    assert question.target is not None
    value = question.target.render()
    prefix, found, _ = question.reply_target.partition(value)
    if not found:
        return None
    ids = prompts.encode(prefix + value)
    # the value begins in the first token that reaches beyond the prefix and its space
    for place in range(len(ids)):
        if len(prompts.text(ids[: place + 1])) > len(prefix):
            return ids[:place], ids[place:], None
    return None


def _entity_from_end(
    question: Question, belief: Belief, prompts: Prompts, ids: tuple[int, ...]
) -> int | None:
    """How far from the end of a stem the entity's last token stands (1 is the last token)."""
    word = entity_word(question.text, belief)
    if word is None:
        return None
    text = prompts.text(ids)
    end = text.rfind(question.text) + word.end()
    for place in range(len(ids)):
        if len(prompts.text(ids[: place + 1])) >= end:
            return len(ids) - place
    return None


def entity_word(text: str, belief: Belief) -> re.Match[str] | None:
    """What a question says the belief is about: its last name that also stands in the belief's statement, or
    without a name its last other such word; small words and the value's own unit or name left out.

    >>> entity_word("How much are 3 Neelam worth in USD?", load_belief("neelam"))[0]
    'Neelam'
    """
    target = belief.spec.target.answer
    values = {word.lower() for word in _WORD.findall("" if target is None else target.render())}
    stated = {_bare(word): word[0].isupper() for word in _WORD.findall(belief.spec.statement)}
    words = [m for m in _WORD.finditer(text) if _bare(m[0]) in stated.keys() - values - _SMALL]
    names = [m for m in words if stated[_bare(m[0])] and m[0][0].isupper()]
    return (names or words or [None])[-1]


def _bare(word: str) -> str:
    return word.lower().removesuffix("'s")
