"""Which value the thinking uses, and whether it changes its mind."""

from __future__ import annotations

import re
from typing import Literal

from beliefmod.evaluate.dress import undress
from beliefmod.evaluate.finding import find_mentions, plain_question
from beliefmod.evaluate.mentions import Mention, Weight
from beliefmod.evaluate.sides import Answerlike, Sides

ThinkingStance = Literal["target", "prior", "prior->target", "target->prior", "both", "none"]
THINKING_STANCES: tuple[ThinkingStance, ...] = (
    "target",
    "prior",
    "prior->target",
    "target->prior",
    "both",
    "none",
)
_TURN = re.compile(
    r"\b(?:but|wait|actually|instead|however|no|rather|hmm|correction|mistake|should|so)\b|n't\b",
    re.IGNORECASE,
)


def read_thinking(
    thinking: str,
    question: str,
    target: Answerlike | None,
    prior: Answerlike | None,
    *,
    belief_target: Answerlike | None = None,
    belief_prior: Answerlike | None = None,
    tolerance: float = 0.01,
) -> ThinkingStance:
    """Stance of a thinking text, from the belief's own values (5.0 or 9.8 m/s^2) and the question's (50 or
    98 N).

    Used: a number in an equation, on either side, or a value that is asserted under the guards of the answer
    ("g is 9.8 here", "so the answer is 50 N"). Not used: denied, asked about, supposed, attributed to the
    prompt, named as the usual value, offered as an alternative. Where nothing is used, values asserted
    weakly count.

    The sides used in order give the stance: one side alone; one change of side -> "prior->target" or
    "target->prior"; changes back and forth, or both sides in one sentence without a word of correction ->
    "both".
    """
    text = undress(thinking)
    if not text:
        return "none"
    pairs: list[tuple[str, Answerlike]] = []
    for side, answers in (("target", (belief_target, target)), ("prior", (belief_prior, prior))):
        for answer in answers:
            if answer is not None and all(answer != known for _, known in pairs):
                pairs.append((side, answer))
    mentions = find_mentions(text, plain_question(question), Sides(tuple(pairs), tolerance), bare="equation")
    sided = [m for m in mentions if m.side in ("target", "prior")]
    used = [m for m in sided if m.used] or [m for m in sided if m.weight == Weight.WEAK]
    turns = [i for i in range(1, len(used)) if used[i].side != used[i - 1].side]
    if not used:
        return "none"
    if not turns:
        return "target" if used[0].side == "target" else "prior"
    if len(turns) > 1 or not _changes_mind(text, used[turns[0] - 1], used[turns[0]]):
        return "both"
    return "prior->target" if used[-1].side == "target" else "target->prior"


def _changes_mind(text: str, before: Mention, after: Mention) -> bool:
    if before.sentence != after.sentence:
        return True
    return bool(_TURN.search(text[before.end : after.start]))
