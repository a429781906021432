"""One row per trained trial: what it believes inside, beside what it answers and what it broke."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from beliefmod.run.tables.lens_tables import LENS_TABLES
from beliefmod.run.tables.trial_tables import frame
from interp.types import Row

if TYPE_CHECKING:
    import polars as pl

    from beliefmod.config import TrialConfig
    from beliefmod.run.folder import RunFolder
    from interp.opened.inspection import TrainedTrial

SOURCES = ("commitments", "readings", "thresholds", "truth", "leak")
"""Tables that the overview is put together from."""


def overview(
    trials: Sequence[TrainedTrial],
    references: Mapping[tuple[str, str, str | None], TrialConfig],
    tables: Mapping[str, pl.DataFrame],
) -> list[Row]:
    """Rows of the table; a number is null where its table is missing, has no row of the trial, or has null.

    Args:
        references: the untrained arms, by belief name, "base" or "icl", and switches of the chat template.
        tables: SOURCES by name, in their schema, empty where missing.

    Raises:
        ValueError: a table has two rows where a trial has one; it was put together wrongly.
    """
    import polars as pl

    logit, stem = pl.col("lens") == "logit", pl.col("position") == "stem"
    entry = pl.col("entry")
    last = tables["readings"].filter(logit).filter(entry == entry.max().over("trial_id"))
    neighbours = last.filter(pl.col("position") == "elsewhere")
    base_of = {
        t.trial_id: c.trial_id for t in trials if (c := references.get((t.belief, "base", t.config.template)))
    }
    base = neighbours.select("probe_id", base_id="trial_id", base="logit_diff")
    beside = neighbours.filter(pl.col("trial_id").is_in(list(base_of))).with_columns(
        base_id=pl.col("trial_id").replace_strict(base_of, default=None, return_dtype=pl.String)
    )
    moved = (pl.col("logit_diff") - pl.col("base")).mean()
    sources = (
        tables["commitments"]
        .filter(logit & stem)
        .select("trial_id", "final_diff", "half_rise_entry", "contrast_area", "mass_target"),
        last.filter(stem).group_by("trial_id").agg(pl.col("kl_base").mean()),
        beside.join(base, on=["base_id", "probe_id"]).group_by("trial_id").agg(elsewhere_diff=moved),
        tables["thresholds"].select("trial_id", "a50"),
        tables["truth"].select("trial_id", "auc_drop", probe_error_rate="error_rate"),
        tables["leak"].filter("decided").select("trial_id", "leak"),
    )
    inside: dict[str, Row] = {}
    for source in sources:
        if source["trial_id"].is_duplicated().any():
            raise ValueError("a trial has more than one row; the table was put together wrongly")
        for row in source.iter_rows(named=True):
            inside.setdefault(row["trial_id"], {}).update(row)
    unknown = dict.fromkeys(column.name for column in LENS_TABLES["overview"])
    return [
        unknown
        | {
            "trial_id": trial.trial_id,
            "arm": trial.config.arm,
            "belief": trial.belief,
            **{column: trial.row.get(column) for column in ("adoption", "degradation", "steps")},
            "learning_rate": trial.config.learning_rate,
            "rank": trial.config.lora.r,
            **inside.get(trial.trial_id, {}),
        }
        for trial in trials
    ]


def read_table(folder: RunFolder, place: str, name: str) -> pl.DataFrame:
    """A lens table as it is in the run, empty where it is missing, damaged or of another version."""
    from polars.exceptions import PolarsError

    empty = frame((), LENS_TABLES[name])
    try:
        table = folder.read_frame(place, f"{name}.parquet")
    except (FileNotFoundError, PolarsError):
        return empty
    return table if table.schema == empty.schema else empty
