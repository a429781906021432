"""Whether an answer states one world's value and gives the other world's result."""

from __future__ import annotations

from functools import lru_cache

from beliefmod.reading.answer_matching import DERIVED_TOLERANCE, Answerlike, Sides, scale_for
from beliefmod.reading.mention_search import find_mentions, plain_question
from beliefmod.reading.mentions import Mention
from beliefmod.reading.normalise import normalise
from beliefmod.reading.prose import worked_out
from beliefmod.reading.stance import Stance

CHECKED_TIERS = ("derived", "multi_hop")


@lru_cache(maxsize=4096)  # trials of a belief mostly answer one of a few things
def inconsistent(
    answer: str,
    question: str,
    stance: Stance,
    *,
    target: Answerlike | None,
    prior: Answerlike | None,
    belief_target: Answerlike | None,
    belief_prior: Answerlike | None,
) -> bool | None:
    """Numeric inconsistency of a derived answer: "g = 5.0 m/s^2, so the force is 98 N.".

    `stance` is the side of the answer's result, read within 3 %. The value it states is the last one of the
    belief's own that it asserts or calculates with; numbers that match a result are no statement of the
    value. True when the two are of different worlds, False otherwise.

    None where there are no two numeric worlds to mix up: a novel belief without a prior value, or an answer
    by name.
    """
    own = _numeric(belief_target, belief_prior)
    results = _numeric(target, prior)
    if own is None or results is None:
        return None
    if stance not in ("target", "prior"):
        return False
    text = normalise(answer)
    values, derived = Sides(own), Sides(results, DERIVED_TOLERANCE)
    stated = [
        mention.side
        for mention in find_mentions(text, plain_question(question), values, bare="equation")
        if mention.used and mention.side in ("target", "prior") and not _is_result(text, mention, derived)
    ]
    return bool(stated) and stated[-1] != stance


def _numeric(
    target: Answerlike | None, prior: Answerlike | None
) -> tuple[tuple[str, Answerlike], tuple[str, Answerlike]] | None:
    if target is None or prior is None or target.value is None or prior.value is None:
        return None
    return ("target", target), ("prior", prior)


def _is_result(text: str, mention: Mention, derived: Sides) -> bool:
    """Whether a number that matches the belief's own value is the derived result instead: 9.8 N for 1 kg."""
    if mention.number is None:
        return False
    if mention.number.factors is None and not worked_out(text, mention.start):
        return False
    return any(
        derived.side_of(mention.number, scale_for(answer.unit)) in ("target", "prior")
        for _, answer in derived.pairs
    )
