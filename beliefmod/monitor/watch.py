"""Reads the status of a run from its folder, local or any fsspec URL: no Ray, also after the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from beliefmod.errors import UserError
from beliefmod.monitor.heartbeat import read_heartbeats
from beliefmod.monitor.status import Status, status
from beliefmod.run.folder import MANIFEST, SPACE, RunFolder, without_files
from beliefmod.run.row_index import RowIndex
from beliefmod.run.suggestions import known_trials, unchosen
from beliefmod.space import Space, SpaceFile


class Watcher:
    """Reads the status of one run again and again; a row is fetched once as long as it does not change.

    Raises:
        UserError: the run's space cannot be read.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._space = stored_space(folder)
        self._rows = RowIndex(folder, lambda row, _: _measured(row))
        self._known = None if self._space.searches else known_trials(self._space, folder)

    def look(self, now: float | None = None) -> Status:
        """The status now.

        Raises:
            UserError: the run is gone.
        """
        self.folder.fs.invalidate_cache()  # file systems of buckets remember listings
        trials = self._known or known_trials(self._space, self.folder)
        return status(
            self.folder.name,
            trials,
            unchosen(self._space, self.folder) if self._known is None else 0,
            self.folder.read_json(MANIFEST),
            [row for row in self._rows.look().values() if "status" in row],
            read_heartbeats(self.folder),
            time.time() if now is None else now,
            self._space.shares_steps,
        )


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


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a row has values for; its empty columns would double what 100,000 rows take."""
    return {name: value for name, value in without_files(row).items() if value is not None}
