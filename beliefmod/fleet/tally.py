"""The state of a sweep: counts, the time left, the best so far. No Ray here: whoever reads the run folder can
make the same tally."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from beliefmod.config import TrialConfig
from beliefmod.families import own_steps
from beliefmod.fleet.resources import QUESTIONING_STEPS

BUDGET = 0.05
"""D up to which a configuration counts as having left the model whole, unless a command is told otherwise."""


@dataclass
class Tally:
    """The state of a sweep, from its trials' reports. Work is counted in optimiser steps.

    `earlier` trials ended before this session; they count as done but not for the time left. `unchosen` are
    the trials that a search has yet to choose; it adds those it chooses to `configs`. `since`
    is when the hosts were ready: loading the model says nothing about the pace of the trials. `share`:
    whether trials that differ only in epochs are one run.
    """

    configs: Mapping[str, TrialConfig]
    earlier: int = 0
    started: float = field(default_factory=time.monotonic)
    since: float | None = None
    steps: dict[str, int] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    best: dict[str, tuple[float, float, str]] = field(default_factory=dict)
    share: bool = True
    unchosen: int = 0

    def __post_init__(self) -> None:
        self._own_steps = own_steps(self.configs.values(), self.share)

    def choose(self, config: TrialConfig) -> None:
        """Take in a trial of a search as it starts."""
        if config.trial_id not in self.configs:
            self.configs = {**self.configs, config.trial_id: config}
            self.unchosen = max(0, self.unchosen - 1)

    def report(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Take in one report of a trial."""
        config = self.configs[trial_id]
        self.steps[trial_id] = int(result.get("optimizer_step") or 0)
        if result.get("status") == "failed":
            self.failed.add(trial_id)
        elif result.get("status") == "finished":
            self.finished.add(trial_id)
            adoption, damage = result.get("adoption"), result.get("degradation")
            if config.arm == "lora" and adoption is not None and damage is not None and damage <= BUDGET:
                best = self.best.get(config.belief)
                if best is None or (adoption, -damage) > (best[0], -best[1]):
                    self.best[config.belief] = (adoption, damage, config.label)

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
        training = len(self.steps.keys() - self._ended)
        waiting = len(self.configs) + self.unchosen - len(self._ended) - training
        return {"waiting": waiting, "training": training, **counts}

    @property
    def _ended(self) -> set[str]:
        return self.finished | self.failed | self.stopped

    def seconds_left(self, now: float) -> float | None:
        """Time left at the pace so far; None until a twentieth is done."""
        work = {
            trial_id: self._own_steps.get(trial_id, config.total_steps) + QUESTIONING_STEPS
            for trial_id, config in self.configs.items()
        }
        ended = self._ended
        done = sum(work[t] if t in ended else min(self.steps.get(t, 0), work[t]) for t in work)
        total = sum(work.values())
        total += round(self.unchosen * total / max(1, len(work)))  # like those that are known, on average
        if not total or done < total / 20:
            return None
        pace = (now - (self.since or self.started)) / done
        return pace * (total - done)

    def headline(self, now: float) -> str:
        """One line: counts and times."""
        running = len(self.steps.keys() - self._ended)
        stopped = f"{len(self.stopped)} stopped early, " if self.stopped else ""
        left = self.seconds_left(now)
        return (
            f"{self.done}/{self.total} done, {running} training, {len(self.failed)} failed, {stopped}"
            f"{clock(now - self.started)} elapsed, "
            + (f"about {clock(left)} left" if left is not None else "time left unknown")
        )

    def best_lines(self) -> list[str]:
        """Per belief the highest adoption with D within the budget, among finished trials."""
        return [
            f"best so far with D <= {BUDGET:g}: {belief}: adoption {adoption:.0%}, D {damage:.2f} ({label})"
            for belief, (adoption, damage, label) in sorted(self.best.items())
        ]


def clock(seconds: float) -> str:
    """`75` -> "1m15s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
