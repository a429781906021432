"""What every room of the inspection shares: token ids, rows of its tables, and the lines that it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Ids = tuple[int, ...]
"""Token ids."""
Row = dict[str, Any]
"""Values by column name."""
Rows = dict[str, list[Row]]
"""Rows by table name."""
Say = Callable[[str], None]
"""Takes one line about what is going on."""
NOTE = "note: "
"""What a line begins with that a reader of the tables must know: it goes into the manifest as well."""
