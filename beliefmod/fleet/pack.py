"""A pack at work: trials wait, join a slot, train side by side, are questioned, and report. No Ray here."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from beliefmod.config import TrialConfig
from beliefmod.engine.jobs import EngineError, StepReport
from beliefmod.errors import UserError
from beliefmod.fleet.resources import QUESTIONING_STEPS
from beliefmod.lab import Lab
from beliefmod.run_folder import RunFolder
from beliefmod.trial import TrialFailed, TrialRun, conclude, failed_row, prepare, release

REPORT_SECONDS = 2.0


@dataclass(frozen=True)
class Report:
    """What a trial's owner is told. `row` is the trial's row once it is finished or failed."""

    trial_id: str
    state: Literal["training", "finished", "failed"]
    step: int
    total_steps: int
    loss: float | None = None
    row: dict[str, Any] | None = None


class Pack:
    """Runs attached trials on one engine in a thread of its own, longest first, and tells of their progress.

    `tell` is called from that thread, at most every `REPORT_SECONDS` per trial, and once at its end. Whatever
    goes wrong in a trial ends that trial alone, as a row with status failed.
    """

    def __init__(self, lab: Lab, folder: RunFolder, tell: Callable[[Report], None]) -> None:
        self.lab, self.folder, self.tell = lab, folder, tell
        self._waiting: dict[str, TrialConfig] = {}
        self._running: dict[str, TrialRun] = {}
        self._told: dict[str, float] = {}
        self._left: set[str] = set()
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="pack", daemon=True)
        self._thread.start()

    def attach(self, config: TrialConfig) -> None:
        """Queue a trial; attaching twice changes nothing."""
        with self._wake:
            self._left.discard(config.trial_id)
            if config.trial_id not in self._running:
                self._waiting[config.trial_id] = config
            self._wake.notify()

    def detach(self, trial_id: str) -> None:
        """Forget a trial: it leaves the queue, or its slot after the step under way."""
        with self._wake:
            self._waiting.pop(trial_id, None)
            self._left.add(trial_id)
            self._wake.notify()

    def backlog(self) -> int:
        """Optimiser steps of waiting and running trials, with a constant for questioning each."""
        with self._wake:
            configs = [*self._waiting.values(), *(run.config for run in self._running.values())]
            done = sum(len(run.steps) for run in self._running.values())
        return sum(config.total_steps + QUESTIONING_STEPS for config in configs) - done

    def close(self) -> None:
        """Stop after the step under way."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join(timeout=60)

    def _work(self) -> None:
        while self._wait_for_work():
            self._drop_left()
            self._admit()
            self._train()
            self._question()

    def _wait_for_work(self) -> bool:
        """Sleep until there is something to do; False once the pack is closed."""
        with self._wake:
            self._wake.wait_for(lambda: self._closed or self._waiting or self._running)
            return not self._closed

    def _drop_left(self) -> None:
        with self._wake:
            left = [self._running.pop(trial_id) for trial_id in self._left & set(self._running)]
            self._left.clear()
        for run in left:
            release(run, self.lab)

    def _admit(self) -> None:
        """Fill free slots: untrained arms, which need none, at once, then the trial with the most steps."""
        while (config := self._next_ready()) is not None:
            try:
                run = self._start(config)
            except Exception as error:
                self._fail(config, None, error)
                continue
            with self._wake:
                self._running[config.trial_id] = run

    def _next_ready(self) -> TrialConfig | None:
        """Take the waiting trial that is next and has room out of the queue."""
        with self._wake:
            ready = [c for c in self._waiting.values() if not c.is_trained or self.lab.engine.has_room(c)]
            if not ready:
                return None
            config = min(ready, key=lambda c: (c.is_trained, -c.total_steps))
            return self._waiting.pop(config.trial_id)

    def _start(self, config: TrialConfig) -> TrialRun:
        """Prepare a trial and give it its slot."""
        run = prepare(config, self.lab)
        if run.job:
            self.lab.engine.attach(run.job)
        return run

    def _train(self) -> None:
        """One optimiser step of everything that trains."""
        try:
            reports = self.lab.engine.train_step()
        except Exception as error:
            # a shared step does not tell whose fault it is; the pack must live on for the next trials
            for run in [run for run in self._running.values() if run.job and run.trained_at is None]:
                self._fail(run.config, run, error)
            return
        for report in reports:
            run = self._running[report.trial_id]
            try:
                run.note(report)
            except TrialFailed as error:
                self._fail(run.config, run, error)
            else:
                self._milestones(run, report)

    def _milestones(self, run: TrialRun, report: StepReport) -> None:
        """What a step that went well brings about: now and then a word to the trial's owner."""
        moment = time.monotonic()
        if moment - self._told.get(report.trial_id, 0.0) >= REPORT_SECONDS and not report.finished:
            self._told[report.trial_id] = moment
            self.tell(Report(report.trial_id, "training", report.step, report.total_steps, report.loss))

    def _question(self) -> None:
        """Question what has finished training, together; if that fails, one by one to find the culprit."""
        with self._wake:
            runs = [run for run in self._running.values() if not run.job or run.trained_at is not None]
        if not runs:
            return
        try:
            self._finish(runs)
        except Exception as error:
            if len(runs) == 1:
                self._fail(runs[0].config, runs[0], error)
                return
            for run in runs:
                try:
                    self._finish([run])
                except Exception as own:
                    self._fail(run.config, run, own)

    def _finish(self, runs: list[TrialRun]) -> None:
        for run, result in zip(runs, conclude(runs, self.lab, self.folder), strict=True):
            self._forget(run)
            steps, loss = run.config.total_steps, result.row.get("final_loss")
            self.tell(Report(run.config.trial_id, "finished", steps, steps, loss, result.row))

    def _fail(self, config: TrialConfig, run: TrialRun | None, error: Exception) -> None:
        expected = isinstance(error, (TrialFailed, UserError, EngineError))
        reason = str(error) if expected else "".join(traceback.format_exception_only(error)).strip()
        if not expected:
            traceback.print_exception(error)  # a bug of ours: its traceback belongs into the host's log
        row = failed_row(config, self.lab, reason)
        if run:
            self._forget(run)
        try:
            self.folder.write_trial(row, (), run.steps if run else ())
        except OSError as disk:
            row["error"] = f"{reason}; its row could not be written either ({disk})"
        self.tell(
            Report(config.trial_id, "failed", len(run.steps) if run else 0, config.total_steps, None, row)
        )

    def _forget(self, run: TrialRun) -> None:
        with self._wake:
            self._running.pop(run.config.trial_id, None)
        self._told.pop(run.config.trial_id, None)
        release(run, self.lab)
