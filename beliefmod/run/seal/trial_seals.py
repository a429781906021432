"""Seals trials as they end, from one process: hosts write rows, the driver of the sweep chains them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from beliefmod.errors import StorageTrouble
from beliefmod.run.folder import FILES, RunFolder
from beliefmod.run.row_index import ENDING, ROWS, chunks, row_entries
from beliefmod.run.seal.ledger import append, chain_of, is_sealed
from beliefmod.run.seal.sealed_state import AGAIN, TRIAL, state_of

BUCKET_SECONDS = 30.0
"""Between two writes of the chain to a store that cannot append and gets all of it each time."""


class TrialSeals:
    """The trials of a run, put into its chain as they end; does nothing for a run that is not sealed.

    Attributes:
        active: whether the run is sealed.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self.active = is_sealed(folder)
        self._ended = state_of(chain_of(folder).entries).ended() if self.active else set[str]()
        self._waiting: dict[str, None] = {}
        self._written = 0.0

    def lost(self, damaged: Iterable[str]) -> None:
        """Say in the chain which sealed trials have to run again: files damaged, or gone.

        Raises:
            StorageTrouble: the folder cannot be written.
        """
        if not self.active:
            return
        bad = sorted(self._ended & set(damaged))
        gone = sorted(self._ended - set(bad) - set(row_entries(self._folder)))
        facts = [
            {"kind": AGAIN, "trials": names, "why": why}
            for names, why in ((bad, "its files were damaged"), (gone, "its row was gone"))
            if names
        ]
        if facts:
            append(self._folder, facts)
            self._ended -= {*bad, *gone}

    def add(self, trial_id: str) -> None:
        """A trial has ended. What cannot be written now is tried with the next one, or by `catch_up`."""
        if not self.active or trial_id in self._ended:
            return
        self._waiting[trial_id] = None
        if self._folder.local or time.monotonic() - self._written >= BUCKET_SECONDS:
            try:
                self._write()
            except StorageTrouble:  # the sweep itself notices what lasts
                return

    def catch_up(self) -> None:
        """Seal every trial with a row that is not in the chain yet: ended as a crash came, or not told of.

        Raises:
            StorageTrouble: the folder cannot be written.
        """
        if self.active:
            there = row_entries(self._folder)
            self._waiting |= dict.fromkeys(name for name in there if name not in self._ended)
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        for part in chunks(list(self._waiting)):
            contents = self._folder.read_many([f"{ROWS}/{name}{ENDING}" for name in part])
            facts = [entry for content in contents.values() if (entry := trial_facts(content))]
            if facts:
                append(self._folder, facts)
            self._ended |= {entry["trial_id"] for entry in facts}
            for name in part:  # one without a row has not ended, only its process
                self._waiting.pop(name, None)


def trial_facts(content: bytes) -> dict[str, Any] | None:
    """A trial's entry, from its row's file: its end, hashes of its files, digests of what the model gave.

    None where the row is damaged.
    """
    try:
        row: Any = json.loads(content)
        trial_id = row["trial_id"]
        files: Mapping[str, Mapping[str, Any]] = row.get(FILES) or {}
        hashed = {path: one["sha256"] for path, one in files.items() if "sha256" in one}
        raw = {path.partition("/")[0]: one["raw"] for path, one in files.items() if "raw" in one}
        own = {f"{ROWS}/{trial_id}{ENDING}": sha256(content).hexdigest()}
        return {
            "kind": TRIAL,
            "trial_id": trial_id,
            "status": row["status"],
            "files": {**own, **hashed},
            "raw": raw,
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
