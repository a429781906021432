"""What a pack says of its trials: to their owners as they go, to anybody who looks at all of them."""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from beliefmod.trial import TrialRun


@dataclass(frozen=True)
class Report:
    """What a trial's owner is told.

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


def snapshot(run: TrialRun, asked: Collection[str]) -> TrialSnapshot:
    """A run as it is now. asked: ids of the trials that are being questioned."""
    config, steps = run.config, run.steps
    if config.trial_id in asked or run.job is None:
        state = "questioning"
    else:
        state = "training" if run.trained_at is None else "trained"
    loss = steps[-1]["loss"] if steps else None
    if loss is not None and not math.isfinite(loss):
        loss = None  # the trial is about to fail, and NaN is not JSON
    seconds = round(time.monotonic() - run.started, 1)
    return TrialSnapshot(config.trial_id, state, len(steps), config.total_steps, loss, seconds)
