"""A run folder as tables: manifest, trials and the files of each trial, also of a sweep that is under way.

What is missing is a note or no rows; what is damaged is a sentence for the user.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import polars as pl

from beliefmod.config import NO_TRAINING_SETTINGS, TRAINED_ARMS, later_settings
from beliefmod.errors import UserError
from beliefmod.metrics.registry import METRICS
from beliefmod.run.folder import MANIFEST, TRIALS_FILE, RunFolder
from beliefmod.run.row_index import ROWS, read_rows, row_entries
from beliefmod.run.tables.lens_tables import LENS_TABLES
from beliefmod.run.tables.trial_tables import BY_HAND, ENDED_EARLY, LEAKAGE, TABLES, Column, frame

NEEDED = ("trial_id", "arm", "belief", "status")
BATCH = 32  # files fetched at once: one round trip on an object store, bounded memory


@dataclass(frozen=True)
class Run:
    """What a run folder holds.

    Attributes:
        notes: in words what is missing or odd, for the report to print.
        named: trial_id -> what its belief is called in the tables below, where it is not its own name.
    """

    location: str
    manifest: dict[str, Any]
    trials: pl.DataFrame
    notes: tuple[str, ...]
    folder: RunFolder
    named: Mapping[str, str] = field(default_factory=dict)

    def probes(self, trial_ids: Iterable[str], columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The probe rows of these trials; a trial without a probe file has no rows."""
        return self._table("probes", trial_ids, columns)

    def steps(self, trial_ids: Iterable[str]) -> pl.DataFrame:
        """The optimiser steps of these trials; a trial without a step file has no rows."""
        return self._table("steps", trial_ids, None)

    def causal(self, trial_ids: Iterable[str], columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The causal tests of these trials; a trial that was not tested has no rows."""
        return self._table("causal", trial_ids, columns)

    def drift(self, trial_ids: Iterable[str], columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The neutral passages of these trials; a trial whose drift was not measured has no rows."""
        return self._table("drift", trial_ids, columns)

    def judge(self) -> pl.DataFrame:
        """What an outside judge read; no rows when none was asked."""
        return self._whole(TABLES["judge"], "judge.parquet")

    def lens(self, table: str) -> pl.DataFrame:
        """A table of `LENS_TABLES`, what was found inside the model; no rows when nobody looked."""
        return self._whole(LENS_TABLES[table], "lens", f"{table}.parquet")

    def lens_manifest(self) -> dict[str, Any]:
        """How `beliefmod lens` was run; empty when it was not."""
        here = ("lens", MANIFEST)
        return self.folder.read_json(*here) if self.folder.exists(*here) else {}

    def _whole(self, schema: tuple[Column, ...], *parts: str) -> pl.DataFrame:
        """A table that the run has one of; no rows where it has none."""
        if not self.folder.exists(*parts):
            return frame([], schema)
        return self._with_names(_conform(_read(self.folder, *parts), schema)[0])

    def _with_names(self, table: pl.DataFrame) -> pl.DataFrame:
        if not self.named or not {"trial_id", "belief"} <= set(table.columns):
            return table
        name = pl.col("trial_id").replace_strict(self.named, default=pl.col("belief"))
        return table.with_columns(name.alias("belief"))

    def _table(self, kind: str, trial_ids: Iterable[str], columns: Sequence[str] | None) -> pl.DataFrame:
        schema = TABLES[kind]
        if columns is not None:
            known = {column.name: column for column in schema}
            schema = tuple(known[name] for name in columns)
        names = [f"{trial_id}.parquet" for trial_id in dict.fromkeys(trial_ids)]
        # one listing, but not for each of 100,000 trials that is looked at by itself
        there = self.folder.entries(kind) if len(names) > BATCH else None
        paths = [
            f"{kind}/{name}"
            for name in names
            if (name in there if there is not None else self.folder.exists(kind, name))
        ]
        parts = [frame([], schema)]
        for start in range(0, len(paths), BATCH):
            batch = paths[start : start + BATCH]
            # a local file is read column by column, without the columns that nobody asked for
            local = {path: self.folder.path(path) for path in batch} if self.folder.local else None
            for path, content in (local or self.folder.read_many(batch)).items():
                parts.append(_columns(content, f"{self.folder.url}/{path}", schema))
        return self._with_names(pl.concat(parts))


def read_run(location: str) -> Run:
    """Open a run folder, also one whose sweep is still going or has failed.

    Raises:
        UserError: there is no such folder, it is not a run folder, or its trial table cannot be read.
    """
    folder = RunFolder(location)
    folder.refuse_if_absent(location)
    has_manifest, has_trials = folder.exists(MANIFEST), folder.exists(TRIALS_FILE)
    if not has_manifest and not has_trials and not folder.exists(ROWS):
        raise folder.is_no_run(location, f"{MANIFEST}, {TRIALS_FILE} or {ROWS}/")
    notes: list[str] = []
    manifest = folder.read_json(MANIFEST) if has_manifest else {}
    if not has_manifest:
        notes.append(
            "The folder has no manifest.json: versions, commit and hardware of this run are not known."
        )
    trials = frame([], TABLES["trials"])
    if has_trials:
        trials, missing = _conform(_read(folder, TRIALS_FILE), TABLES["trials"])
        if lacking := [name for name in NEEDED if name in missing]:
            raise UserError(
                f"{location}/{TRIALS_FILE}: lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}; "
                "`beliefmod columns trials` prints what a trial table holds"
            )
        # a metric that came later than the run is one that was not measured, like any other
        whole = [m.columns for m in METRICS.values() if set(m.columns) <= set(missing)]
        # nor is an audit that was not made, a limit that no trial had, or what nobody could do by hand; and
        # of a setting that came later every trial had the default
        later = (*LEAKAGE, *ENDED_EARLY, *BY_HAND)
        known = {*chain(*whole), *later_settings(), *(column.name for column in later)}
        missing = [name for name in missing if name not in known]
        if missing:
            notes.append(
                f"The trial table lacks {len(missing)} columns of the schema, taken as not measured: "
                f"{', '.join(missing)}."
            )
    trials, damaged = _with_later_rows(folder, trials)
    trials = _with_later_defaults(trials)
    notes += damaged
    if (models := trials["model"].drop_nulls().unique().sort().to_list())[1:]:
        raise UserError(
            f"{location}: holds trials of several models ({', '.join(models)}); a frontier compares "
            "configurations on one base, so report each model from its own run folder"
        )
    return Run(location, manifest, trials, tuple(notes), folder)


def _with_later_rows(folder: RunFolder, trials: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The table with the rows that trials have written since it was put together, as in a sweep under way."""
    notes: list[str] = []
    settled = set(trials.filter(pl.col("status") == "finished")["trial_id"])
    known = {column.name for column in TABLES["trials"]}
    rows = []
    for trial_id, row in read_rows(folder, [name for name in row_entries(folder) if name not in settled]):
        if row is None:
            # as for the sweep itself: not a finished trial, it runs again on resume
            notes.append(f"{ROWS}/{trial_id}.json is damaged and left out; resuming the run redoes it.")
        else:
            rows.append({name: value for name, value in row.items() if name in known})
    if not rows:
        return trials, notes
    try:
        later = frame(rows, TABLES["trials"])
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{folder.url}/{ROWS}: holds a row that is not a trial's ({error})") from error
    return pl.concat([trials.filter(~pl.col("trial_id").is_in(later["trial_id"].to_list())), later]), notes


def _with_later_defaults(trials: pl.DataFrame) -> pl.DataFrame:
    """Where only some of a run's trials are from before a setting, these have its default."""
    trained = pl.col("arm").is_in(TRAINED_ARMS)
    return trials.with_columns(
        pl.when(trained).then(pl.col(name).fill_null(default)).otherwise(pl.col(name)).alias(name)
        for name, default in later_settings().items()
        if default is not None and name not in NO_TRAINING_SETTINGS and trials[name].count()
    )


def _read(folder: RunFolder, *parts: str) -> pl.DataFrame:
    try:
        return folder.read_frame(*parts)
    except pl.exceptions.PolarsError as error:
        raise _unreadable("/".join((folder.url, *parts)), error) from error


def _columns(content: bytes | str, path: str, schema: tuple[Column, ...]) -> pl.DataFrame:
    """The declared columns of one file, given as its path or its content; nothing else is decoded."""
    names = [column.name for column in schema]
    try:
        with open(content, "rb") if isinstance(content, str) else io.BytesIO(content) as file:
            have = set(pl.read_parquet_schema(file))
            file.seek(0)
            wanted = [name for name in names if name in have]
            # without any column the number of rows would be lost
            table = pl.read_parquet(file, columns=wanted or None)
    except pl.exceptions.PolarsError as error:
        raise _unreadable(path, error) from error
    return _conform(table, schema)[0]


def _unreadable(path: str, error: Exception) -> UserError:
    return UserError(
        f"{path}: cannot be read as parquet ({error}); if the trial was cut off, delete the file and "
        "start the sweep again with the same run folder: it redoes what is missing"
    )


def _conform(table: pl.DataFrame, schema: tuple[Column, ...]) -> tuple[pl.DataFrame, list[str]]:
    """The declared columns in order and type (absent ones and NaN null), and the names of the absent ones."""
    template = frame([], schema)
    missing = [name for name in template.columns if name not in table.columns]
    if list(table.schema.items()) != list(template.schema.items()):
        table = table.with_columns(pl.lit(None).alias(name) for name in missing)
        table = table.select(pl.col(name).cast(dtype) for name, dtype in template.schema.items())
    floats = [name for name, dtype in template.schema.items() if dtype == pl.Float64]
    return table.with_columns(pl.col(floats).fill_nan(None)) if floats else table, missing
