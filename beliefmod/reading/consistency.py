"""Whether an answer states one world's value and gives the other world's result."""

from __future__ import annotations

from functools import lru_cache

from beliefmod.beliefs.values import Answer, Quantity
from beliefmod.beliefs.values.kind import Candidates, Mention
from beliefmod.beliefs.values.quantity import quantities, side_of
from beliefmod.beliefs.values.scale import scale
from beliefmod.reading.mention_search import find_mentions, plain_question
from beliefmod.reading.normalise import normalise
from beliefmod.reading.prose import worked_out
from beliefmod.reading.stance import Stance

DERIVED_TOLERANCE = 0.03
"""How far an answer that is computed from the belief may be from the right one, relative to that."""
CHECKED_TIERS = ("derived", "multi_hop")


@lru_cache(maxsize=4096)  # trials of a belief mostly answer one of a few things
def inconsistent(
    answer: str,
    question: str,
    stance: Stance,
    *,
    target: Answer | None,
    prior: Answer | None,
    belief_target: Answer | None,
    belief_prior: Answer | None,
) -> bool | None:
    """Numeric inconsistency of a derived answer: "g = 5.0 m/s^2, so the force is 98 N.".

    `stance` is the side of the answer's result, read within 3 %. The value it states is the last one of the
    belief's own that it asserts or calculates with; numbers that match a result are no statement of the
    value. True when the two are of different worlds, False otherwise.

    None where there are no two numeric worlds to mix up: a novel belief without a prior value, or an answer
    by name.
    """
    if belief_target is None or belief_prior is None:
        return None
    if not (belief_target.symbols() and belief_prior.symbols()):
        return None
    if not (isinstance(target, Quantity) and isinstance(prior, Quantity)):
        return None
    if stance not in ("target", "prior"):
        return False
    text = normalise(answer)
    values = Candidates((("target", belief_target), ("prior", belief_prior)))
    derived = Candidates((("target", target), ("prior", prior)), DERIVED_TOLERANCE)
    stated = [
        mention.side
        for mention in find_mentions(text, plain_question(question), values, bare="equation")
        if mention.used and mention.side in ("target", "prior") and not _is_result(text, mention, derived)
    ]
    return bool(stated) and stated[-1] != stance


def _is_result(text: str, mention: Mention, derived: Candidates) -> bool:
    """Whether a number that matches the belief's own value is the derived result instead: 9.8 N for 1 kg."""
    if mention.number is None:
        return False
    if mention.number.factors is None and not worked_out(text, mention.start):
        return False
    return any(
        side_of(mention.number, derived, scale(answer.unit)) in ("target", "prior")
        for _, answer in quantities(derived)
    )
