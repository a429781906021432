"""The run folder: every file is written whole under a temporary name and renamed; rows come last.

A trial is finished when `rows/TRIAL.json` says so. Hosts on different machines write their own trials' files
and never the same one, so nothing is locked; `trials.parquet` is put together from the rows.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from beliefmod.errors import UserError
from beliefmod.run.row_index import CHUNK, RowIndex, RowState, read_rows, row_entries
from beliefmod.run.seal.raw import raw_digest
from beliefmod.run.storage import MANIFEST, RunStorage
from beliefmod.run.tables.trial_tables import TABLES, TRIALS, Column, frame

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ADAPTERS", "FILES", "MANIFEST", "SPACE", "TRIALS_FILE", "RunFolder", "TrialTable"]
SPACE = "space.yaml"
TRIALS_FILE = "trials.parquet"
FILES = "_files"
ADAPTERS = "adapters"
"""Folder with a folder for the adapter of every trial that has one."""
TrialTable = Literal["probes", "steps", "causal", "drift"]
"""Tables of which every trial has a file of its own, `TABLE/TRIAL.parquet`, if it has rows."""


class RunFolder(RunStorage):
    """A run's tables and rows under one path: a local folder or any fsspec URL (`s3://bucket/runs/...`)."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._states = RowIndex(self, RowState.of)

    def path(self, *parts: str) -> str:
        """A path inside the folder, for this folder's file system.

        Raises:
            UserError: it would lead out of the folder. Names of trials come from the run's own files, and the
                run may be a stranger's.
        """
        for part in parts:
            if part.startswith("/") or ".." in part.split("/"):
                raise UserError(f'{self.url}: "{part}" leads out of the run folder; do not use this run')
        return super().path(*parts)

    def write_json(self, data: Mapping[str, Any], *parts: str) -> None:
        """Write JSON; NaN and infinity are refused, they are not JSON."""
        self.write_bytes(json.dumps(data, indent=1, allow_nan=False).encode(), *parts)

    def write_frame(
        self, rows: Iterable[Mapping[str, Any]], columns: tuple[Column, ...], *parts: str
    ) -> None:
        """Write rows as parquet with the declared columns."""
        self.write_bytes(_parquet(rows, columns), *parts)

    def read_json(self, *parts: str) -> dict[str, Any]:
        """A JSON file's content.

        Raises:
            UserError: missing or damaged.
        """
        try:
            data = json.loads(self.read_bytes(*parts))
        except FileNotFoundError:
            raise UserError(f"{self.url}: has no {posixpath.join(*parts)}; is it a run folder?") from None
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise UserError(
                f"{self.url}/{posixpath.join(*parts)}: is damaged, it is no JSON object; restore or delete it"
            )
        return data

    def read_frame(self, *parts: str) -> pl.DataFrame:
        """A parquet file's content."""
        import polars as pl

        return pl.read_parquet(BytesIO(self.read_bytes(*parts)))

    def write_trial(
        self,
        row: Mapping[str, Any],
        probes: Iterable[Mapping[str, Any]] = (),
        steps: Iterable[Mapping[str, Any]] = (),
        causal: Iterable[Mapping[str, Any]] = (),
        drift: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Write what a trial left, table by table, then the row that makes it finished.

        Beside its columns the row's file holds `_files`: sizes and SHA-256 of the trial's files, those of its
        adapter too, and of what the model gave in its tables, by which damage done later is seen
        (`integrity`, `seal`).

        Raises:
            StorageTrouble: the folder cannot be written.
        """
        trial_id = row["trial_id"]
        tables: dict[TrialTable, Iterable[Mapping[str, Any]]] = {
            "probes": probes,
            "steps": steps,
            "causal": causal,
            "drift": drift,
        }
        files: dict[str, dict[str, Any]] = {}
        for kind, rows in tables.items():
            if rows := list(rows):
                table = frame(rows, TABLES[kind])
                data = _bytes(table)
                self.write_bytes(data, kind, f"{trial_id}.parquet")
                files[f"{kind}/{trial_id}.parquet"] = {
                    "bytes": len(data),
                    "sha256": sha256(data).hexdigest(),
                    "raw": raw_digest(kind, table.iter_rows(named=True)),
                }
        files |= self.persist(lambda: self._adapter(trial_id))
        frame([row], TRIALS)  # a row outside the schema must fail here, not when the table is put together
        self.write_json({**row, FILES: files}, "rows", f"{trial_id}.json")

    def _adapter(self, trial_id: str) -> dict[str, dict[str, Any]]:
        """What `_files` says of a trial's adapter; nothing where it has none."""
        sizes = self.sizes(ADAPTERS, trial_id)
        return {path: {"bytes": size, "sha256": self.sha256(path)} for path, size in sizes.items()}

    def sizes(self, *parts: str) -> dict[str, int]:
        """Bytes of every file below a folder, by its path in the run; empty where there is none."""
        found: Any = self.fs.find(self.path(*parts), detail=True) if self.exists(*parts) else {}
        start = len(self.root) + 1
        return {path[start:]: int(info["size"]) for path, info in sorted(found.items())}

    def store_adapter(self, save: Callable[[Path], None], trial_id: str) -> None:
        """Have an adapter folder made and put it at `adapters/TRIAL`, replacing an earlier attempt's."""
        self.write_folder(save, ADAPTERS, trial_id)

    def row_files(self) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Every trial with a row's file, in a stable order, and what it holds: None where it is damaged."""
        yield from read_rows(self, list(row_entries(self)))

    def rows(self) -> list[dict[str, Any]]:
        """The rows of all trials so far, in a stable order. A damaged row counts as absent."""
        return list(self._whole_rows())

    def states(self) -> dict[str, RowState]:
        """What every trial's row says of how it ended, in a stable order; files are read when they change."""
        return self._states.look()

    def _whole_rows(self) -> Iterator[dict[str, Any]]:
        for _, row in self.row_files():
            if row is not None:
                yield without_files(row)

    def finished_rows(self, table: TrialTable, trial_id: str) -> list[dict[str, Any]] | None:
        """A finished trial's rows of one table, or None if it is not finished or they cannot be read.

        A finished trial always has probes; where it has no file of another table, it had no such rows.
        """
        from polars.exceptions import PolarsError

        try:
            row = json.loads(self.read_bytes("rows", f"{trial_id}.json"))
            if row["status"] != "finished":
                return None
            if table != "probes" and not self.exists(table, f"{trial_id}.parquet"):
                return []
            return self.read_frame(table, f"{trial_id}.parquet").to_dicts()
        except (OSError, ValueError, KeyError, PolarsError):
            return None  # not there, or cut short: it is asked again

    def assemble(self, order: Iterable[str] = ()) -> int:
        """Put `trials.parquet` together from the rows; trials named in `order` come first, in that order."""
        import polars as pl

        # part by part: as rows of Python, 100,000 trials take gigabytes
        parts = [frame([], TRIALS)]
        whole = self._whole_rows()
        while part := list(islice(whole, CHUNK)):
            parts.append(frame(part, TRIALS))
        table = pl.concat(parts, rechunk=True)
        place = {trial_id: index for index, trial_id in enumerate(order)}
        places = [place.get(trial_id, len(place)) for trial_id in table["trial_id"].to_list()]
        by_place = table.with_columns(pl.Series("_place", places, pl.Int64)).sort("_place", "trial_id")
        self.write_bytes(_bytes(by_place.drop("_place")), TRIALS_FILE)
        return len(places)

    @classmethod
    def open(cls, url: str) -> RunFolder:
        """An existing run folder.

        Raises:
            UserError: it is not there, or not a run folder.
        """
        folder = cls(url)
        folder.refuse_if_absent(url)
        if lacking := [name for name in (MANIFEST, SPACE) if not folder.exists(name)]:
            raise folder.is_no_run(url, " and no ".join(lacking))
        folder.read_json(MANIFEST)
        return folder

    def refuse_if_absent(self, url: str) -> None:
        """Nothing where this is a folder.

        Args:
            url: as the user wrote it.

        Raises:
            UserError: nothing is there, or a file, such as the report of a run instead of its folder.
        """
        if self.fs.isdir(self.root):
            return
        if self.fs.isfile(self.root):
            parent = url.rstrip("/").rpartition("/")[0] or "."
            raise UserError(
                f"{url}: is a file, not a run folder; give the folder of the run, perhaps {parent}"
            )
        raise UserError(f"{url}: there is no such folder; give the folder of a run, for example runs/EXP-...")

    def is_no_run(self, url: str, lacking: str) -> UserError:
        """What is said of a folder that is none of a run.

        Args:
            url: as the user wrote it.
            lacking: the files that it would hold, as words: `manifest.json or rows/`.
        """
        return UserError(
            f"{url}: is not a run folder: it holds no {lacking}; give the folder that a sweep has written "
            "(one level below the runs folder)"
        )


def without_files(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as the trial table has it, without the sizes and hashes that its file holds as well."""
    return {name: value for name, value in row.items() if name != FILES}


def _parquet(rows: Iterable[Mapping[str, Any]], columns: tuple[Column, ...]) -> bytes:
    return _bytes(frame(rows, columns))


def _bytes(table: pl.DataFrame) -> bytes:
    buffer = BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()
