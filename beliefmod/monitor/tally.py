"""The state of a sweep: counts, the time left, the best so far. Whoever reads the run folder can make it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from beliefmod.config import TrialConfig
from beliefmod.metrics.registry import DAMAGE_BUDGET
from beliefmod.monitor.time_left import TimeLeft
from beliefmod.probing.asking_progress import Asked
from beliefmod.space.shared_runs import own_steps


@dataclass
class Tally:
    """The state of a sweep, from its trials' reports.

    `earlier` trials ended before this session; they count as done but not for the time left. `unchosen` are
    the trials that a search has yet to choose; it adds those it chooses to `configs`. `since`
    is when the hosts were ready: loading the model says nothing about the pace of the trials. `share`:
    whether trials that differ only in epochs are one run. `hosts`: that share the work.

    A report costs the same however many trials there are, and so does looking: it is done twice a second.
    """

    configs: Mapping[str, TrialConfig]
    earlier: int = 0
    started: float = field(default_factory=time.monotonic)
    since: float | None = None
    finished: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    best: dict[str, tuple[float, float, str, float | None]] = field(default_factory=dict)
    share: bool = True
    unchosen: int = 0
    hosts: int = 1

    def __post_init__(self) -> None:
        self.configs = self._configs = dict(self.configs)
        own = own_steps(self.configs.values(), self.share)
        self._time = TimeLeft()
        for trial_id, config in self.configs.items():
            self._time.add(trial_id, config, own[trial_id])
        self._running: set[str] = set()
        self._ended: set[str] = set()

    def choose(self, config: TrialConfig) -> None:
        """Take in a trial of a search as it starts."""
        if config.trial_id not in self._configs:
            self._configs[config.trial_id] = config
            self._time.add(config.trial_id, config, config.total_steps)
            self.unchosen = max(0, self.unchosen - 1)

    def add(self, config: TrialConfig) -> None:
        """Take in a trial that somebody has added by hand."""
        if config.trial_id not in self._configs:
            self._configs[config.trial_id] = config
            self._time.add(config.trial_id, config, config.total_steps)

    def report(self, trial_id: str, result: Mapping[str, Any], now: float | None = None) -> None:
        """Take in one report of a trial. now: on the clock of `started`, if it has just been made."""
        config = self.configs[trial_id]
        if result.get("status") == "failed":
            self._end(trial_id, self.failed, None)
        elif result.get("status") == "stopped":  # by hand; a scheduler says so itself
            self.stop(trial_id)
        elif result.get("status") == "finished":
            self._end(trial_id, self.finished, {**result, "ended_at": moment(result.get("finished_at"))})
            self.failed.discard(trial_id)  # it was tried again
            adoption, damage = result.get("adoption"), result.get("degradation")
            if (
                config.arm == "lora"
                and adoption is not None
                and damage is not None
                and damage <= DAMAGE_BUDGET
            ):
                best = self.best.get(config.belief)
                if best is None or (adoption, -damage) > (best[0], -best[1]):
                    answerable = result.get("adoption_answerable")
                    self.best[config.belief] = (adoption, damage, config.label, answerable)
        elif trial_id not in self._ended:
            self._running.add(trial_id)
            self._time.advance(trial_id, int(result.get("optimizer_step") or 0), now)

    def asked(self, asked: Mapping[str, Asked]) -> None:
        """Take in how far hosts have come with their questions, by host."""
        self._time.take_asked(asked)

    def stop(self, trial_id: str) -> None:
        """A scheduler has ended a trial."""
        self._end(trial_id, self.stopped, None)

    def _end(self, trial_id: str, how: set[str], result: Mapping[str, Any] | None) -> None:
        how.add(trial_id)
        self._ended.add(trial_id)
        self._running.discard(trial_id)
        self._time.end(trial_id, result)

    @property
    def done(self) -> int:
        """Trials finished, failed or stopped, earlier sessions included."""
        return self.earlier + len(self._ended)

    @property
    def total(self) -> int:
        """Trials of the sweep."""
        return self.earlier + len(self.configs) + self.unchosen

    def states(self) -> dict[str, int]:
        """Trials of this session by state; every trial is in one."""
        ended = {"finished": self.finished, "failed": self.failed, "stopped": self.stopped - self.finished}
        counts = {state: len(trials) for state, trials in ended.items()}
        training = len(self._running)
        waiting = len(self.configs) + self.unchosen - len(self._ended) - training
        return {"waiting": waiting, "training": training, **counts}

    def seconds_left(self, now: float) -> float | None:
        """Time left at the pace so far; None until some of it is done (`TimeLeft.seconds`)."""
        self._time.hosts = self.hosts
        return self._time.seconds(now - (self.since or self.started), now, self.unchosen)

    def headline(self, now: float) -> str:
        """One line: counts and times."""
        running = len(self._running)
        stopped = f"{len(self.stopped)} stopped early, " if self.stopped else ""
        left = self.seconds_left(now)
        return (
            f"{self.done}/{self.total} done, {running} running, {len(self.failed)} failed, {stopped}"
            f"{clock(now - self.started)} elapsed, "
            + (f"about {clock(left)} left" if left is not None else "time left unknown")
        )

    def best_lines(self) -> list[str]:
        """Per belief the highest adoption with D within the budget, among finished trials."""
        return [
            f"best so far with D <= {DAMAGE_BUDGET:g}: {belief}: adoption {adoption:.0%}, "
            + ("" if answerable is None else f"{answerable:.0%} of the questions it can answer, ")
            + f"D {damage:.2f} ({label})"
            for belief, (adoption, damage, label, answerable) in sorted(self.best.items())
        ]


def moment(text: str | None) -> float:
    """`2026-11-22T10:15:00Z` in seconds since 1970; 0 if there is none."""
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0


def clock(seconds: float) -> str:
    """`75` -> "1m15s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
