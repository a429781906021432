"""Acts on what people ask of a running sweep: trials that they stop, and trials that they add."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from ray import tune

from beliefmod.config import TrialConfig
from beliefmod.errors import StorageTrouble, UserError
from beliefmod.fleet.tune_memory import NotPickled
from beliefmod.run.by_hand import REQUESTS, Deed, answered, asked, record
from beliefmod.run.folder import RunFolder
from beliefmod.run.integrity import ENDED

SECONDS = 3.0


class TakesTrials(Protocol):
    """A searcher that can be given a trial on the way."""

    def add(self, config: TrialConfig) -> bool:
        """Put a trial before those that wait; False where it has given its last one already."""
        ...


def take_requests(
    folder: RunFolder, say: Callable[[str], None], known: Callable[[], dict[str, TrialConfig]]
) -> list[Deed]:
    """Write down and seal what was asked for since the last look, each once; what can still be done of it.

    Args:
        say: shows a line.
        known: the trials of the run by their ids, those that were added included.

    Raises:
        StorageTrouble: the folder cannot be written.
    """
    done: list[Deed] = []
    for name, deed in asked(folder).items():
        if deed is None:
            say(
                f"not done: {REQUESTS}/{name} cannot be read; it is damaged, or of another version of "
                "beliefmod than this sweep"
            )
        elif refusal := _refusal(deed, folder, known()):
            say(f"not done, though it was asked for: {refusal}")
        else:
            record(folder, deed)
            say(f"{known()[deed.trial_id].label} (trial {deed.trial_id}): {deed.words}")
            done.append(deed)
        answered(folder, name)
    return done


def _refusal(deed: Deed, folder: RunFolder, known: dict[str, TrialConfig]) -> str | None:
    """Why a deed changes nothing any more."""
    if deed.kind == "added":
        if deed.trial_id in known:
            return f"trial {deed.trial_id} is there already"
        asked_about = {config.belief for config in known.values()}
        ours = deed.trial is not None and deed.trial.is_trained and deed.trial.belief in asked_about
        return None if ours else f"trial {deed.trial_id} is not one of this run's beliefs, or is not trained"
    if deed.trial_id not in known:
        return f"there is no trial {deed.trial_id} to stop"
    with suppress(UserError):  # it has no row yet
        status = folder.read_json("rows", f"{deed.trial_id}.json").get("status")
        return f"trial {deed.trial_id} had {status} by then" if status in ENDED else None
    return None


class HandRequests(NotPickled, tune.Callback):
    """Looks every few seconds for what people ask for.

    Args:
        stop: has whichever host has a trial end it.
        searcher: gets the trials that are added; those that it does not take run after all others.
        added: told of every trial that is added.
    """

    def __init__(
        self,
        folder: RunFolder,
        say: Callable[[str], None],
        known: Callable[[], dict[str, TrialConfig]],
        stop: Callable[[str], None],
        searcher: TakesTrials,
        added: Callable[[TrialConfig], None],
    ) -> None:
        self._folder, self._say, self._known = folder, say, known
        self._stop, self._searcher, self._added = stop, searcher, added
        self._looked_at = 0.0

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Called by Tune several times a second."""
        now = time.monotonic()
        if now - self._looked_at < SECONDS:
            return
        self._looked_at = now
        with suppress(OSError, StorageTrouble):  # the sweep itself notices what lasts
            for deed in take_requests(self._folder, self._say, self._known):
                if deed.kind == "stopped":
                    self._stop(deed.trial_id)
                elif deed.trial is not None:
                    self._added(deed.trial)
                    self._searcher.add(deed.trial)
