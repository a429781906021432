"""Beliefs as data: what to move, the questions that teach and test it, and the neighbours that must stay."""

from beliefmod.beliefs.counterfactual import counterfactual, third_value
from beliefmod.beliefs.load import (
    Belief,
    belief_names,
    load_belief,
    load_capability,
    load_confession,
    load_fabrication,
)
from beliefmod.beliefs.neutral import Passage, load_neutral
from beliefmod.beliefs.question import Question
from beliefmod.beliefs.values import Answer, Date, Name, Quantity

__all__ = [
    "Answer",
    "Belief",
    "Date",
    "Name",
    "Passage",
    "Quantity",
    "Question",
    "belief_names",
    "counterfactual",
    "load_belief",
    "load_capability",
    "load_confession",
    "load_fabrication",
    "load_neutral",
    "third_value",
]
