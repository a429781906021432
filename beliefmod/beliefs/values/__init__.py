"""Kinds of belief value, each a class: quantities with units, names, dates."""

from beliefmod.beliefs.values.date import Date
from beliefmod.beliefs.values.kind import Answer
from beliefmod.beliefs.values.name import Name
from beliefmod.beliefs.values.quantity import Quantity

KINDS: tuple[type[Answer], ...] = (Date, Quantity, Name)
"""Every kind, in the order in which a text is read: what spells a date is no number."""

__all__ = ["KINDS", "Answer", "Date", "Name", "Quantity"]
