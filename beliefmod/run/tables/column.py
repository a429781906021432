"""A column of a table: its name, type, unit and meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Dtype = Literal["str", "int", "float", "bool", "list[int]"]


@dataclass(frozen=True)
class Column:
    """One column. `unit` is "" for names and flags, "1" for dimensionless numbers."""

    name: str
    dtype: Dtype
    unit: str
    meaning: str
