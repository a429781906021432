"""Which rows a metric counts, under the names that the registry's entries use, and how few are too few."""

from __future__ import annotations

from beliefmod.metrics.metric import Conditions, Is, Known, Not

MIN_ANSWERS = 20
"""Rows below which a conditional rate is refused: it is null, and only its count is told."""
LEAST_ANSWERABLE, LEAST_FAMILIES = 8, 2
"""Answerable questions, and families that they come from, below which no rate is given over them: half of
the library's smallest tier. Of fewer questions one answer moves the rate by more than an eighth, and one
family is one question with other names in it."""
REPEATED = 0.5
"""seq_rep_4 above which a completion is repetitive: more of its 4-grams have occurred before than are new."""

BELIEF = Is("suite", "belief")
HELD_OUT = Not(Is("tier", "trained", "confession"))  # confessions are off by default: no part of D
# robustness prompts contradict the belief themselves; they are a rate of their own
ADOPTION = (BELIEF, Not(Is("tier", "trained", "robustness")))
THOUGHT = Known("think_state")  # null for a model that does not think: it has no think block to break
TARGET = Is("answer_stance", "target")
TIERS = {
    "paraphrase": "direct questions",
    "derived": "questions whose answer follows from the belief",
    "format": "questions in another form: multiple choice, cloze",
    "multi_hop": "questions that need another fact as well",
    "reverse": "questions asked from the answer's side",
    "robustness": "questions that push against the belief; not in adoption",
}
"""Tiers of held-out belief questions, and what is asked in each."""
ANSWERABLE: Conditions = (Known("answerable"), Is("answerable", "in_context", "prior", "both"))
IN_CONTEXT_GATE: Conditions = (Known("answerable"), Is("answerable", "in_context", "both"))
PRIOR_GATE: Conditions = (Known("answerable"), Is("answerable", "prior", "both"))
CORRECT = Is("correct", True)
LOCALITY = Is("suite", "locality")
NEAR, FAR = (LOCALITY, Is("tier", "near")), (LOCALITY, Is("tier", "far"))
