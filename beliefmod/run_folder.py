"""The run folder: every file is written whole under a temporary name and renamed; rows come last.

A trial is finished when `rows/TRIAL.json` says so. Hosts on different machines write their own trials' files
and never the same one, so nothing is locked; `trials.parquet` is put together from the rows.
"""

from __future__ import annotations

import json
import posixpath
import uuid
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import fsspec
import fsspec.core

from beliefmod.errors import UserError
from beliefmod.records import TABLES, TRIALS, Column, frame

if TYPE_CHECKING:
    import polars as pl

MANIFEST = "manifest.json"
SPACE = "space.yaml"
TRIALS_FILE = "trials.parquet"
TrialTable = Literal["probes", "steps", "causal", "drift"]
"""Tables of which every trial has a file of its own, `TABLE/TRIAL.parquet`, if it has rows."""


class RunFolder:
    """A run's files under one path: a local folder or any fsspec URL (`s3://bucket/runs/...`)."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.fs, self.root = fsspec.core.url_to_fs(self.url)

    def path(self, *parts: str) -> str:
        """A path inside the folder, for this folder's file system."""
        return posixpath.join(self.root, *parts)

    @property
    def storage_path(self) -> str:
        """The folder for processes with another working directory: absolute, or the URL."""
        return self.root if self.fs.protocol in ("file", ("file", "local")) else self.url

    def exists(self, *parts: str) -> bool:
        """Whether a file or folder is there."""
        return self.fs.exists(self.path(*parts))

    def create(self) -> None:
        """Make the folder.

        Raises:
            UserError: it cannot be written.
        """
        try:
            self.fs.makedirs(self.root, exist_ok=True)
            self.write_bytes(b"", ".writable")
            self.fs.rm(self.path(".writable"))
        except OSError as error:
            raise UserError(
                f"{self.url}: cannot be written ({error.strerror or error}); choose another folder with --out"
            ) from None

    def try_writing(self) -> None:
        """See whether the folder could be made, and leave no trace. Raises UserError as `create` does."""
        there = self.exists()
        self.create()
        if not there:
            self.remove()

    def remove(self) -> None:
        """Delete the folder with everything in it."""
        self.fs.rm(self.root, recursive=True)

    def write_bytes(self, data: bytes, *parts: str) -> None:
        """Write a file whole: readers see the old content or the new, never a part."""
        target = self.path(*parts)
        self.fs.makedirs(posixpath.dirname(target), exist_ok=True)
        temporary = f"{target}.{uuid.uuid4().hex[:8]}.tmp"
        try:
            self.fs.pipe_file(temporary, data)
            self.fs.mv(temporary, target)
        except BaseException:
            if self.fs.exists(temporary):
                self.fs.rm(temporary)
            raise

    def write_json(self, data: Mapping[str, Any], *parts: str) -> None:
        """Write JSON; NaN and infinity are refused, they are not JSON."""
        self.write_bytes(json.dumps(data, indent=1, allow_nan=False).encode(), *parts)

    def write_frame(
        self, rows: Iterable[Mapping[str, Any]], columns: tuple[Column, ...], *parts: str
    ) -> None:
        """Write rows as parquet with the declared columns."""
        buffer = BytesIO()
        frame(rows, columns).write_parquet(buffer)
        self.write_bytes(buffer.getvalue(), *parts)

    def read_bytes(self, *parts: str) -> bytes:
        """A file's content."""
        return self.fs.cat_file(self.path(*parts))

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
            raise UserError(
                f"{self.url}/{posixpath.join(*parts)}: is damaged; restore or delete it"
            ) from None
        if not isinstance(data, dict):
            raise UserError(f"{self.url}/{posixpath.join(*parts)}: is damaged; restore or delete it")
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
        """Write what a trial left, table by table, then the row that makes it finished."""
        trial_id = row["trial_id"]
        tables: dict[TrialTable, Iterable[Mapping[str, Any]]] = {
            "probes": probes,
            "steps": steps,
            "causal": causal,
            "drift": drift,
        }
        for kind, rows in tables.items():
            if rows := list(rows):
                self.write_frame(rows, TABLES[kind], kind, f"{trial_id}.parquet")
        frame([row], TRIALS)  # a row outside the schema must fail here, not when the table is put together
        self.write_json(row, "rows", f"{trial_id}.json")

    def store_adapter(self, local: Path, trial_id: str) -> None:
        """Copy an adapter folder from this machine to `adapters/TRIAL`, replacing an earlier attempt's."""
        target = self.path("adapters", trial_id)
        temporary = f"{target}.{uuid.uuid4().hex[:8]}.tmp"
        self.fs.makedirs(self.path("adapters"), exist_ok=True)
        self.fs.put(f"{local}/", f"{temporary}/", recursive=True)
        if self.fs.exists(target):
            self.fs.rm(target, recursive=True)
        self.fs.mv(temporary, target, recursive=True)

    def rows(self) -> list[dict[str, Any]]:
        """The rows of all trials so far, in a stable order. A damaged row counts as absent."""
        found = []
        for path in sorted(self.fs.glob(self.path("rows", "*.json"))):
            try:
                row = json.loads(self.fs.cat_file(path))
            except ValueError:
                continue  # cut short by a crash of an older writer: the trial runs again
            if isinstance(row, dict) and row.get("trial_id") == Path(path).stem:
                found.append(row)
        return found

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
        place = {trial_id: index for index, trial_id in enumerate(order)}
        rows = sorted(self.rows(), key=lambda row: (place.get(row["trial_id"], len(place)), row["trial_id"]))
        self.write_frame(rows, TRIALS, TRIALS_FILE)
        return len(rows)

    @classmethod
    def open(cls, url: str) -> RunFolder:
        """An existing run folder.

        Raises:
            UserError: it is not there, or not a run folder.
        """
        folder = cls(url)
        if not folder.exists():
            raise UserError(f"{url}: no such run folder; check the path")
        if not folder.exists(MANIFEST) or not folder.exists(SPACE):
            raise UserError(
                f"{url}: is not a run folder (it has no {MANIFEST} and {SPACE}); name one under runs/"
            )
        folder.read_json(MANIFEST)
        return folder
