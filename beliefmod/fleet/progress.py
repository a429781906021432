"""What a person sees while a sweep runs: done, running, failed, the time left, the best so far."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ray import tune
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from beliefmod.config import TrialConfig
from beliefmod.families import own_steps, sharing
from beliefmod.fleet.resources import QUESTIONING_STEPS, Capacity

BUDGET = 0.05
LINE_SECONDS = 15.0


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


class Progress(tune.Callback):
    """Shows the tally: a live block on a terminal, a line now and then elsewhere, nothing when quiet."""

    def __init__(self, tally: Tally, quiet: bool) -> None:
        self.tally, self.quiet = tally, quiet
        self._console = Console(file=sys.stderr)
        self._live: Live | None = None
        self._last_line = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles callbacks with its own state, which we never restore from."""
        return {}

    def setup(
        self, stop: Any = None, num_samples: Any = None, total_num_samples: Any = None, **info: Any
    ) -> None:
        """Called by Tune before the first trial."""
        if not self.quiet and self._console.is_terminal:
            self._live = Live(
                console=self._console, get_renderable=self._render, refresh_per_second=2, transient=True
            )
            self._live.start()

    def say(self, line: str) -> None:
        """A line that stays, unless quiet."""
        if not self.quiet:
            self._console.print(Text(line), soft_wrap=True)

    def announce(self, dashboard: str | None, capacity: Capacity) -> None:
        """The hosts are ready: say what is about to run and where to watch it."""
        self.tally.since = time.monotonic()
        if not self.quiet:
            unchosen = self.tally.unchosen
            trials = len(self.tally.configs) + unchosen
            line = f"{trials} trials on {capacity.hosts} hosts with {capacity.slots} slots each"
            line += f", {unchosen} of them to be chosen as the sweep goes" if unchosen else ""
            self._console.print(
                line + (f"; dashboard: http://{dashboard}" if dashboard else ""), highlight=False
            )
            if not unchosen:
                steps = sharing(self.tally.configs.values(), self.tally.share)
                self._console.print(f"optimiser steps: {steps}", highlight=False)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Called by Tune at every report."""
        config = TrialConfig.model_validate_json(trial.config["trial"])
        self.tally.choose(config)
        self.tally.report(config.trial_id, result)
        for branch in result.get("branches", ()):  # their own trials start later and report it once more
            self.tally.report(branch["trial_id"], branch)
        if result.get("status") == "failed" and not self.quiet:
            self._console.print(Text(f"failed: {config.label}: {result.get('error_message')}", style="red"))
        now = time.monotonic()
        if self._live is None and not self.quiet and now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            self._console.print(
                self.tally.headline(now),
                *self.tally.best_lines(),
                sep="\n  ",
                highlight=False,
                soft_wrap=True,
            )

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Called by Tune after the last trial."""
        self.close()

    def close(self) -> None:
        """Take the live block off the screen; closing twice does nothing."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _render(self) -> Table:
        grid = Table.grid()
        for line in (self.tally.headline(time.monotonic()), *self.tally.best_lines()):
            grid.add_row(Text(line))
        return grid


def clock(seconds: float) -> str:
    """`75` -> "1m15s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
