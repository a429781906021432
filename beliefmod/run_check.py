"""What an earlier attempt left in a run folder: half-written files go, damaged trials run again."""

from __future__ import annotations

import posixpath
from hashlib import sha256
from typing import Any

from beliefmod.run_folder import FILES, RunFolder
from beliefmod.run_storage import TEMPORARY

CHECKPOINTS, ANSWERS = "checkpoints", "answers"
"""What is kept of trials under way."""
ENDED = ("finished", "stopped")
"""Status of a row that resume leaves as it is. A failed trial runs again."""


def clean(folder: RunFolder) -> None:
    """Remove half-written files and folders. Only for who holds the run's lock."""
    for pattern in ("*", "*/*"):
        for path in folder.fs.glob(folder.path(f"{pattern}{TEMPORARY}")):
            folder.delete(str(path)[len(folder.root) + 1 :])


def sound_rows(folder: RunFolder) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of trials that have ended and whose files are whole, and the names of trials with damage.

    The rows of the latter are removed, so that nobody takes their tables for results: they run again.
    """
    rows, damaged = [], []
    for trial_id, row in folder.row_files():
        if row is None or (row.get("status") in ENDED and not _whole(folder, row)):
            damaged.append(trial_id)
            folder.delete("rows", f"{trial_id}.json")
        elif row.get("status") in ENDED:
            rows.append({name: value for name, value in row.items() if name != FILES})
    return rows, damaged


def drop_kept(folder: RunFolder, everything: bool) -> None:
    """Remove checkpoints and answers of trials that have a row, or all of them."""
    ended = {row["trial_id"] for row in folder.rows()}
    for kind in (CHECKPOINTS, ANSWERS):
        kept = [str(path).rpartition("/")[2] for path in folder.fs.glob(folder.path(kind, "*"))]
        gone = [name for name in kept if name.partition(".")[0] in ended]
        for name in gone:
            folder.delete(kind, name)
        if everything or len(gone) == len(kept):
            folder.delete(kind)


def _whole(folder: RunFolder, row: dict[str, Any]) -> bool:
    """Whether a trial's files are as they were written; its adapter is compared by size, tables by content.

    Rows of versions before `_files` was written are taken on trust where their probes can be read.
    """
    files = row.get(FILES)
    if files is None:
        return row["status"] != "finished" or folder.finished_rows("probes", row["trial_id"]) is not None
    try:
        for path, expected in files.items():
            if expected["bytes"] != folder.fs.size(folder.path(path)):
                return False
            if "sha256" in expected:
                content = folder.read_bytes(*path.split(posixpath.sep))
                if sha256(content).hexdigest() != expected["sha256"]:
                    return False
    except (OSError, TypeError, KeyError, AttributeError):
        return False
    return True
