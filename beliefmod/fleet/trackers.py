"""Trials in TensorBoard, MLflow and Weights & Biases, through Tune's own callbacks.

They see what Tune sees: a trial's settings, its loss every few seconds, and its adoption and D at the end.
Every step's loss is in the run folder (`steps/`), which stays the truth.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray import tune
from ray.air.constants import TRAINING_ITERATION
from ray.tune.result import TIMESTEPS_TOTAL

from beliefmod.config import TrialConfig, flatten
from beliefmod.fleet.tune_memory import NotPickled

SHOWN = ("loss", "adoption", "degradation", "score", "epoch", "optimizer_step", TRAINING_ITERATION)
"""Of a report; what is null or not a number is left out."""
MLFLOW_ENVIRONMENT = {
    # MLflow 3.17 asks a server that is not there for 250 seconds, in which no trial would start or report
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # it prints two lines for every trial among our own
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Set for MLflow, unless the user has set something else."""


@dataclass(frozen=True)
class Trackers:
    """Which trackers show trials.

    Attributes:
        tensorboard: event files under RUN/tune, a folder per trial.
        mlflow: a tracking URI. The experiment is named after the run.
        wandb: a project. The group is named after the run.
    """

    tensorboard: bool = False
    mlflow: str | None = None
    wandb: str | None = None

    def callbacks(self, run: str, say: Callable[[str], None]) -> list[tune.Callback]:
        """Tune's callbacks, each behind a guard. `say` shows a line when one has failed."""
        makers: dict[str, Callable[[], tune.Callback]] = {}
        if self.tensorboard:
            makers["--tensorboard"] = _tensorboard
        if self.mlflow is not None:
            uri = self.mlflow
            makers["--mlflow"] = lambda: _mlflow(uri, run)
        if self.wandb is not None:
            project = self.wandb
            makers["--wandb"] = lambda: _wandb(project, run)
        return [Guarded(name, make, say, ENDINGS.get(name)) for name, make in makers.items()]


def _tensorboard() -> tune.Callback:
    from ray.tune.logger import TBXLoggerCallback

    return TBXLoggerCallback()


def _mlflow(uri: str, run: str) -> tune.Callback:
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    for name, value in MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    return MLflowLoggerCallback(uri, experiment_name=run, tags={"beliefmod_run": run})


def _wandb(project: str, run: str) -> tune.Callback:
    from ray.air.integrations.wandb import WandbLoggerCallback

    return WandbLoggerCallback(project, group=run)


def _mlflow_killed(callback: Any, trials: Sequence[Any]) -> None:
    """Runs that nobody ends would be shown as running for ever."""
    for trial in trials:
        callback.mlflow_util.end_run(status="KILLED", run_id=callback._trial_runs[trial])


Ending = Callable[[Any, Sequence[Any]], None]
ENDINGS: Mapping[str, Ending] = {"--mlflow": _mlflow_killed}
"""What is done at the end with a callback and the trials that have not ended: the sweep was interrupted."""


class Guarded(NotPickled, tune.Callback):
    """A callback of Tune's that sees trials as people know them and whose failures end only itself."""

    def __init__(
        self,
        name: str,
        make: Callable[[], tune.Callback],
        say: Callable[[str], None],
        ending: Ending | None = None,
    ) -> None:
        self._name, self._make, self._say, self._ending = name, make, say, ending
        self._inner: Any = None
        self._under_way: dict[str, Readable] = {}

    def setup(self, *arguments: Any, **info: Any) -> None:
        """Called by Tune before the first trial."""
        try:
            self._inner = self._make()
        except Exception as error:
            self._give_up(error)
        self._pass_on("setup", *arguments, **info)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial starts."""
        self._under_way[trial.trial_id] = Readable(trial)
        self._pass_on("on_trial_start", iteration, [], Readable(trial), **info)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Called by Tune at every report."""
        self._pass_on("on_trial_result", iteration, [], Readable(trial), readable(result), **info)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial has ended."""
        self._under_way.pop(trial.trial_id, None)
        self._pass_on("on_trial_complete", iteration, [], Readable(trial), **info)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial's process has failed for good."""
        self._under_way.pop(trial.trial_id, None)
        self._pass_on("on_trial_error", iteration, [], Readable(trial), **info)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Called by Tune after the last trial."""
        if self._ending is not None and self._inner is not None:
            self._guarded(self._ending, self._inner, list(self._under_way.values()))
        self._pass_on("on_experiment_end", [], **info)

    def _pass_on(self, method: str, *arguments: Any, **info: Any) -> None:
        if self._inner is not None:
            self._guarded(getattr(self._inner, method), *arguments, **info)

    def _guarded(self, call: Callable[..., None], *arguments: Any, **info: Any) -> None:
        try:
            call(*arguments, **info)
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._inner = None
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        self._say(f"{self._name}: {reason}; the sweep goes on without it")


class Readable:
    """A trial of Tune's whose settings are those of the space file, under their dotted names."""

    def __init__(self, trial: Any) -> None:
        self._trial = trial
        config: TrialConfig = trial.config["trial"]
        used = config.used_settings() - {"template"}  # its switches stand one by one
        settings = {name: value for name, value in config.leaves().items() if name in used}
        self.config = {name: _plain(value) for name, value in (settings | config.switches).items()}
        self.config["trial"] = config.trial_id
        self.evaluated_params = self.config

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)

    def __str__(self) -> str:
        return str(self._trial)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Readable) and self._trial == other._trial

    def __hash__(self) -> int:
        return hash(self._trial)


def readable(result: Mapping[str, Any]) -> dict[str, Any]:
    """A report as curves: numbers only, over optimiser steps (untrained trials: over reports)."""
    found = {name: result[name] for name in SHOWN if _is_number(result.get(name))}
    found[TIMESTEPS_TOTAL] = found.get("optimizer_step") or None
    found["status"] = result.get("status")
    return {name: value for name, value in flatten(found).items() if value is not None}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    return value if isinstance(value, (int, float, str)) else json.dumps(value)
