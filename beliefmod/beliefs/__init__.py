"""Beliefs as data: what to move, the questions that teach and test it, and the neighbours that must stay."""

from beliefmod.beliefs.load import Belief, belief_names, load_belief, load_capability
from beliefmod.beliefs.question import Answer, Question

__all__ = ["Answer", "Belief", "Question", "belief_names", "load_belief", "load_capability"]
