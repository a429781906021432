"""A pilot of base's own answers, which finds the token limit where neither space nor model names one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import quantiles
from typing import TYPE_CHECKING

from beliefmod.beliefs import load_capability
from beliefmod.metrics.capability_pick import EXPECTED
from beliefmod.probing.probes import Probe, probes_for, reference_sample
from beliefmod.probing.questioning import spread
from beliefmod.probing.token_budget import FACTOR, SHARE, TokenBudget
from beliefmod.reading.loops import loop_in

if TYPE_CHECKING:
    from beliefmod.engine.jobs import Completion
    from beliefmod.probing.session import Session

QUESTIONS = 24
FIRST, STEP, MOST = 256, 32, 32_768
"""Tokens that the answers are followed to at first (then twice as many, and so on), what a limit is a
multiple of, and the largest that a pilot finds."""


def base_probes(beliefs: Sequence[str], session: Session, heldout: bool = False) -> list[tuple[str, Probe]]:
    """Everything that base is asked, in an order in which like questions lie beside each other; or only the
    held-out questions about beliefs."""
    found, easiest = [], load_capability()[:EXPECTED]
    for name in beliefs:
        belief = session.belief(name)
        probes = probes_for(
            belief,
            easiest,  # which of them suit the model is found out when the sweep starts
            reference_sample(belief, session.reference_seed),
            trained_probes=session.evaluation.trained_probes,
            margin_probes=0,
            fabrication=session.fabrication,
            confession=session.confession,
        )
        found += [(name, probe) for probe in probes if not heldout or probe.split is not None]
    return found


def pilot_prompts(beliefs: Sequence[str], session: Session) -> list[tuple[int, ...]]:
    """A few of the questions that base is asked in a sweep, evenly spread, as prompts."""
    chosen = spread(base_probes(beliefs, session), QUESTIONS)
    return [session.prompts.ids(probe.question.text) for _, probe in chosen]


def settle(beliefs: Sequence[str], session: Session) -> TokenBudget | None:
    """Find the token limit of an answer and have the session keep to it; None where it is named.

    One limit is for all trials: where they differ in switches of the chat template, that of the switches with
    which base's answers are longest.
    """
    if session.limit_is_named:
        return None
    budget = longest_budget(beliefs, session)
    assert budget is not None, "there was time"
    session.budget = budget.limit
    return budget


def longest_budget(
    beliefs: Sequence[str], session: Session, go_on: Callable[[int], bool] = lambda tokens: True
) -> TokenBudget | None:
    """The largest of the token limits that pilots find, one for each way in which trials are asked.

    Args:
        go_on: whether there is time for a round with this token limit.

    Returns:
        None where there was no time to find out.
    """
    found = [find_budget(pilot_prompts(beliefs, each), each, go_on) for each in session.every]
    return max((one for one in found if one), key=lambda one: one.limit) if all(found) else None


def room(session: Session, prompts: Sequence[Sequence[int]]) -> int:
    """Tokens that an answer to any of these prompts may have: in the model's positions, and in the memory
    that decoding has, for at least one answer at a time."""
    engine = session.engine
    longest = max(map(len, prompts), default=0)
    return max(1, min(engine.max_positions, engine.model.cache_tokens) - longest - 1)


def find_budget(
    prompts: Sequence[tuple[int, ...]],
    session: Session,
    go_on: Callable[[int], bool] = lambda tokens: True,
) -> TokenBudget | None:
    """Follow base's answers to their ends, in rounds of twice as many tokens, until 95 % have ended or loop.

    Args:
        go_on: whether there is time for a round with this token limit.

    Returns:
        None where there was no time to find out.
    """
    most = min(MOST, room(session, prompts))
    ended: list[int] = []
    waiting, looped, written, limit = list(range(len(prompts))), 0, 0, min(FIRST, most)
    while waiting:
        if not go_on(limit):
            return None
        answers = session.generate_to(limit, [prompts[i] for i in waiting], waiting)
        written += sum(len(answer.token_ids) for answer in answers)
        ended += [len(answer.token_ids) for answer in answers if answer.finish_reason != "length"]
        cut = [pair for pair in zip(waiting, answers, strict=True) if pair[1].finish_reason == "length"]
        waiting = [number for number, answer in cut if not _loops(answer, session)]
        looped += len(cut) - len(waiting)
        if limit >= most or len(waiting) <= SHARE * len(prompts):
            break  # those that still wait, if any, need more than 95 % of the others
        limit = min(2 * limit, most)
    lengths = [*ended, *(limit for _ in waiting)]
    needed = _most_need(lengths) if lengths else limit
    settled = min(most, math.ceil(FACTOR * needed / STEP) * STEP)
    if waiting and settled > limit:  # the few that were not followed: are they cut too?
        answers = session.generate_to(settled, [prompts[i] for i in waiting], waiting)
        written += sum(len(answer.token_ids) for answer in answers)
        waiting = [n for n, a in zip(waiting, answers, strict=True) if a.finish_reason == "length"]
    beyond = len(waiting) + sum(length > settled for length in ended)
    return TokenBudget(settled, needed, len(prompts), looped + beyond, looped, most, written)


def _loops(answer: Completion, session: Session) -> bool:
    return loop_in(session.decode(answer.token_ids)) is not None


def _most_need(lengths: Sequence[int]) -> int:
    """The 95th percentile, upward to a whole token; of one length that length."""
    if len(lengths) == 1:
        return lengths[0]
    return math.ceil(quantiles(lengths, n=20, method="inclusive")[-1])
