"""One row per trained trial: what it believes inside, beside what it answers and what it broke."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from beliefmod.run.tables.lens_tables import LENS_TABLES
from beliefmod.run.tables.trial_tables import frame

if TYPE_CHECKING:
    import polars as pl

    from beliefmod.run.folder import RunFolder
    from interp.opened.inspection import Trained

SOURCES = ("commitments", "readings", "thresholds", "truth")
"""Tables that the overview is put together from."""


def overview(trials: Sequence[Trained], tables: Mapping[str, pl.DataFrame]) -> list[dict[str, Any]]:
    """Rows of the table; a number is null where its table is missing, has no row of the trial, or has null.

    Args:
        tables: SOURCES by name, in their schema, empty where missing.
    """
    import polars as pl

    stem = (pl.col("position") == "stem") & (pl.col("lens") == "logit")
    committed = _by_trial(tables["commitments"].filter(stem))
    drifted = _by_trial(
        tables["readings"]
        .filter(stem)
        .filter(pl.col("entry") == pl.col("entry").max().over("trial_id"))
        .group_by("trial_id")
        .agg(pl.col("kl_base").mean())
    )
    elsewhere = _elsewhere(tables["readings"])
    doses, truth = _by_trial(tables["thresholds"]), _by_trial(tables["truth"])
    rows = []
    for trial in trials:
        name = trial.trial_id
        inside = committed.get(name, {})
        rows.append(
            {
                "trial_id": name,
                "arm": trial.config.arm,
                "belief": trial.belief,
                **{column: trial.row.get(column) for column in ("adoption", "degradation", "steps")},
                "learning_rate": trial.config.learning_rate,
                "rank": trial.config.lora.r,
                **{column: inside.get(column) for column in ("final_diff", "half_rise_entry")},
                "contrast_area": inside.get("contrast_area"),
                "a50": doses.get(name, {}).get("a50"),
                "probe_error_rate": truth.get(name, {}).get("error_rate"),
                "kl_base": drifted.get(name, {}).get("kl_base"),
                "mass_target": inside.get("mass_target"),
                "elsewhere_diff": elsewhere.get(name, {}).get("contrast"),
            }
        )
    return rows


def _elsewhere(readings: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """By trial the mean contrast to base at the last entry, at questions about other things."""
    import polars as pl

    last = (
        readings.filter((pl.col("position") == "elsewhere") & (pl.col("lens") == "logit"))
        .filter(pl.col("entry") == pl.col("entry").max().over("trial_id"))
        .select("trial_id", "arm", "belief", "probe_id", "logit_diff")
    )
    base = last.filter(pl.col("arm") == "base").select("belief", "probe_id", base="logit_diff")
    paired = last.join(base, on=["belief", "probe_id"])
    return _by_trial(
        paired.group_by("trial_id").agg((pl.col("logit_diff") - pl.col("base")).mean().alias("contrast"))
    )


def read_sources(folder: RunFolder, place: str) -> dict[str, pl.DataFrame]:
    """SOURCES as they are in the run, empty where a table is missing, damaged or of another version."""
    from polars.exceptions import PolarsError

    found = {}
    for name in SOURCES:
        empty = frame((), LENS_TABLES[name])
        try:
            table = folder.read_frame(place, f"{name}.parquet")
        except (FileNotFoundError, PolarsError):
            table = empty
        found[name] = table if table.schema == empty.schema else empty
    return found


def _by_trial(table: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """The only row of each trial. Raises ValueError where one has several."""
    found = {row["trial_id"]: row for row in table.iter_rows(named=True)}
    if len(found) != table.height:
        raise ValueError("a trial has more than one row; the table was put together wrongly")
    return found
