"""What Tune 2.60 keeps of trials that have ended, and why it goes.

It keeps each trial's object, with running means of all that was reported, its settings three times, and, as
text, its part of the state file: 50 kB of memory, and as much of a file that is written again and again. For
100,000 trials both would be 5 GB. It looks through all trials whenever it may start one, reads their (absent)
result files one after the other at the end, and copies their empty folders to the run's storage. Our rows
hold what there is to know, and nothing is ever restored from Tune's state.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray import tune


class NotPickled:
    """What Tune would pickle with its own state file, from which nothing is ever restored."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing."""
        return {}


class EndedTrials(NotPickled, tune.Callback):
    """Clears away ended trials after the step in which they ended; to be the last of Tune's callbacks."""

    def __init__(self) -> None:
        self._ended: list[Any] = []

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial is about to end; other callbacks may still look at it."""
        self._ended.append(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial's process has failed for good."""
        self._ended.append(trial)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Called by Tune all the time, with its own list of trials."""
        if not self._ended:
            return
        gone = {id(trial) for trial in self._ended if trial.is_finished()}
        for trial in self._ended:
            if id(trial) in gone:
                empty(trial)
        self._ended = [trial for trial in self._ended if id(trial) not in gone]
        # without any trial Tune would read the state file at the end instead
        trials[:] = [trial for trial in trials if id(trial) not in gone] or trials[-1:]


def empty(trial: Any) -> None:
    """Take everything out of an ended trial that makes it heavy; what it is called and how it ended stays."""
    with suppress(OSError):  # it holds something: the files of TensorBoard, an error of Tune's
        Path(trial.local_path).rmdir()
    trial.set_config({})
    trial._Trial__unresolved_config = {}
    trial.evaluated_params, trial.experiment_tag = {}, ""
    trial.set_ray_actor(None)
    trial._default_result_or_future = None
    reported = trial.run_metadata
    reported.last_result, reported.metric_analysis, reported.metric_n_steps = {}, {}, {}
    # the texts that the state file is made of, which Tune makes where there are none
    trial._state_json = json.dumps({"name": str(trial), "status": trial.status})
    reported._cached_json = "{}"
