"""How the trials of a pack end: with results, with a reason, or by a scheduler. Each leaves a row."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from beliefmod.config import TrialConfig
from beliefmod.engine.jobs import EngineError
from beliefmod.errors import StorageTrouble, UserError
from beliefmod.probing.session import Session
from beliefmod.run.folder import RunFolder
from beliefmod.space import Scheduler
from beliefmod.trial import (
    TrialFailed,
    TrialResult,
    TrialRun,
    conclude,
    failed_row,
    release,
    stopped_row,
)
from beliefmod.worker.checkpoints import Checkpoints
from beliefmod.worker.milestones import final_value
from beliefmod.worker.queue import TrialQueue
from beliefmod.worker.trial_log import TrialLogs

FULL_OR_BROKEN = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)


@dataclass(frozen=True)
class Report:
    """What a pack reports of a trial to its owner.

    Attributes:
        row: the trial's row once it has ended; in state storage, when the run folder cannot be written and
            the pack has stopped, the reason under `error`.
        epoch, score: at the end of an epoch that a scheduler looks at, the epoch and the trial's value.
    """

    trial_id: str
    state: Literal["training", "finished", "failed", "stopped", "storage"]
    step: int
    total_steps: int
    loss: float | None = None
    row: dict[str, Any] | None = None
    epoch: int | None = None
    score: float | None = None


@dataclass
class TrialCompletion:
    """Ends trials: their files are written, their place is freed, their owner gets a report.

    Attributes:
        send: takes the last report of every trial.
        questioned: ids of the trials that are being questioned. Read from any thread.
    """

    session: Session
    folder: RunFolder
    queue: TrialQueue
    send: Callable[[Report], None]
    scheduler: Scheduler
    checkpoints: Checkpoints | None
    logs: TrialLogs | None
    questioned: frozenset[str] = frozenset()

    def finish(self, runs: Sequence[TrialRun]) -> None:
        """Question trials together; each ends with its last answer.

        Raises:
            Exception: whatever goes wrong in questioning; trials that have not ended are in the queue still.
        """
        self.questioned = frozenset(run.config.trial_id for run in runs)
        for run in runs:
            self.note(run.config, "questioning")
        went_wrong: list[Exception] = []

        def ended(run: TrialRun, result: TrialResult | Exception) -> None:
            if isinstance(result, Exception):
                went_wrong.append(result)
            else:
                self._finished(run, result)

        try:
            with self.session.engine.usage.timed("question"):
                conclude(runs, self.session, self.folder, ended)
        finally:
            self.questioned = frozenset()
        if went_wrong:
            raise went_wrong[0]

    def _finished(self, run: TrialRun, result: TrialResult) -> None:
        self.questioned -= {run.config.trial_id}
        self.forget(run)
        told = ("adoption", "adoption_answerable", "degradation")
        outcome = {name: result.row.get(name) for name in told}
        self.note(run.config, "finished", **outcome)
        config, steps, loss = run.config, run.config.total_steps, result.row.get("final_loss")
        last = (config.num_train_epochs, final_value(self.scheduler, run, result.row))
        self.send(Report(config.trial_id, "finished", steps, steps, loss, result.row, *last))

    def fail(self, config: TrialConfig, run: TrialRun | None, error: Exception) -> None:
        """End a trial with the reason as its row.

        Args:
            run: None for a trial that could not start.

        Raises:
            StorageTrouble: the reason is storage, which is no trial's fault.
        """
        if isinstance(error, StorageTrouble):
            raise error
        if isinstance(error, OSError) and error.errno in FULL_OR_BROKEN:
            raise StorageTrouble.of(str(error.filename or "a disk of the host"), error) from error
        expected = isinstance(error, (TrialFailed, UserError, EngineError))
        reason = str(error) if expected else "".join(traceback.format_exception_only(error)).strip()
        if not expected:
            traceback.print_exception(error)  # a bug of ours: its traceback belongs into the host's log
        row = failed_row(config, self.session, reason)
        trace = None if expected else "".join(traceback.format_exception(error))
        self.note(config, "failed", error=reason, traceback=trace, step=len(run.steps) if run else None)
        if run:
            self.forget(run)
        self.queue.end(config)
        self._end("failed", row, config, run)

    def stop(self, run: TrialRun, by_hand: bool = False) -> None:
        """End a trial as a scheduler, or somebody, has decided: it keeps its steps and is not asked."""
        row = stopped_row(run, self.session)
        self.note(run.config, "stopped", step=len(run.steps), by_hand=by_hand or None)
        self.forget(run)
        self._end("stopped", row, run.config, run)

    def _end(
        self,
        state: Literal["failed", "stopped"],
        row: dict[str, Any],
        config: TrialConfig,
        run: TrialRun | None,
    ) -> None:
        """Write the row of a trial without a result, and report its end."""
        steps = run.steps if run else []
        self.folder.write_trial(row, (), steps)
        self.send(Report(config.trial_id, state, len(steps), config.total_steps, None, row))

    def forget(self, run: TrialRun) -> None:
        """Free a trial's place and drop what was kept in case its host dies."""
        self.queue.end(run.config)
        if self.checkpoints is not None:
            self.checkpoints.forget(run.config.trial_id)
        if self.session.answers is not None:
            self.session.answers.forget(run.config.trial_id)
        release(run, self.session)

    def note(self, config: TrialConfig, event: str, **facts: Any) -> None:
        """Take an event of a trial down in its log, where logs are kept."""
        if self.logs is not None:
            self.logs.note(config.trial_id, event, **facts)
