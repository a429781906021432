"""What owners and the pack's thread agree on: which trials wait, which run, which are to leave.

Trials that differ only in epochs share a run where `beliefmod.space.shared_runs` allows it: that of the
longest one, the trunk, passes the last steps of the shorter ones, its branches.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from beliefmod.capacity.resources import QUESTIONING_STEPS
from beliefmod.config import TrialConfig
from beliefmod.engine.batching import steps_per_epoch
from beliefmod.trial import TrialRun, cut_short


class Branches:
    """The branches of every trunk that waits or runs, shortest first; knows nothing of slots or threads."""

    def __init__(self) -> None:
        self._of: dict[str, list[TrialConfig]] = {}

    def add(self, trunk_id: str, branches: Iterable[TrialConfig]) -> None:
        """The run of the trunk is to make these."""
        self._of[trunk_id] = sorted(branches, key=lambda branch: branch.num_train_epochs)

    def all(self) -> list[TrialConfig]:
        """Every branch that is still to be made."""
        return [branch for group in self._of.values() for branch in group]

    def of(self, trunk_id: str) -> list[TrialConfig]:
        """The branches that the run of a trunk has still to make."""
        return list(self._of.get(trunk_id, ()))

    def remove(self, trial_id: str) -> None:
        """A branch that is made, or no longer wanted."""
        for group in self._of.values():
            group[:] = [branch for branch in group if branch.trial_id != trial_id]

    def reached(self, run: TrialRun) -> list[TrialConfig]:
        """The branches that have all their steps now, as the run of their trunk has taken its latest."""
        group = self._of.get(run.config.trial_id, ())
        return [branch for branch in group if last_step(run, branch) == len(run.steps)]

    def passed(self, run: TrialRun) -> list[TrialConfig]:
        """Take out the branches behind the point where a run has come back from a checkpoint."""
        group = self._of.get(run.config.trial_id, [])
        behind = [branch for branch in group if last_step(run, branch) < len(run.steps)]
        del group[: len(behind)]
        return behind

    def take(self, trunk_id: str) -> list[TrialConfig]:
        """Take out what is left of a trunk whose run has ended."""
        return self._of.pop(trunk_id, [])

    def clear(self) -> None:
        """Forget them all."""
        self._of.clear()


def last_step(run: TrialRun, config: TrialConfig) -> int:
    """The step of a run after which a trial of its family has all of its own."""
    assert run.job is not None
    batch = run.config.per_device_train_batch_size
    batches = config.num_train_epochs * steps_per_epoch(len(run.job.rows), batch)
    return batches * config.objective.steps_per_batch


class TrialQueue:
    """The queue of a pack. Owners call from any thread; what changes a run is called by the pack alone.

    keeps_branches: whether a branch waits for the run of its trunk; else it is a trial like any other.
    """

    def __init__(self, keeps_branches: bool) -> None:
        self._keeps_branches = keeps_branches
        self._waiting: dict[str, TrialConfig] = {}
        self._starting: dict[str, TrialConfig] = {}
        self._running: dict[str, TrialRun] = {}
        self._branches = Branches()
        self._left: set[str] = set()
        self._stopped: set[str] = set()
        self._stopped_by_hand: set[str] = set()
        self._wake = threading.Condition()
        self._closed = False

    def attach(self, config: TrialConfig, branches: Sequence[TrialConfig]) -> None:
        """Queue a trial with its branches; attaching twice changes nothing."""
        with self._wake:
            attached = {each.trial_id for each in (config, *branches)}
            self._left -= attached
            self._stopped -= attached
            self._queue(config, branches)
            self._wake.notify()

    def _queue(self, config: TrialConfig, branches: Sequence[TrialConfig] = ()) -> None:
        if self.holds(config.trial_id):
            return
        self._waiting[config.trial_id] = config
        new = [branch for branch in branches if not self.holds(branch.trial_id)]
        if self._keeps_branches:
            self._branches.add(config.trial_id, new)
        else:
            self._waiting.update((branch.trial_id, branch) for branch in new)

    def _queue_anew(self, branches: Sequence[TrialConfig]) -> None:
        """Branches that the run of their trunk will not make become a family of their own."""
        if branches:
            self._queue(branches[-1], branches[:-1])

    def holds(self, trial_id: str) -> bool:
        """Whether a trial waits, starts, runs or is yet to be reached by the run of its trunk."""
        with self._wake:
            if any(trial_id in group for group in (self._waiting, self._starting, self._running)):
                return True
            return any(branch.trial_id == trial_id for branch in self._branches.all())

    def detach(self, trial_id: str) -> None:
        """A trial leaves the queue, or is to leave its slot. Its branches stay."""
        with self._wake:
            self._branches.remove(trial_id)
            if self._waiting.pop(trial_id, None):
                self._queue_anew(self._branches.take(trial_id))
            self._left.add(trial_id)
            self._wake.notify()

    def give_back(self, trial_id: str) -> list[TrialConfig]:
        """Take a trial that has not begun out, with its branches, to be run elsewhere; none if it has."""
        with self._wake:
            config = self._waiting.pop(trial_id, None)
            return [config, *self._branches.take(trial_id)] if config else []

    def stop(self, trial_id: str) -> None:
        """A scheduler has decided that a running trial ends."""
        with self._wake:
            self._stopped.add(trial_id)
            self._wake.notify()

    def stop_by_hand(self, trial_id: str) -> None:
        """Somebody has decided that a trial ends, whether it runs or waits; one that is not here is left."""
        with self._wake:
            self._stopped_by_hand.add(trial_id)
            self._wake.notify()

    def backlog(self) -> int:
        """Optimiser steps of waiting and running trials, with a constant for questioning each."""
        with self._wake:
            running = [run.config for run in self._running.values()]
            configs = [*self._waiting.values(), *self._starting.values(), *running]
            done = sum(len(run.steps) for run in self._running.values())
            branches = len(self._branches.all())
        work = sum(config.total_steps + QUESTIONING_STEPS for config in configs)
        return work + branches * QUESTIONING_STEPS - done

    def waiting_work(self) -> dict[str, int]:
        """Trials that need a slot and have not begun, with their work as in `backlog`, branches included."""
        with self._wake:
            trained = [config for config in self._waiting.values() if config.is_trained]
            branches = {c.trial_id: len(self._branches.of(c.trial_id)) for c in trained}
        return {c.trial_id: c.total_steps + QUESTIONING_STEPS * (1 + branches[c.trial_id]) for c in trained}

    def in_slots(self) -> int:
        """How many trials train or are about to."""
        with self._wake:
            training = [run for run in self._running.values() if run.job and run.trained_at is None]
            return len(training) + sum(config.is_trained for config in self._starting.values())

    def close(self) -> None:
        """No more work is wanted."""
        with self._wake:
            self._closed = True
            self._wake.notify()

    def wait_for_work(self) -> bool:
        """Sleep until there is something to do; False once the queue is closed."""
        with self._wake:
            self._wake.wait_for(lambda: self._closed or self._waiting or self._running)
            return not self._closed

    def next_ready(self, has_room: Callable[[TrialConfig], bool]) -> TrialConfig | None:
        """Take the next trial that can start out of the queue: arms on base alone, then the most steps.

        It is still held while it starts, which takes a while, so that an owner who comes back in that time
        does not queue it again; `start`, `put_back` or `end` says what became of it.
        """
        with self._wake:
            ready = [c for c in self._waiting.values() if not c.needs_place or has_room(c)]
            if not ready:
                return None
            config = min(ready, key=lambda c: (c.needs_place, -c.total_steps))
            self._starting[config.trial_id] = self._waiting.pop(config.trial_id)
            return config

    def put_back(self, config: TrialConfig) -> None:
        """A trial found no room after all."""
        with self._wake:
            self._starting.pop(config.trial_id, None)
            self._waiting[config.trial_id] = config

    def start(self, run: TrialRun) -> None:
        """A trial runs; branches behind the checkpoint that it came back from are queued anew."""
        with self._wake:
            self._starting.pop(run.config.trial_id, None)
            self._running[run.config.trial_id] = run
            self._queue_anew(self._branches.passed(run))

    def reached(self, run: TrialRun) -> list[TrialConfig]:
        """The branches that have all their steps now."""
        with self._wake:
            return self._branches.reached(run)

    def branch_off(self, run: TrialRun, branch: TrialConfig, park: Callable[[], None]) -> None:
        """Make a branch a trial of its own with the steps that it shares, unless it was detached by now."""
        with self._wake:
            if branch not in self._branches.reached(run):
                return
            park()
            self._branches.remove(branch.trial_id)
            self._running[branch.trial_id] = cut_short(run, branch)

    def end(self, config: TrialConfig) -> None:
        """A trial has ended; branches that its run has not made are queued anew."""
        with self._wake:
            self._starting.pop(config.trial_id, None)
            self._running.pop(config.trial_id, None)
            self._queue_anew(self._branches.take(config.trial_id))

    def take_left(self) -> list[TrialRun]:
        """Runs whose owners have left, taken out."""
        with self._wake:
            runs = [self._running[trial_id] for trial_id in self._left & set(self._running)]
            self._left.clear()
            for run in runs:
                self.end(run.config)
            return runs

    def take_stopped(self) -> list[TrialRun]:
        """Runs that a scheduler has ended; they are taken out with `end`."""
        with self._wake:
            runs = [self._running[trial_id] for trial_id in self._stopped & set(self._running)]
            self._stopped.clear()
            return runs

    def take_stopped_by_hand(self) -> list[TrialRun]:
        """Trials that somebody has ended, to be taken out with `end`; one that has not begun is a run without
        steps. One that starts just now is told of the next time."""
        with self._wake:
            found = []
            for trial_id in sorted(self._stopped_by_hand - set(self._starting)):
                self._stopped_by_hand.discard(trial_id)
                branch = next((each for each in self._branches.all() if each.trial_id == trial_id), None)
                if trial_id in self._running:
                    found.append(self._running[trial_id])
                elif waiting := self._waiting.pop(trial_id, branch):
                    self._branches.remove(trial_id)
                    found.append(TrialRun(waiting, None, ()))
            return found

    def running(self) -> list[TrialRun]:
        """Every trial that has started or branched off and has not ended."""
        with self._wake:
            return list(self._running.values())

    def run_of(self, trial_id: str) -> TrialRun | None:
        """A running trial."""
        with self._wake:
            return self._running.get(trial_id)

    def waiting(self) -> int:
        """How many trials are queued; branches that the run of their trunk will make are not."""
        with self._wake:
            return len(self._waiting)

    def take_all(self) -> list[TrialConfig]:
        """Every trial, taken out: none will run here."""
        with self._wake:
            running = [run.config for run in self._running.values()]
            starting = self._starting.values()
            configs = [*self._waiting.values(), *starting, *running, *self._branches.all()]
            self._waiting.clear()
            self._starting.clear()
            self._running.clear()
            self._branches.clear()
            return configs


@dataclass(frozen=True)
class TrialSnapshot:
    """A trial on a host, as somebody who looks in sees it.

    Attributes:
        state: training, trained (waits to be questioned), or questioning (untrained arms too).
        seconds: since it started, earlier sessions included.
    """

    trial_id: str
    state: Literal["training", "trained", "questioning"]
    step: int
    total_steps: int
    loss: float | None
    seconds: float


def snapshot(run: TrialRun, questioned: Collection[str]) -> TrialSnapshot:
    """A run as it is now. questioned: ids of the trials that are being questioned."""
    config, steps = run.config, run.steps
    if config.trial_id in questioned or run.job is None:
        state = "questioning"
    else:
        state = "training" if run.trained_at is None else "trained"
    loss = steps[-1]["loss"] if steps else None
    if loss is not None and not math.isfinite(loss):
        loss = None  # the trial is about to fail, and NaN is not JSON
    seconds = round(time.monotonic() - run.started, 1)
    return TrialSnapshot(config.trial_id, state, len(steps), config.total_steps, loss, seconds)
