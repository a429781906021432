"""The hosts of a run, as each of them enters itself in the run folder: `hosts/HOST-INCARNATION.json`, and
`...-refused.json` if it may not work.

The first host of a session that is ready becomes its reference. Every other one, and every one that Ray
starts again, compares itself before its first trial, and leaves if its numbers would not belong to the same
table.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from beliefmod.errors import StorageTrouble, UserError
from beliefmod.model.identity import kept_identity
from beliefmod.run.folder import RunFolder
from beliefmod.run.manifest import update_manifest
from beliefmod.run.same_model import keeps_to_a_model, refuse_other

FOLDER, REFERENCE = "hosts", "reference.json"
SECONDS = 10.0
IDENTITY = ("fingerprint", "identity", "base_storage", "dtype", "self_tests", "decoding", "versions")
"""What all hosts of a run must have in common: the model with all its parts, how it is stored and computed
with, how answers are sampled, and the software that numbers depend on. Devices may differ: rounding does
then."""
WHERE = ("host", "machine", "accelerators", "device")
SHOWN = (*WHERE, "dtype", "fingerprint", "self_tests", "slots", "parking", "refused")


def identity(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What of a host's facts must be the same on all, as it would be read from a file."""
    return json.loads(json.dumps({name: facts.get(name) for name in IDENTITY}))


def difference(first: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """In what a host differs from the reference, in words; None if their numbers belong together."""
    found = []
    for name in IDENTITY:
        ours, theirs = other.get(name), first.get(name)
        if ours == theirs:
            continue
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            parts = sorted({*ours, *theirs})
            found += [_differs(p, ours.get(p), theirs.get(p)) for p in parts if ours.get(p) != theirs.get(p)]
        else:
            found.append(_differs(f"model {name}" if name == "fingerprint" else name, ours, theirs))
    return "; ".join(found) or None


def _differs(name: str, ours: Any, theirs: Any) -> str:
    return f"{name} {_short(ours)} instead of {_short(theirs)}"


def _short(value: Any) -> str:
    return f"{value[:12]}..." if isinstance(value, str) and len(value) == 64 else str(value)


@dataclass
class Entry:
    """One host's own entry, by which it is known and judged.

    Attributes:
        started_at: when the driver began, in seconds since 1970: tells sessions of one run apart.
        facts: what the host loaded and chose; of one that could not load anything, little.
    """

    folder: RunFolder
    host: str
    started_at: float
    facts: Mapping[str, Any]
    incarnation: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    _belongs: bool = False

    def write(self, refused: str | None = None) -> None:
        """Enter the host. refused: why it takes no trials."""
        engine = self.facts.get("engine", {})
        sizes = {name: engine[name] for name in ("slots", "parking", "pass_tokens", "why") if name in engine}
        plain = {name: value for name, value in self.facts.items() if name != "engine"}
        when = {"started_at": self.started_at, "at": time.time(), "incarnation": self.incarnation}
        entry = {"host": self.host, **when, **plain, **sizes, "refused": refused}
        name = f"{self.host}-{self.incarnation}{'-refused' if refused else ''}.json"
        with suppress(OSError, StorageTrouble):  # storage that fails is reported by those who write results
            self.folder.write_json(entry, FOLDER, name)

    def misfit(self) -> str | None:
        """Why this host must not take trials; None if it may. What was found once stays."""
        if self._belongs:
            return None
        try:
            first = self.folder.read_json(FOLDER, REFERENCE)
        except UserError:  # no driver that keeps a registry
            return None
        why = difference(first, identity(self.facts))
        if why is None:
            self._belongs = True
        else:
            self.write(refused=f"it differs from {first.get('host')} ({why})")
        return why


class HostRegistry:
    """The driver's side: reads entries as they come, says what matters, and keeps them in the manifest.

    Args:
        names: of the hosts that were started.
        say, warn: show a line; the second also to whom the first is too much.
        on_all_refused: called once, with a sentence, when every host has been refused.
    """

    def __init__(
        self,
        folder: RunFolder,
        started_at: float,
        names: list[str],
        say: Callable[[str], None],
        warn: Callable[[str], None],
        on_all_refused: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._folder, self._started_at, self._names = folder, started_at, names
        self._say, self._warn, self._on_all_refused = say, warn, on_all_refused
        self._seen: dict[str, Mapping[str, Any]] = {}
        self._first: Mapping[str, Any] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="host-registry", daemon=True)

    def open(self, host: str, facts: Mapping[str, Any]) -> None:
        """Make the first host that is ready the one that all others are compared with.

        Raises:
            UserError: the run has results, or is the confirmation, of another model.
        """
        if keeps_to_a_model(self._folder):
            refuse_other(self._folder, str(facts.get("name")), kept_identity(facts))
        self._first = {"host": host, **identity(facts)}
        self._folder.write_json({**self._first, "started_at": self._started_at}, FOLDER, REFERENCE)
        self._thread.start()

    def close(self) -> None:
        """Look a last time and put all entries into the manifest."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)
        with suppress(OSError, StorageTrouble, UserError):
            self.look()
            update_manifest(self._folder, engines=entries_for_manifest(read_entries(self._folder)))

    def look(self) -> None:
        """Read what is new and say what a person should know."""
        for name in self._new():
            entry = read_entry(self._folder, name)
            if entry is None or entry["started_at"] != self._started_at:
                continue
            self._seen[name] = entry
            if entry["host"] not in self._names:
                continue  # it was left out, and that was said
            if line := problem_of(entry):
                self._warn(line)
            if line := size_difference(entry, self._first_entry()):
                self._say(line)
        newest = {entry["host"]: entry for entry in sorted(self._seen.values(), key=lambda e: e["at"])}
        if self._names and all(newest.get(name, {}).get("refused") for name in self._names):
            names = ", ".join(self._names)
            self._on_all_refused(f"every host was refused ({names}): {newest[self._names[0]]['refused']}")

    def _new(self) -> list[str]:
        names = (path.rpartition("/")[2] for path in self._folder.sizes(FOLDER))
        return [name for name in names if name != REFERENCE and name not in self._seen]

    def _first_entry(self) -> Mapping[str, Any] | None:
        host = self._first.get("host")
        return next((entry for entry in self._seen.values() if entry["host"] == host), None)

    def _watch(self) -> None:
        while not self._over.wait(SECONDS):
            with suppress(OSError, StorageTrouble, UserError):
                self.look()


def problem_of(entry: Mapping[str, Any]) -> str | None:
    """What is wrong with a host that came: it was refused, or its GPU lies idle."""
    if entry["refused"]:
        return f"{_named(entry)} was refused: {entry['refused']}"
    return f"{_named(entry)}: {entry['remark']}" if entry.get("remark") else None


def size_difference(entry: Mapping[str, Any], first: Mapping[str, Any] | None) -> str | None:
    """That a host is of another size than the first."""
    alike = first is None or all(entry.get(name) == first.get(name) for name in ("device", "slots"))
    if alike or entry["refused"]:
        return None
    return f"{_named(entry)} has {entry.get('slots')} slots on {entry.get('device')}"


def _named(entry: Mapping[str, Any]) -> str:
    return f"{entry['host']} on {entry.get('machine')}"


def read_entry(folder: RunFolder, name: str) -> dict[str, Any] | None:
    """One entry; None if it is damaged or gone."""
    try:
        entry = folder.read_json(FOLDER, name)
    except UserError:
        return None
    return entry if {"host", "started_at", "at", "refused"} <= set(entry) else None


def read_entries(folder: RunFolder) -> list[dict[str, Any]]:
    """The last entry of every incarnation of every host, of all sessions, in their order."""
    names = [path.rpartition("/")[2] for path in folder.sizes(FOLDER)]
    found = [entry for name in names if name != REFERENCE and (entry := read_entry(folder, name))]
    found.sort(key=lambda entry: entry["at"])
    return list({(entry["host"], entry.get("incarnation")): entry for entry in found}.values())


def entries_for_manifest(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the manifest says of every host: where it ran, on what, with how many slots; versions are those
    of the manifest, or the host was refused."""
    return [{name: entry[name] for name in SHOWN if entry.get(name) is not None} for entry in entries]
