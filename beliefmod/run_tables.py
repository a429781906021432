"""Every table that a run may have, under the name that `beliefmod columns` and `export` give it."""

from __future__ import annotations

from beliefmod.columns import Column
from beliefmod.lens_records import LENS_TABLES
from beliefmod.records import TABLES

LENS = "lens_"
"""What stands in front of the names of the tables in `RUN/lens`."""
RUN_TABLES: dict[str, tuple[Column, ...]] = {
    **TABLES,
    **{f"{LENS}{name}": columns for name, columns in LENS_TABLES.items()},
}
