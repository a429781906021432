"""Seals trials as Tune says that they have ended."""

from __future__ import annotations

from typing import Any

from ray import tune

from beliefmod.fleet.tune_memory import NotPickled
from beliefmod.run.seal.trial_seals import TrialSeals


class Sealing(NotPickled, tune.Callback):
    """Puts every trial into the run's chain when it has ended; its row is written before that is reported."""

    def __init__(self, seals: TrialSeals) -> None:
        self._seals = seals

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Called by Tune when a trial is about to end."""
        self._seals.add(trial.config["trial"].trial_id)
