"""Batches of a part that are done, kept in `RUN/lens/unfinished/` until the whole part is.

A part over a large sweep takes minutes; what is stopped goes on behind its last whole batch when the same
command is given again. A batch is known by all that its rows depend on, so another setting finds nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING, Any

from beliefmod.errors import UserError

if TYPE_CHECKING:
    import polars as pl

    from beliefmod.run.folder import RunFolder

FOLDER = "unfinished"
Frames = dict[str, "pl.DataFrame"]


@dataclass(frozen=True)
class Unfinished:
    """The kept batches of one part.

    Attributes:
        place: the folder of the lens's tables in the run.
        depends: what all batches depend on beside their trials, as JSON can hold it.
    """

    folder: RunFolder
    place: str
    part: str
    tables: tuple[str, ...]
    depends: Mapping[str, Any]

    def read(self, trials: Sequence[str]) -> tuple[Frames, list[str]] | None:
        """The tables and notes of a batch of trials; None where it was not kept, or is damaged."""
        from polars.exceptions import PolarsError

        name = self._name(trials)
        try:
            notes = self.folder.read_json(*self._path(f"{name}.json"))["notes"]
            frames = {t: self.folder.read_frame(*self._path(f"{name}-{t}.parquet")) for t in self.tables}
        except (UserError, FileNotFoundError, PolarsError, KeyError):
            return None
        return frames, list(notes)

    def write(self, trials: Sequence[str], frames: Frames, notes: Sequence[str]) -> None:
        """Keep a batch; its notes are written last and make it whole.

        Raises:
            StorageTrouble: the folder cannot be written.
        """
        name = self._name(trials)
        for table in self.tables:
            buffer = BytesIO()
            frames[table].write_parquet(buffer)
            self.folder.write_bytes(buffer.getvalue(), *self._path(f"{name}-{table}.parquet"))
        self.folder.write_json({"notes": list(notes)}, *self._path(f"{name}.json"))

    def clear(self) -> None:
        """The part is complete, or what is kept of it is of no use."""
        self.folder.delete(self.place, FOLDER, self.part)
        if not self.folder.sizes(self.place, FOLDER):
            self.folder.delete(self.place, FOLDER)

    def _name(self, trials: Sequence[str]) -> str:
        known = json.dumps([self.depends, list(trials)], sort_keys=True, default=list)
        return sha256(known.encode()).hexdigest()[:20]

    def _path(self, file: str) -> tuple[str, str, str, str]:
        return (self.place, FOLDER, self.part, file)
