"""A column of a table: its name, type, unit and meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Dtype = Literal["str", "int", "float", "bool", "list[int]"]
ANSWERS = "target | prior | hedged | ignorance | other | wrong_unit | unread | none"
"""The stances of an answer, as the meanings of columns list them."""


@dataclass(frozen=True)
class Column:
    """One column. `unit` is "" for names and flags, "1" for dimensionless numbers."""

    name: str
    dtype: Dtype
    unit: str
    meaning: str


def text(name: str, meaning: str) -> Column:
    """A column of names, words or texts."""
    return Column(name, "str", "", meaning)


def flag(name: str, meaning: str) -> Column:
    """A column of true and false."""
    return Column(name, "bool", "", meaning)


def count(name: str, meaning: str, unit: str = "1") -> Column:
    """A column of whole numbers."""
    return Column(name, "int", unit, meaning)


def number(name: str, meaning: str, unit: str = "1") -> Column:
    """A column of floating-point numbers."""
    return Column(name, "float", unit, meaning)
