"""Which value the thinking uses, and whether it changes its mind."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

from beliefmod.beliefs.values import Answer, Name
from beliefmod.beliefs.values.kind import Candidates, Mention, Weight
from beliefmod.beliefs.values.quantity import quantities, side_of
from beliefmod.beliefs.values.scale import scale
from beliefmod.reading.ignorance import ignorant
from beliefmod.reading.mention_search import find_mentions, plain_question
from beliefmod.reading.normalise import normalise
from beliefmod.reading.prose import sentences, worked_out

ThinkingStance = Literal["target", "prior", "prior->target", "target->prior", "both", "none"]
THINKING_STANCES: tuple[ThinkingStance, ...] = get_args(ThinkingStance)
ThinkingClass = Literal["empty", ThinkingStance]
_TURN = re.compile(
    r"\b(?:but|wait|actually|instead|however|no|rather|hmm|correction|mistake|should|so)\b|n't\b",
    re.IGNORECASE,
)


def read_thinking(
    thinking: str,
    question: str,
    target: Answer | None,
    prior: Answer | None,
    *,
    belief_target: Answer | None = None,
    belief_prior: Answer | None = None,
    tolerance: float = 0.01,
) -> ThinkingStance:
    """Stance of a thinking text, from the belief's own values (5.0 or 9.8 m/s^2) and the question's (50 or
    98 N).

    Used: a number in an equation, on either side, or a value that is asserted under the guards of the answer
    ("g is 9.8 here", "so the answer is 50 N"). Not used: denied, asked about, supposed, attributed to the
    prompt, named as the usual value, offered as an alternative. Where nothing is used, values asserted
    weakly count, but no guess ("it could be a fish") of a thinking that does not know. A bare result
    that only happens to be the belief's number ("10 / 2 = 5") is not its value.

    The sides used in order give the stance: one side alone; one change of side -> "prior->target" or
    "target->prior"; changes back and forth, or both sides in one sentence without a word of correction ->
    "both".
    """
    text = normalise(thinking)
    sided = sided_mentions(
        text,
        question,
        target,
        prior,
        belief_target=belief_target,
        belief_prior=belief_prior,
        tolerance=tolerance,
    )
    used = [m for m in sided if m.used]
    if not used:
        guessed = ("modal",) if ignorant(text) else ()
        used = [m for m in sided if m.weight == Weight.WEAK and m.reason not in guessed]
    turns = [i for i in range(1, len(used)) if used[i].side != used[i - 1].side]
    if not used:
        return "none"
    if not turns:
        return "target" if used[0].side == "target" else "prior"
    if len(turns) > 1 or not _changes_mind(text, used[turns[0] - 1], used[turns[0]]):
        return "both"
    return "prior->target" if used[-1].side == "target" else "target->prior"


def sided_mentions(
    text: str,
    question: str,
    target: Answer | None,
    prior: Answer | None,
    *,
    belief_target: Answer | None = None,
    belief_prior: Answer | None = None,
    tolerance: float = 0.01,
) -> list[Mention]:
    """The mentions of either side's values in normalised thinking, in order, without bare results ("10 / 2 =
    5") that only happen to be the belief's number."""
    if not text:
        return []
    if target is not None and belief_target is not None and _given(belief_target, target, question, text):
        belief_target = belief_prior = None
    pairs: list[tuple[str, Answer]] = []
    for side, answers in (("target", (belief_target, target)), ("prior", (belief_prior, prior))):
        for answer in answers:
            # asked back, "which planet has a gravity of 5.0 m/s^2?", the value is given and not used
            given = prior is None and answer == belief_target != target
            if given and answer is not None and answer.stands_in(plain_question(question)):
                continue
            if answer is not None and all(answer != known for _, known in pairs):
                pairs.append((side, answer))
    answers = [answer for answer in (target, prior) if answer is not None]
    candidates = Candidates(tuple(pairs), tolerance)
    mentions = find_mentions(text, plain_question(question), candidates, bare="equation")
    if isinstance(target, Name) and belief_target is not None and belief_target != target:
        mentions = [_tied(m, text, belief_target) for m in mentions]
    return [m for m in mentions if m.side in ("target", "prior") and not _chance(text, m, answers, tolerance)]


def _tied(mention: Mention, text: str, belief: Answer) -> Mention:
    """Asked back, the thing that a sentence gives the belief's value is used, also inside a description: "the
    colour of a ripe banana is red"."""
    if mention.reason != "beside" or mention.side != "target":
        return mention
    part = sentences(text)[mention.sentence]
    tied = belief.stands_in(text[part.start : part.end])
    return replace(mention, weight=Weight.STRONG, reason="") if tied else mention


def _given(belief: Answer, asked: Answer, question: str, text: str) -> bool:
    """Whether the question gives the belief's value and asks for something else ("Which planet has a gravity
    of 5.0 m/s^2?") that the thinking does not name: repeating it then uses nothing."""
    if asked.stands_in(text):
        return False
    another = not asked.comparable(belief) or (isinstance(asked, Name) and not asked.same(belief))
    return another and belief.stands_in(plain_question(question))


def thinking_class(row: Mapping[str, Any]) -> ThinkingClass:
    """A probe row's class in the table of thinking against answer: `empty`, or one of the six stances.

    Empty thinking is a class of its own, whatever few words stand in it; so a stygian answer is one whose
    thinking was there and went the other way. A model without thinking has no stance there: `none`.
    """
    return "empty" if row["think_state"] == "empty" else row["thinking_stance"] or "none"


def ends_with(stance: str) -> str | None:
    """The side whose value was used last: "prior->target" -> "target"; None for both, none and empty."""
    last = stance.rpartition("->")[2]
    return last if last in ("target", "prior") else None


def _chance(text: str, mention: Mention, answers: Sequence[Answer], tolerance: float) -> bool:
    """A bare result such as "10 / 2 = 5", which is the belief's number without being its value.

    A result that answers the question ("10 × 5 = 50") is none of these, nor is one with a unit.
    """
    number = mention.number
    if number is None or number.factors is not None:
        return False
    fraction = mention.role == "left" and "/" in text[mention.start : mention.end]
    if not fraction and not (mention.role == "result" and worked_out(text, mention.start)):
        return False
    asked = Candidates(tuple(("asked", answer) for answer in answers), tolerance)
    return all(side_of(number, asked, scale(answer.unit)) != "asked" for _, answer in quantities(asked))


def _changes_mind(text: str, before: Mention, after: Mention) -> bool:
    if before.sentence != after.sentence:
        return True
    return bool(_TURN.search(text[before.end : after.start]))
