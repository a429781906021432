"""A trial's log while it grows: what is new at every look, until nothing more is to come. No Ray here."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from beliefmod.monitor.heartbeat import read_heartbeats
from beliefmod.monitor.status import State, run_state
from beliefmod.run.folder import MANIFEST, RunFolder
from beliefmod.worker.trial_log import ENDS

OVER: tuple[State, ...] = ("finished", "interrupted", "no sign of life")
"""States of a run in which nobody writes logs."""


def follow(
    read: Callable[[], list[dict[str, Any]]], over: Callable[[], bool], pause: Callable[[], None]
) -> Iterator[dict[str, Any]]:
    """A trial's events, each once: those that are there, then those that come, until its end or the run's.

    Args:
        read: all events so far, oldest first.
        over: whether nobody writes any more.
        pause: waits until the next look.
    """
    seen: set[str] = set()
    while True:
        gone = over()  # before reading: what was written until then is still shown
        events = read()
        for event in events:
            mark = json.dumps(event, sort_keys=True)
            if mark not in seen:
                seen.add(mark)
                yield event
        if gone or has_ended(events):
            return
        pause()


def has_ended(events: list[dict[str, Any]]) -> bool:
    """Whether the last event of a trial is its last, unless it is run again."""
    return bool(events) and events[-1].get("event") in ENDS


def state_of(folder: RunFolder) -> State:
    """How the run stands, from its manifest and what its hosts wrote last.

    Raises:
        UserError: the run is gone.
    """
    folder.fs.invalidate_cache()  # file systems of buckets remember listings
    return run_state(folder.read_json(MANIFEST), read_heartbeats(folder), time.time())
