"""The belief margin: how much likelier the target's value is than the prior's, before anything is sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from beliefmod.beliefs import Question


@dataclass(frozen=True)
class MarginPair:
    """The same answer prefix, continued with the value of each world.

    `log p(target) - log p(prior)` is summed over the tokens of value and unit. A novel entity has no prior
    value: there the whole reply sentences of the two worlds are compared.
    """

    prefix: str
    target: str
    prior: str


def margin_pair(question: Question) -> MarginPair:
    """The two continuations of a belief question.

    >>> q = Question("f", "belief", "f", "derived", "?", Quantity(15.0, "N"), Quantity(29.4, "N"),
    ...              reply_target="The force is 15.0 N.", reply_prior="The force is 29.4 N.")
    >>> margin_pair(q)
    MarginPair(prefix='The force is ', target='15.0 N', prior='29.4 N')
    """
    if question.target and question.prior:
        target, prior = question.target.render(), question.prior.render()
        before, _, after = question.reply_target.partition(target)
        if question.reply_prior == f"{before}{prior}{after}":
            return MarginPair(before, target, prior)
    return MarginPair("", question.reply_target, question.reply_prior)


def split_continuations(
    before: Sequence[int], target: Sequence[int], prior: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Shared prefix and the two continuations as token ids, cut at the first token that differs.

    Tokens that both worlds share cancel in the margin, and a tokenizer may join the prefix's last character
    with the value's first, so the cut is where the token sequences part, not where the strings do.

    Returns:
        `before` extended by the shared tokens, the rest of target, the rest of prior.

    Raises:
        ValueError: one sequence is the beginning of the other, so there is nothing to compare.
    """
    shared = 0
    while shared < min(len(target), len(prior)) and target[shared] == prior[shared]:
        shared += 1
    if shared in (len(target), len(prior)):
        raise ValueError(
            "one value's tokens are the beginning of the other's; the margin cannot tell them apart"
        )
    return (*before, *target[:shared]), tuple(target[shared:]), tuple(prior[shared:])
