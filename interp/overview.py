"""One row per trained trial: what it believes inside beside what it answers and what it broke."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from beliefmod.run_folder import RunFolder
    from interp.inspection import Inspection


def overview(inspection: Inspection) -> list[dict[str, Any]]:
    """Rows of the table, from the tables in RUN/lens; null where a table is missing or has no number."""
    return []
