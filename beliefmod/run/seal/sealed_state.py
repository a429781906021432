"""What a chain says of a run's files and trials as it stands now. Pure: entries in, answers out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from beliefmod.run.folder import MANIFEST, TRIALS_FILE
from beliefmod.run.integrity import ENDED
from beliefmod.run.seal.hash_chain import Entry

TRIAL, SESSION, AGAIN, SUGGESTION, RESCORE, REPORT, BY_HAND = (
    "trial",
    "session",
    "again",
    "suggestion",
    "rescore",
    "report",
    "by hand",
)
"""Kinds of entries that a reader of the chain asks for by name."""
WRITTEN_ALONG = (MANIFEST, TRIALS_FILE)
LOGS = "logs"
"""With the two files, the folder that a sweep under way goes on to write: sealed only when it has ended."""


@dataclass(frozen=True)
class SealedFile:
    """A file as the chain has it. `n`, `kind`: of the entry; `trial`: whose it is, None for no trial's."""

    sha256: str
    n: int
    kind: str
    trial: str | None = None


@dataclass
class SealedState:
    """The chain summed up.

    Attributes:
        files: path -> the latest entry's hash of it.
        trials: trial -> its entries, in order. `raw` in the last says what the model gave.
        chosen: trials that a search chose, in order.
        added: trials that somebody added by hand, in order. stopped: those that somebody stopped.
        again: trial -> why it was run again although it had ended.
        confirmation: the hash that the chain of the confirmation had when it was last worked on, and which
            command that was; None where none was begun.
        limit: of D, that report.md was last written with.
    """

    files: dict[str, SealedFile] = field(default_factory=dict)
    trials: dict[str, list[Entry]] = field(default_factory=dict)
    chosen: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    again: dict[str, str] = field(default_factory=dict)
    confirmation: tuple[str, str] | None = None
    limit: float | None = None

    def ended(self) -> set[str]:
        """Trials whose end is sealed and that a resumed sweep leaves as they are."""
        return {name for name, entries in self.trials.items() if entries and entries[-1]["status"] in ENDED}

    def repeated(self) -> dict[str, str]:
        """Trials that ran again after they had finished, with the reason that the chain gives."""
        found = dict(self.again)
        for trial_id, entries in self.trials.items():
            if sum(entry["status"] == "finished" for entry in entries) > 1:
                found.setdefault(trial_id, "no reason was written down")
        return found


def state_of(entries: Iterable[Entry]) -> SealedState:
    """Sum up a chain's entries."""
    state = SealedState()
    for entry in entries:
        kind: str = str(entry.get("kind"))
        trial = entry.get("trial_id") if kind == TRIAL and isinstance(entry.get("status"), str) else None
        for path, sha256 in _mapping(entry, "files").items():
            state.files[path] = SealedFile(sha256, entry["n"], kind, trial or _owner(state, path))
        if kind == TRIAL and trial:
            state.trials.setdefault(trial, []).append(entry)
        elif kind == SESSION:
            for path in [path for path in state.files if _written_along(path)]:
                del state.files[path]
        elif kind == AGAIN:
            for name in entry.get("trials") or ():
                state.again[name] = str(entry.get("why"))
                gone = [path for path, file in state.files.items() if file.trial == name]
                for path in gone:
                    del state.files[path]
                if name in state.trials:
                    state.trials[name].append({**state.trials[name][-1], "status": "again"})
        elif kind == SUGGESTION:
            state.chosen += entry.get("trials") or ()
        elif kind == BY_HAND:
            (state.added if entry.get("done") == "added" else state.stopped).extend(entry.get("trials") or ())
        elif kind == REPORT:
            state.limit = entry.get("limit")
        if "confirmation" in entry:
            state.confirmation = (str(entry["confirmation"]), kind)
    return state


def _written_along(path: str) -> bool:
    return path in WRITTEN_ALONG or path.startswith(f"{LOGS}/")


def _mapping(entry: Entry, name: str) -> dict[str, Any]:
    found = entry.get(name)
    return found if isinstance(found, dict) else {}


def _owner(state: SealedState, path: str) -> str | None:
    known = state.files.get(path)
    return known.trial if known else None
