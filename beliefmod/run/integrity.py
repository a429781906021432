"""What an earlier attempt left in a run folder: half-written files go, damaged trials run again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from beliefmod.run.folder import ADAPTERS, FILES, MANIFEST, RunFolder
from beliefmod.run.row_index import chunks, read_rows, row_entries
from beliefmod.run.storage import TEMPORARY

CHECKPOINTS, ANSWERS = "checkpoints", "answers"
"""What is kept of trials under way."""
ADAPTERS_DELETED = "adapters_deleted"
"""Field of the manifest: when adapters were deleted to save space. No trial runs again for want of one."""
ENDED = ("finished", "stopped")
"""Status of a row that resume leaves as it is. A failed trial runs again."""


def clean(folder: RunFolder) -> None:
    """Remove half-written files and folders. Only for who holds the run's lock."""
    for name, entry in folder.entries().items():
        if name.endswith(TEMPORARY):
            folder.delete(name)
        elif entry.is_folder:
            for half in (inner for inner in folder.entries(name) if inner.endswith(TEMPORARY)):
                folder.delete(name, half)


def sound_rows(folder: RunFolder) -> tuple[list[str], list[str]]:
    """The names of trials that have ended and whose files are whole, and of trials with damage.

    The rows of the latter are removed, so that nobody takes their tables for results: they run again.
    """
    sound: list[str] = []
    damaged: list[str] = []
    sizes = _Sizes(folder)
    for chunk in chunks(list(row_entries(folder))):
        rows = dict(read_rows(folder, chunk))
        ended = {name: row for name, row in rows.items() if row is not None and row.get("status") in ENDED}
        whole = _whole(folder, ended, sizes)
        sound += [name for name in ended if name in whole]
        bad = [name for name, row in rows.items() if row is None or (name in ended and name not in whole)]
        for name in bad:
            folder.delete("rows", f"{name}.json")
        damaged += bad
    return sound, damaged


def drop_kept(folder: RunFolder, everything: bool) -> None:
    """Remove checkpoints and answers of trials that have a row, or all of them."""
    ended = folder.states()
    for kind in (CHECKPOINTS, ANSWERS):
        kept = list(folder.entries(kind))
        gone = [name for name in kept if name.partition(".")[0] in ended]
        for name in gone:
            folder.delete(kind, name)
        if everything or len(gone) == len(kept):
            folder.delete(kind)


def adapters_deleted(folder: RunFolder) -> bool:
    """Whether the manifest says that the adapters were deleted to save space."""
    return folder.exists(MANIFEST) and bool(folder.read_json(MANIFEST).get(ADAPTERS_DELETED))


class _Sizes:
    """Sizes of a run's files: of a bucket's, a listing for every thousand instead of a request for each."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._listed: dict[str, Mapping[str, int]] = {}
        folder.fs.invalidate_cache()

    def of(self, path: str) -> int | None:
        """Bytes of a file, by its path in the run; None if it is not there."""
        if self._folder.local:
            try:
                return os.path.getsize(self._folder.path(path))
            except OSError:
                return None
        top = path.partition("/")[0]
        if top not in self._listed:
            self._listed[top] = self._folder.sizes(top)
        return self._listed[top].get(path)


def _whole(folder: RunFolder, rows: Mapping[str, Mapping[str, Any]], sizes: _Sizes) -> set[str]:
    """The trials whose files are as they were written; adapters are compared by size, tables by content.
    Adapters that were deleted on purpose (`adapters_deleted` in the manifest) are not missed.

    Rows of versions before `_files` was written are taken on trust where their probes can be read.
    """
    whole: set[str] = set()
    tables: dict[str, tuple[str, str]] = {}  # path -> its trial, its SHA-256
    deleted = adapters_deleted(folder)
    for trial_id, row in rows.items():
        files = row.get(FILES)
        if files is None:
            if row["status"] != "finished" or folder.finished_rows("probes", trial_id) is not None:
                whole.add(trial_id)
            continue
        try:
            of_adapter = {path for path in files if path.startswith(f"{ADAPTERS}/")}
            missed = files.keys() - of_adapter if deleted else files.keys()
            if all(files[path]["bytes"] == sizes.of(path) for path in missed):
                whole.add(trial_id)
                hashes = ((path, files[path].get("sha256")) for path in files.keys() - of_adapter)
                tables.update((path, (trial_id, wanted)) for path, wanted in hashes if wanted is not None)
        except (TypeError, KeyError, AttributeError):
            continue
    for part in chunks(list(tables)):
        contents = folder.read_many(part)
        for path in part:
            trial_id, wanted = tables[path]
            if path not in contents or sha256(contents[path]).hexdigest() != wanted:
                whole.discard(trial_id)
    return whole
