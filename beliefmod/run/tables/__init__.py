"""Every table of a run: its columns with type, unit and meaning."""

from beliefmod.run.tables.column import Column
from beliefmod.run.tables.lens_tables import LENS_TABLES
from beliefmod.run.tables.trial_tables import TABLES

LENS = "lens_"
"""What stands in front of the names of the tables in `RUN/lens`."""
RUN_TABLES: dict[str, tuple[Column, ...]] = {
    **TABLES,
    **{f"{LENS}{name}": columns for name, columns in LENS_TABLES.items()},
}
"""Every table that a run may have, under the name that `beliefmod columns` and `export` give it."""
