"""What a person sees while a sweep runs: done, running, failed, the time left, the best so far."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from ray import tune
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from beliefmod.capacity.resources import Capacity
from beliefmod.config import TrialConfig
from beliefmod.fleet.tune_memory import NotPickled
from beliefmod.monitor.tally import Tally
from beliefmod.probing.asking_progress import Asked
from beliefmod.space.shared_runs import sharing

LINE_SECONDS = 15.0
LOOK_SECONDS = 5.0


class Progress(NotPickled, tune.Callback):
    """Shows the tally: a live block on a terminal, a line now and then elsewhere, nothing when quiet.

    Args:
        asked: looks up how far hosts have come with their questions, by host: while they ask, trials report
            nothing.
    """

    def __init__(
        self, tally: Tally, quiet: bool, asked: Callable[[], Mapping[str, Asked]] = dict[str, Asked]
    ) -> None:
        self.tally, self.quiet, self._asked, self._looked_at = tally, quiet, asked, 0.0
        self._console = Console(file=sys.stderr)
        self._live: Live | None = None
        self._last_line = 0.0

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

    def warn(self, line: str) -> None:
        """A line that is shown even if quiet: something is not as it should be."""
        self._console.print(Text(line, style="yellow"), soft_wrap=True)

    def announce(self, dashboard: str | None, capacity: Capacity) -> None:
        """The hosts are ready: say what is about to run and where to watch it.

        Args:
            dashboard: where it is, in words, if there is one.
        """
        self.tally.since, self.tally.hosts = time.monotonic(), capacity.hosts
        if not self.quiet:
            unchosen = self.tally.unchosen
            trials = len(self.tally.configs) + unchosen
            line = f"{trials} trials on {capacity.hosts} hosts with {capacity.slots_in_words} slots each"
            line += f", {unchosen} of them to be chosen as the sweep goes" if unchosen else ""
            line += f"; dashboard: {dashboard}" if dashboard else ""
            self._console.print(line, highlight=False, soft_wrap=True)
            if not unchosen:
                steps = sharing(self.tally.configs.values(), self.tally.share)
                self._console.print(f"optimiser steps: {steps}", highlight=False)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Called by Tune at every report."""
        config: TrialConfig = trial.config["trial"]
        self.tally.choose(config)
        now = time.monotonic()
        self.tally.report(config.trial_id, result, now)
        for branch in result.get("branches", ()):  # their own trials start later and report it once more
            self.tally.report(branch["trial_id"], branch, now)
        if result.get("status") == "failed" and not self.quiet:
            self._console.print(Text(f"failed: {config.label}: {result.get('error_message')}", style="red"))

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Called by Tune several times a second, also while trials are questioned and report nothing."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self.tally.asked(self._asked())
        if (
            self._live is None
            and not self.quiet
            and self.tally.since
            and now - self._last_line >= LINE_SECONDS
        ):
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
