"""What happened to a trial, `logs/TRIAL.jsonl`: one JSON object per event, in the order of time.

Hosts note events in memory and write the files every few seconds in another thread, so training does not wait
for storage and a host that is killed loses the last seconds of its events and nothing else. A trial that goes
on elsewhere, or another day, goes on in the same file.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from beliefmod.errors import StorageTrouble
from beliefmod.run.folder import RunFolder

FOLDER = "logs"
ENDS = ("finished", "failed", "stopped")
"""Events after which nothing more is to come, unless the trial is run again."""
GONE = (*ENDS, "left", "moved")
"""Events after which a host has nothing more to note of a trial, unless it comes back."""
STEP_SECONDS = 10.0
STEP_SHARE = 0.1
"""A step is noted at most every ten seconds, and less often the longer a trial has trained: the file of a
trial that trains for a day has a hundred lines."""


class TrialLogs:
    """The stories of one host's trials.

    Args:
        host: its name, written into every event.
    """

    def __init__(self, folder: RunFolder, host: str) -> None:
        self.folder, self.host = folder, host
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._lines: dict[str, list[str]] = {}
        self._fresh: set[str] = set()
        self._earlier: dict[str, bytes] = {}
        self._started: dict[str, float] = {}
        self._step_at: dict[str, float] = {}

    def note(self, trial_id: str, event: str, **facts: Any) -> None:
        """Take down an event; facts are plain values, those that are None are left out."""
        given = {name: value for name, value in facts.items() if value is not None}
        line = json.dumps({"at": round(time.time(), 1), "event": event, "host": self.host, **given})
        with self._guard:
            self._lines.setdefault(trial_id, []).append(line)
            self._fresh.add(trial_id)

    def note_step(self, trial_id: str, step: int, loss: float | None, now: float | None = None) -> None:
        """Take down that a step is done, if the last one noted is long enough ago.

        Args:
            now: seconds on the monotonic clock; for tests.
        """
        now = time.monotonic() if now is None else now
        started = self._started.setdefault(trial_id, now)
        if now >= self._step_at.get(trial_id, 0.0):
            self._step_at[trial_id] = now + max(STEP_SECONDS, STEP_SHARE * (now - started))
            self.note(trial_id, "step", step=step, loss=loss)

    def flush(self) -> None:
        """Write what is new. Storage that fails is the business of those who write results: it is tried again
        next time."""
        with self._writing:
            with self._guard:
                fresh = {trial_id: list(self._lines[trial_id]) for trial_id in self._fresh}
                self._fresh.clear()
            for trial_id, lines in fresh.items():
                try:
                    self._write(trial_id, lines)
                except (OSError, StorageTrouble):
                    with self._guard:
                        self._fresh |= fresh.keys()
                    return
                self._forget_if_ended(trial_id, lines)

    def _write(self, trial_id: str, lines: list[str]) -> None:
        if trial_id not in self._earlier:
            self._earlier[trial_id] = _content(self.folder, trial_id)
        text = "".join(f"{line}\n" for line in lines)
        self.folder.write_bytes(self._earlier[trial_id] + text.encode(), FOLDER, _name(trial_id))

    def _forget_if_ended(self, trial_id: str, written: list[str]) -> None:
        with self._guard:
            if trial_id in self._fresh or json.loads(written[-1])["event"] not in GONE:
                return
            for table in (self._lines, self._earlier, self._started, self._step_at):
                table.pop(trial_id, None)


def read_log(folder: RunFolder, trial_id: str) -> list[dict[str, Any]]:
    """A trial's events; none if nothing was written. Lines that cannot be read are left out."""
    return list(_events(_content(folder, trial_id)))


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


def logged(folder: RunFolder) -> list[str]:
    """The ids of all trials with a log, in a stable order."""
    paths = (str(path) for path in folder.fs.glob(folder.path(FOLDER, "*.jsonl")))
    return sorted(path.rpartition("/")[2].removesuffix(".jsonl") for path in paths)


def sentence(event: Mapping[str, Any]) -> str:
    """An event for a person, without its time: "step 40: loss 0.1234"."""
    say, loss = event.get, event.get("loss")
    with_loss = "" if loss is None else f": loss {loss:.4g}"
    sentences = {
        "waiting": "waits for a slot",
        "preparing": "makes its training rows",
        "leakage": f"mind: {say('warning')}",
        "started": f"starts: {say('rows')} rows, {say('steps')} steps",
        "resumed": f"goes on from the checkpoint at step {say('step')}",
        "step": f"step {say('step')}{with_loss}",
        "branched": f"leaves the run of trial {say('trunk')} at step {say('step')}",
        "trained": f"trained after step {say('step')}{with_loss}",
        "parked": "is parked until it is questioned",
        "questioning": "is being questioned",
        "finished": _finished(event),
        "failed": f"failed: {say('error')}",
        "stopped": f"stopped {'by hand' if say('by_hand') else 'by the scheduler'} after step {say('step')}",
        "left": "left this host",
        "moved": "goes to a host that can begin it now",
        "storage": f"given back, the run folder cannot be written: {say('error')}",
    }
    return sentences.get(event.get("event", ""), f"{event.get('event')}")


def _finished(event: Mapping[str, Any]) -> str:
    adoption, damage = event.get("adoption"), event.get("degradation")
    parts = ["finished"]
    parts += [f"adoption {100 * adoption:.1f} %"] if adoption is not None else []
    answerable = event.get("adoption_answerable")
    parts += [f"{100 * answerable:.1f} % of the answerable questions"] if answerable is not None else []
    parts += [f"D {damage:.3f}"] if damage is not None else []
    return ", ".join(parts)


def _events(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.splitlines():
        with suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict) and isinstance(event.get("at"), (int, float)):
                yield event


def _content(folder: RunFolder, trial_id: str) -> bytes:
    try:
        return folder.read_bytes(FOLDER, _name(trial_id))
    except FileNotFoundError:
        return b""


def _name(trial_id: str) -> str:
    return f"{trial_id}.jsonl"
