"""Reading the rows of a run, of which there may be 100,000: each file once as long as it does not change."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

from beliefmod.run.storage import Entry, RunStorage

ROWS, ENDING = "rows", ".json"
CHUNK = 500
"""So many files are read at a time: enough to keep a bucket busy, and little memory."""

Item = TypeVar("Item")
Kept = TypeVar("Kept")


class RowState(NamedTuple):
    """What a sweep asks of a row again and again. stamp: changes when the row is written again."""

    status: str
    stamp: tuple[Any, ...]

    @classmethod
    def of(cls, row: Mapping[str, Any], entry: Entry) -> RowState:
        """The state of a row as its file has it."""
        return cls(sys.intern(str(row.get("status"))), (entry.size, *entry.stamp))


class RowIndex(Generic[Kept]):
    """Looks at the rows again and again. A file that has changed is read again, one that is gone forgotten.

    Args:
        keep: what is kept of a row, given what the listing says of its file.
    """

    def __init__(self, folder: RunStorage, keep: Callable[[dict[str, Any], Entry], Kept]) -> None:
        self._folder, self._keep = folder, keep
        self._seen: dict[str, Entry] = {}
        self._kept: dict[str, Kept] = {}

    def look(self) -> dict[str, Kept]:
        """By trial, in a stable order. A damaged row counts as absent."""
        listed = row_entries(self._folder)
        for trial_id in self._seen.keys() - listed.keys():
            self._seen.pop(trial_id)
            self._kept.pop(trial_id, None)
        changed = [trial_id for trial_id, entry in listed.items() if self._seen.get(trial_id) != entry]
        for trial_id, row in read_rows(self._folder, changed):
            self._seen[trial_id] = listed[trial_id]
            self._kept.pop(trial_id, None)
            if row is not None:
                self._kept[trial_id] = self._keep(row, listed[trial_id])
        return {trial_id: self._kept[trial_id] for trial_id in listed if trial_id in self._kept}


def row_entries(folder: RunStorage) -> dict[str, Entry]:
    """Every trial with a row's file, in a stable order."""
    found = folder.entries(ROWS)
    return {name.removesuffix(ENDING): entry for name, entry in found.items() if name.endswith(ENDING)}


def read_rows(folder: RunStorage, trial_ids: Sequence[str]) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """What trials' row files hold, None where one is damaged. A trial whose file is gone is left out."""
    for chunk in chunks(trial_ids):
        contents = folder.read_many([f"{ROWS}/{trial_id}{ENDING}" for trial_id in chunk])
        for trial_id in chunk:
            if (content := contents.get(f"{ROWS}/{trial_id}{ENDING}")) is not None:
                yield trial_id, _row(content, trial_id)


def chunks(items: Sequence[Item]) -> Iterator[list[Item]]:
    """The items in their order, `CHUNK` at a time."""
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _row(content: bytes, trial_id: str) -> dict[str, Any] | None:
    try:
        row = json.loads(content)
    except ValueError:  # cut short by a crash of an older writer: the trial runs again
        return None
    if not isinstance(row, dict) or row.get("trial_id") != trial_id:
        return None
    # names of columns once for all rows: they are half of what a row takes in memory
    return {sys.intern(name): value for name, value in row.items()}
