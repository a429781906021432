"""Reads the status of a run from its folder, local or any fsspec URL: no Ray, also after the end."""

from __future__ import annotations

import json
import time
from typing import Any

import yaml
from pydantic import ValidationError

from beliefmod.errors import UserError
from beliefmod.fleet.board import read_boards
from beliefmod.fleet.status import Status, status
from beliefmod.fleet.suggestions import known_trials, unchosen
from beliefmod.run_folder import FILES, MANIFEST, SPACE, RunFolder
from beliefmod.space import Space, SpaceFile

STAMPS = ("size", "mtime", "LastModified", "last_modified", "created", "ETag", "updated")
"""What file systems say of a file that changes when it is written again."""


class Watcher:
    """Reads the status of one run again and again; a row is fetched once as long as it does not change.

    Raises:
        UserError: the run's space cannot be read.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._space = stored_space(folder)
        self._seen: dict[str, tuple[Any, ...]] = {}
        self._rows: dict[str, dict[str, Any]] = {}

    def look(self, now: float | None = None) -> Status:
        """The status now.

        Raises:
            UserError: the run is gone.
        """
        self.folder.fs.invalidate_cache()  # file systems of buckets remember listings
        self._read_rows()
        trials = known_trials(self._space, self.folder)
        return status(
            self.folder.name,
            trials,
            unchosen(self._space, self.folder),
            self.folder.read_json(MANIFEST),
            list(self._rows.values()),
            read_boards(self.folder),
            time.time() if now is None else now,
            self._space.spec.search.shares_steps,
        )

    def _read_rows(self) -> None:
        stamps: dict[str, tuple[Any, ...]] = {}
        if self.folder.exists("rows"):
            for info in self.folder.fs.ls(self.folder.path("rows"), detail=True):
                if str(info["name"]).endswith(".json"):
                    stamps[str(info["name"])] = tuple(str(info.get(name)) for name in STAMPS)
        changed = [path for path, stamp in stamps.items() if self._seen.get(path) != stamp]
        contents: Any = self.folder.fs.cat(changed, on_error="omit") if changed else {}
        for path in self._rows.keys() - stamps.keys():
            del self._rows[path]
        for path, content in contents.items():
            row = _row(content)
            if row is not None:
                self._rows[path], self._seen[path] = row, stamps[path]


def stored_space(folder: RunFolder) -> Space:
    """The space of a run as stored, unchecked: belief files need not be on this machine."""
    source = f"{folder.url}/{SPACE}"
    try:
        return Space(SpaceFile.model_validate(yaml.safe_load(folder.read_bytes(SPACE))), source)
    except (ValidationError, yaml.YAMLError) as error:
        raise UserError(
            f"{source}: cannot be read ({str(error).splitlines()[0]}); was the run made by another version "
            "of beliefmod?"
        ) from None


def _row(content: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(content)
    except ValueError:
        return None
    if not isinstance(row, dict) or not {"trial_id", "status"} <= set(row):
        return None
    return {name: value for name, value in row.items() if name != FILES}
