"""How long a sweep still takes, from what its trials have reported.

Work is optimiser steps and questioning. What questioning costs beside a step is not known beforehand: 70 to
320 steps in three sweeps that were measured. So it is learned from what hosts say of the answers that they
have written, also before any trial has ended, or else from the trials that have been questioned; and a step
costs what is left of the hosts' time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from beliefmod.capacity.resources import QUESTIONING_STEPS
from beliefmod.config import TrialConfig
from beliefmod.probing.asking_progress import Asked

LEAST, MOST = 5, 600
"""Between so many steps the cost of questioning a trial is sought."""
STARTED = 0.5
"""What counts as done of a questioning that may have begun, where its time is attributed."""
LEAST_WRITTEN = 0.1
"""Of one arm's answers, before what questioning costs is taken from them."""
ENDLESS = 0.2
"""What is left of a questioning at least until its trial has ended."""
SAME_WALL, SAME_MOMENT = 0.03, 3.0
"""Trials were questioned together if they took the same time within this share, and ended within these
seconds."""


@dataclass
class _Batch:
    """Trials that were questioned together: their number, the seconds that took, when it ended, of what
    arm."""

    count: int
    seconds: float
    ended_at: float
    trained: bool


@dataclass
class _Trial:
    """A trial as far as its time goes. own: steps taken for it alone; credit: of these done; all_steps: at
    which it is trained; trained_arm: whether it has any; reference: whether all are compared with it."""

    own: int
    all_steps: int
    trained_arm: bool
    reference: bool
    credit: int = 0
    trained: bool = False
    ended: bool = False


@dataclass
class TimeLeft:
    """Sums over the trials, kept up to date, so that a look costs the same however many there are.

    Attributes:
        hosts: that share the work.
    """

    hosts: int = 1
    _trials: dict[str, _Trial] = field(default_factory=dict)
    _batches: list[_Batch] = field(default_factory=list)
    _steps: int = 0
    """Own steps of all trials."""
    _done: int = 0
    """Of them taken."""
    _asked: int = 0
    """Trials that are or will be questioned."""
    _questioned: int = 0
    _untrained: int = 0
    """Trained arms whose training has not ended."""
    _in_question: int = 0
    """Trials that are trained, or need no training, and have not ended."""
    _trained_at: float | None = None
    """When a trial was trained last, on the caller's clock."""
    _step_seconds: float | None = None
    _stale: bool = True
    _references: int = 0
    """Arms that all are compared with; `_references_open`: that have not ended."""
    _references_open: int = 0
    _asked_by: dict[str, Asked] = field(default_factory=dict)
    """What each host has asked."""

    def add(self, trial_id: str, config: TrialConfig, own: int) -> None:
        """Take in a trial with the steps that are taken for it alone."""
        trial = self._trials[trial_id] = _Trial(
            own, config.total_steps, config.is_trained, config.is_reference
        )
        self._steps += own
        self._asked += 1
        self._untrained += trial.trained_arm
        self._in_question += not trial.trained_arm
        self._references += trial.reference
        self._references_open += trial.reference

    def take_asked(self, asked: Mapping[str, Asked]) -> None:
        """Take in how far hosts have come with their questions, by host; others keep what they said last."""
        for host, found in asked.items():
            if found != self._asked_by.get(host):
                self._asked_by[host], self._stale = found, True

    def advance(self, trial_id: str, step: int, now: float | None = None) -> None:
        """Take in the step that a trial is at, which is an earlier one after its host was lost.

        Args:
            now: on the clock of `seconds`, if it is reported as it is.
        """
        trial = self._trials[trial_id]
        self._credit(trial, min(step, trial.own))
        if trial.trained_arm and trial.trained != (trained := step >= trial.all_steps):
            trial.trained = trained
            self._untrained += -1 if trained else 1
            self._in_question += 1 if trained else -1
            self._trained_at = now if trained else self._trained_at

    def end(self, trial_id: str, result: Mapping[str, Any] | None) -> None:
        """Take in the end of a trial.

        Args:
            result: with the columns `evaluate_seconds` and `ended_at` (seconds since 1970), where known; None
            for a trial that failed or was stopped: nothing of it is left, and it was not questioned.
        """
        trial = self._trials[trial_id]
        if trial.ended:
            return
        trial.ended = True
        self._references_open -= trial.reference
        if trial.trained or not trial.trained_arm:
            self._in_question -= 1
        else:
            self._untrained -= 1
        if result is None:
            self._steps -= trial.own - trial.credit
            trial.own = trial.credit
            self._asked -= 1
            return
        self._credit(trial, trial.own)
        self._questioned += 1
        self._stale = True
        seconds, ended_at = result.get("evaluate_seconds"), result.get("ended_at")
        if seconds and ended_at:
            self._note_batch(float(seconds), float(ended_at), trial.trained_arm)

    def seconds(self, elapsed: float, now: float | None = None, unchosen: int = 0) -> float | None:
        """Time left in seconds; None until a twentieth of the work is done and a trial has been questioned.
        Where hosts say how far they are with their questions, a fiftieth and a part of an arm are enough.

        Args:
            elapsed: since the hosts were ready. now: on the clock of `advance`.
            unchosen: trials to come, taken to be like those known.
        """
        more = 1 + unchosen / max(1, len(self._trials))
        steps, asked = self._steps * more, self._asked * more
        spent = elapsed * self.hosts
        costs = self._told_costs(spent) or self._costs(spent)
        if costs is None:
            return None
        step, questioning = costs
        most = asked - self._questioned
        least = most - (1 - ENDLESS) * self._in_question
        if told := self._told_costs(spent):
            to_ask = self._told_to_ask(more)
        else:  # what hosts did not spend on steps they spent on questions
            to_ask = min(max(asked - (spent - step * self._done) / questioning, least), most)
        left = step * (steps - self._done) + questioning * to_ask
        whole = step * steps + questioning * asked
        if whole - left < whole / (50 if told else 20):
            return None
        return max(left / self._busy(steps, most), 0.0 if told else self._last_batch(now))

    def _told_costs(self, spent: float) -> tuple[float, float] | None:
        """Host-seconds of a step and of questioning an arm, from what hosts say; None until they have written
        enough answers to tell.

        Args:
            spent: host-seconds so far.
        """
        written = sum(asked.written for asked in self._asked_by.values())
        if written < LEAST_WRITTEN:
            return None
        seconds = sum(asked.seconds for asked in self._asked_by.values())
        questioning = seconds / written
        if self._stale or self._step_seconds is None:
            step = (spent - seconds) / self._done if self._done else questioning / QUESTIONING_STEPS
            self._step_seconds = min(max(step, questioning / MOST), questioning / LEAST)
            self._stale = False
        return self._step_seconds, questioning

    def _told_to_ask(self, more: float) -> float:
        """Arms that are still to be questioned, in parts where they are at it.

        Every host asks the untrained arms that it compares with, at the same time; the furthest one counts.

        Args:
            more: what trials to come make of the number of those known.
        """
        trained = self._asked * more - self._questioned - self._references_open
        under_way = sum(asked.under_way for asked in self._asked_by.values())
        known = max(asked.references for asked in self._asked_by.values())
        references = min(self._references_open, max(0.0, self._references - known))
        return max(0.0, trained - under_way) + references

    def _costs(self, spent: float) -> tuple[float, float] | None:
        """Host-seconds of a step and of questioning a trial; None until a trial has been questioned.

        Args:
            spent: host-seconds so far.
        """
        if not self._questioned:  # a guess said 5 s where 12 minutes were to come, and then 28
            return None
        done = self._questioned + STARTED * self._in_question
        if not self._batches:
            work = self._done + QUESTIONING_STEPS * done
            step = spent / work if work else 0.0
            return (step, QUESTIONING_STEPS * step) if step else None
        counted = sum(batch.count for batch in self._batches)
        questioning = sum(batch.seconds for batch in self._batches) / counted
        if self._stale or self._step_seconds is None:  # between two ends it is not known what hosts are at
            step = questioning / QUESTIONING_STEPS
            if self._done:
                step = (spent - questioning * done) / self._done
            self._step_seconds = min(max(step, questioning / MOST), questioning / LEAST)
            self._stale = False
        return self._step_seconds, questioning

    def _busy(self, steps: float, to_ask: float) -> int:
        """Hosts that share what is left: at the end there are fewer batches than hosts."""
        if not self._batches or self._done < steps:
            return self.hosts
        largest = max(batch.count for batch in self._batches)
        return min(self.hosts, max(1, math.ceil(to_ask / largest)))

    def _last_batch(self, now: float | None) -> float:
        """What the last batch takes at least: all of it while trials train, less what has passed since the
        last one was trained."""
        took = [batch.seconds for batch in self._batches if batch.trained]
        if not took:
            return 0.0
        mean = sum(took) / len(took)
        if self._untrained:
            return mean
        if not self._in_question or now is None or self._trained_at is None:
            return 0.0
        return mean - (now - self._trained_at)

    def _credit(self, trial: _Trial, steps: int) -> None:
        self._done += steps - trial.credit
        trial.credit = steps

    def _note_batch(self, seconds: float, ended_at: float, trained: bool) -> None:
        for batch in reversed(self._batches):
            alike = abs(batch.seconds - seconds) <= SAME_WALL * seconds + 0.2
            if alike and abs(batch.ended_at - ended_at) <= SAME_MOMENT:
                batch.count += 1
                return
        self._batches.append(_Batch(1, seconds, ended_at, trained))
