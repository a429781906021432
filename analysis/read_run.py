"""A run folder as tables: manifest, trials and the files of each trial. Local paths and any fsspec URL."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec
import polars as pl
from fsspec import AbstractFileSystem

from beliefmod.errors import UserError
from beliefmod.metrics.registry import METRICS
from beliefmod.run.tables.lens_tables import LENS_TABLES
from beliefmod.run.tables.trial_tables import TABLES, Column, frame

NEEDED = ("trial_id", "arm", "belief", "status")
BATCH = 32  # files fetched at once: one round trip on an object store, bounded memory


@dataclass(frozen=True)
class Run:
    """What a run folder holds. `notes` says in words what is missing or odd, for the report to print."""

    location: str
    manifest: dict[str, Any]
    trials: pl.DataFrame
    notes: tuple[str, ...]
    files: AbstractFileSystem
    root: str

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
        return self._whole("judge.parquet", TABLES["judge"])

    def lens(self, table: str) -> pl.DataFrame:
        """A table of `LENS_TABLES`, what was found inside the model; no rows when nobody looked."""
        return self._whole(f"lens/{table}.parquet", LENS_TABLES[table])

    def lens_manifest(self) -> dict[str, Any]:
        """How `beliefmod lens` was run; empty when it was not."""
        path = f"{self.root}/lens/manifest.json"
        if not self.files.isfile(path):
            return {}
        content: Any = self.files.cat_file(path)
        return _manifest(content, path)

    def _whole(self, name: str, schema: tuple[Column, ...]) -> pl.DataFrame:
        """A table that the run has one of; no rows where it has none."""
        path = f"{self.root}/{name}"
        if not self.files.isfile(path):
            return frame([], schema)
        content: Any = self.files.cat_file(path)
        return _conform(_read(content, path), schema)[0]

    def _table(self, kind: str, trial_ids: Iterable[str], columns: Sequence[str] | None) -> pl.DataFrame:
        schema = TABLES[kind]
        if columns is not None:
            known = {column.name: column for column in schema}
            schema = tuple(known[name] for name in columns)
        paths = [f"{self.root}/{kind}/{trial_id}.parquet" for trial_id in dict.fromkeys(trial_ids)]
        if len(paths) > BATCH:
            there = self._listing(kind)
            paths = [path for path in paths if path.rsplit("/", 1)[1] in there]
        else:  # not the whole listing for each of 100,000 trials that is looked at by itself
            paths = [path for path in paths if self.files.isfile(path)]
        parts = [frame([], schema)]
        for start in range(0, len(paths), BATCH):
            batch = paths[start : start + BATCH]
            # a local file is read column by column, without the columns that nobody asked for
            contents: Any = {path: path for path in batch} if self._local else self.files.cat(batch)
            parts += [_columns(content, str(path), schema) for path, content in contents.items()]
        return pl.concat(parts)

    @property
    def _local(self) -> bool:
        protocol = self.files.protocol
        return "file" in (protocol if isinstance(protocol, (tuple, list)) else (protocol,))

    def _listing(self, kind: str) -> set[str]:
        folder = f"{self.root}/{kind}"
        if not self.files.isdir(folder):
            return set()
        return {str(path).rstrip("/").rsplit("/", 1)[-1] for path in self.files.ls(folder, detail=False)}


def read_run(location: str) -> Run:
    """Open a run folder, also one whose sweep is still going or has failed.

    Raises:
        UserError: there is no such folder, it is not a run folder, or its trial table cannot be read.
    """
    try:
        files, root = fsspec.core.url_to_fs(str(location))
    except (ValueError, ImportError) as error:
        raise UserError(f"{location}: cannot be opened as a path or URL ({error})") from error
    root = root.rstrip("/") or "/"
    if not files.isdir(root):
        raise UserError(
            f"{location}: there is no such folder; give the folder of a run, for example runs/EXP-..."
        )
    manifest_path, trials_path = f"{root}/manifest.json", f"{root}/trials.parquet"
    has_manifest, has_trials = files.isfile(manifest_path), files.isfile(trials_path)
    if not has_manifest and not has_trials and not files.isdir(f"{root}/rows"):
        raise UserError(
            f"{location}: not a run folder, it holds no manifest.json, trials.parquet or rows/; "
            "give the folder that a sweep has written (one level below the runs folder)"
        )
    notes: list[str] = []
    manifest = _manifest(files.cat_file(manifest_path), manifest_path) if has_manifest else {}
    if not has_manifest:
        notes.append(
            "The folder has no manifest.json: versions, commit and hardware of this run are not known."
        )
    trials = frame([], TABLES["trials"])
    if has_trials:
        trials, missing = _conform(_read(files.cat_file(trials_path), trials_path), TABLES["trials"])
        if lacking := [name for name in NEEDED if name in missing]:
            raise UserError(
                f"{trials_path}: lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}; "
                "`beliefmod columns trials` prints what a trial table holds"
            )
        # a metric that came later than the run is one that was not measured, like any other
        whole = [m.columns for m in METRICS.values() if set(m.columns) <= set(missing)]
        missing = [name for name in missing if not any(name in columns for columns in whole)]
        if missing:
            notes.append(
                f"The trial table lacks {len(missing)} columns of the schema, taken as not measured: "
                f"{', '.join(missing)}."
            )
    trials, damaged = _with_later_rows(files, root, trials)
    notes += damaged
    if (models := trials["model"].drop_nulls().unique().sort().to_list())[1:]:
        raise UserError(
            f"{location}: holds trials of several models ({', '.join(models)}); a frontier compares "
            "configurations on one base, so report each model from its own run folder"
        )
    return Run(str(location), manifest, trials, tuple(notes), files, root)


def _with_later_rows(
    files: AbstractFileSystem, root: str, trials: pl.DataFrame
) -> tuple[pl.DataFrame, list[str]]:
    """The table with the rows that trials have written since it was put together, as in a sweep under way."""
    notes: list[str] = []
    if not files.isdir(f"{root}/rows"):
        return trials, notes
    settled = set(trials.filter(pl.col("status") == "finished")["trial_id"])
    paths = sorted(str(path) for path in files.ls(f"{root}/rows", detail=False))
    paths = [path for path in paths if path.endswith(".json") and _stem(path) not in settled]
    rows = []
    for start in range(0, len(paths), BATCH):
        contents: Any = files.cat(paths[start : start + BATCH])
        for path, content in sorted(contents.items()):
            row = _row(content)
            if row is None or row.get("trial_id") != _stem(path):
                # as for the sweep itself: not a finished trial, it runs again on resume
                notes.append(f"rows/{_stem(path)}.json is damaged and left out; resuming the run redoes it.")
            else:
                rows.append(row)
    if not rows:
        return trials, notes
    known = {column.name for column in TABLES["trials"]}
    try:
        later = frame(({k: v for k, v in row.items() if k in known} for row in rows), TABLES["trials"])
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{root}/rows: holds a row that is not a trial's ({error})") from error
    return pl.concat([trials.filter(~pl.col("trial_id").is_in(later["trial_id"].to_list())), later]), notes


def _row(content: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(content)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _stem(path: str) -> str:
    return path.rsplit("/", 1)[-1].removesuffix(".json")


def _manifest(content: bytes, path: str) -> dict[str, Any]:
    try:
        manifest = json.loads(content)
    except ValueError as error:
        raise UserError(
            f"{path}: is not valid JSON ({error}); restore it or delete it to report without it"
        ) from error
    if not isinstance(manifest, dict):
        raise UserError(f"{path}: holds no JSON object; restore it or delete it to report without it")
    return manifest


def _read(content: bytes, path: str) -> pl.DataFrame:
    try:
        return pl.read_parquet(io.BytesIO(content))
    except pl.exceptions.PolarsError as error:
        raise _unreadable(path, error) from error


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
