"""What people do to a run by hand: trials stopped, and trials added as clones of others.

Anybody who sees the run folder may ask, with a file in `requests/`. The driver of the sweep is the only one
that acts on it: it writes `by_hand/stopped-TRIAL.json` or `by_hand/added-TRIAL.json`, puts that into the
run's chain and deletes the request. So what was not planned is on record as such.
"""

from __future__ import annotations

import getpass
import json
import socket
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import ValidationError

from beliefmod.config import TrialConfig
from beliefmod.errors import UserError
from beliefmod.run.folder import RunFolder
from beliefmod.run.seal.ledger import seal_files
from beliefmod.run.seal.sealed_state import BY_HAND

FOLDER, REQUESTS = "by_hand", "requests"
Kind = Literal["stopped", "added"]
ADDED, STOPPED = "added by hand", "stopped by hand"
"""How a row's `by_hand` begins, or goes on."""


@dataclass(frozen=True)
class Deed:
    """One thing that was asked for, and done, by hand.

    Attributes:
        trial_id: of the trial that is stopped, or of the one that is added.
        by: who asked, as user@machine. at: when, in UTC.
        source: of an added trial, the one that it is a clone of.
        changes: of an added trial, what was set, as `field=value`.
        config: of an added trial, all its settings.
    """

    kind: Kind
    trial_id: str
    by: str = ""
    at: str = ""
    source: str | None = None
    changes: tuple[str, ...] = ()
    config: Mapping[str, Any] | None = None

    @property
    def words(self) -> str:
        """For a person, as the trial table has it."""
        who = f"({self.by}, {self.at})"
        if self.kind == "stopped":
            return f"{STOPPED} {who}"
        return f"{ADDED} {who}: trial {self.source} with {', '.join(self.changes)}"

    @property
    def trial(self) -> TrialConfig | None:
        """The added trial, None of a stopped one. Raises pydantic.ValidationError for no settings."""
        return TrialConfig.model_validate(self.config) if self.config is not None else None


def signed(deed: Deed) -> Deed:
    """The deed with who asks for it, now."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        user = "somebody"
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return replace(deed, by=f"{user}@{socket.gethostname()}", at=at)


def ask(folder: RunFolder, deed: Deed) -> str:
    """Ask the driver of the run for it; the request's name in the folder.

    Raises:
        StorageTrouble: the folder cannot be written.
    """
    name = f"{deed.at}-{deed.kind}-{deed.trial_id}-{uuid.uuid4().hex[:6]}.json".replace(":", "")
    folder.write_json(asdict(deed), REQUESTS, name)
    return name


def asked(folder: RunFolder) -> dict[str, Deed | None]:
    """What is asked for and not done yet, by the request's name, oldest first; None for one that is no
    request."""
    names = [name for name in folder.entries(REQUESTS) if name.endswith(".json")]
    contents = folder.read_many([f"{REQUESTS}/{name}" for name in names])
    return {path.rpartition("/")[2]: _read(content) for path, content in contents.items()}


def answered(folder: RunFolder, name: str) -> None:
    """The request has been seen to."""
    folder.delete(REQUESTS, name)


def is_waiting(folder: RunFolder, name: str) -> bool:
    """Whether a request has not been seen to."""
    return name in folder.entries(REQUESTS)


def is_done(folder: RunFolder, deed: Deed) -> bool:
    """Whether it is on record that it was done."""
    return folder.exists(FOLDER, _name(deed.kind, deed.trial_id))


def record(folder: RunFolder, deed: Deed) -> None:
    """Write down and seal what is done now.

    Raises:
        StorageTrouble: the folder cannot be written.
    """
    path = f"{FOLDER}/{_name(deed.kind, deed.trial_id)}"
    folder.write_json(asdict(deed), path)
    seal_files(folder, BY_HAND, [path], trials=[deed.trial_id], done=deed.kind)


def added_trials(folder: RunFolder) -> list[TrialConfig]:
    """Trials that were added, in the order in which they were asked for."""
    deeds = sorted(
        (deed for deed in deeds_of(folder) if deed.kind == "added"), key=lambda each: (each.at, each.trial_id)
    )
    return [deed.trial for deed in deeds if deed.trial is not None]


def deeds_of(folder: RunFolder) -> list[Deed]:
    """All that was done; a file that cannot be read counts as absent."""
    names = [f"{FOLDER}/{name}" for name in folder.entries(FOLDER) if name.endswith(".json")]
    found = map(_read, folder.read_many(names).values())
    return [deed for deed in found if deed is not None]


def is_stopped(folder: RunFolder, trial_id: str) -> bool:
    """Whether somebody has stopped a trial by hand."""
    return is_done(folder, Deed("stopped", trial_id))


def words_of(folder: RunFolder, trial_id: str) -> str | None:
    """What was done to a trial by hand, for its row; None for one that nobody touched."""
    names = [f"{FOLDER}/{_name(kind, trial_id)}" for kind in ("added", "stopped")]
    deeds = map(_read, folder.read_many(names).values())
    return "; ".join(deed.words for deed in deeds if deed is not None) or None


def _name(kind: str, trial_id: str) -> str:
    return f"{kind}-{trial_id}.json"


def _read(content: bytes) -> Deed | None:
    with suppress(ValueError, TypeError, KeyError, UserError):
        found = json.loads(content)
        deed = Deed(**{**found, "changes": tuple(found.get("changes") or ())})
        if deed.kind in ("stopped", "added") and deed.trial_id.isalnum():
            with suppress(ValidationError):
                if deed.kind == "stopped" or (deed.trial and deed.trial.trial_id == deed.trial_id):
                    return deed
    return None
