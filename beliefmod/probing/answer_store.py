"""Files of raw answers, found again by the digest of their request.

Two folders have one format, `OWNER/DIGEST.json.gz`. `.cache` beside the runs keeps what the untouched base
says, for every run of a model. `answers` in a run keeps what trials under way have said while their
questioning lasts long, so that a restart goes on where it was cut short; it goes when the trial has its row.

Only raw answers are kept, never verdicts, so that later rules read old answers anew. Files may be deleted at
any time; a damaged one is asked for again.
"""

from __future__ import annotations

import gzip
import json
import posixpath
import sys
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from beliefmod.errors import StorageTrouble
from beliefmod.probing.answer_identity import digest
from beliefmod.run.integrity import ANSWERS
from beliefmod.run.storage import MANIFEST, RunStorage

CACHE = ".cache"
ENDING = ".json.gz"
_UNREADABLE = (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError)


class AnswerStore:
    """Answers as plain JSON by key, in files that are added and never changed.

    Args:
        optional: go on without the folder where it cannot be written, after one line on standard error.
    """

    def __init__(self, storage: RunStorage, folder: str = "", optional: bool = False) -> None:
        self.storage, self.folder, self.optional = storage, folder, optional
        self._writable = True
        self._owners = {name for name, entry in storage.entries(folder).items() if entry.is_folder}
        self._keys: dict[tuple[str, str], frozenset[str]] = {}

    def find(self, owner: str, keys: Iterable[str]) -> dict[str, Any]:
        """Those of the answers that are kept. Files of many questionings are not held in memory."""
        wanted, found = set(keys), {}
        names = self.storage.entries(self.folder, owner) if owner in self._owners else ()
        for name in names:
            seen = self._keys.get((owner, name))
            if name.endswith(ENDING) and (seen is None or not wanted.isdisjoint(seen)):
                answers = self._read(owner, name)
                self._keys[owner, name] = frozenset(answers)
                found |= {key: answers[key] for key in wanted & answers.keys()}
        return found

    def _read(self, owner: str, name: str) -> dict[str, Any]:
        """A file's answers; none of one that is cut short or damaged, which its checksum shows."""
        try:
            data = self.storage.read_bytes(self.folder, owner, name)
            return dict(json.loads(gzip.decompress(data)).items())
        except _UNREADABLE:
            return {}

    def keep(self, owner: str, answers: Mapping[str, Any]) -> None:
        """Write answers into a file of their own.

        Raises:
            StorageTrouble: the folder cannot be written, and it is not optional.
        """
        if not answers or not self._writable:
            return
        name = f"{digest(sorted(answers))[:32]}{ENDING}"
        try:
            if self.optional:
                self.storage.fs.makedirs(self.storage.root, exist_ok=True)
            data = gzip.compress(json.dumps(answers).encode(), mtime=0)
            self.storage.write_bytes(data, self.folder, owner, name)
        except (OSError, StorageTrouble) as error:
            if not self.optional:
                raise
            self._writable = False  # trying again would cost seconds each time
            print(f"answers of the base are not kept for later runs: {error}", file=sys.stderr)
        self._owners.add(owner)
        self._keys[owner, name] = frozenset(answers)

    def forget(self, owner: str) -> None:
        """Drop an owner's answers."""
        if owner in self._owners:
            self._owners.discard(owner)
            self.storage.delete(self.folder, owner)


def under_way(run: RunStorage) -> AnswerStore:
    """The answers of a run's trials that have no row yet, `answers/TRIAL/`."""
    return AnswerStore(run, ANSWERS)


def cache_beside(run_url: str) -> AnswerStore:
    """The cache that the runs in one folder share: `.cache` next to them, also for a run inside a run."""
    place = posixpath.dirname(run_url.rstrip("/"))
    while place and RunStorage(place).exists(MANIFEST):
        place = posixpath.dirname(place)
    return AnswerStore(RunStorage(posixpath.join(place, CACHE)), optional=True)
