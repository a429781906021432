"""The searcher that Tune asks: known trials first, then the studies of all beliefs in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from ray.tune.search import Searcher

from beliefmod.config import TrialConfig
from beliefmod.fleet.study import BeliefStudy
from beliefmod.metrics.selection_scores import Objectives
from beliefmod.run.folder import RunFolder
from beliefmod.run.suggestions import next_number, read_suggestions, write_complete, write_suggestion
from beliefmod.space import Space


class BeliefSearch(Searcher):
    """Gives Tune one trial at a time until every study has had its samples.

    Studies of all beliefs run side by side: while one waits for its first values, the slots are not idle.

    Args:
        todo: what is known and not finished: references, controls, and what an earlier session has chosen.
    """

    def __init__(self, space: Space, folder: RunFolder, todo: Sequence[TrialConfig]) -> None:
        super().__init__()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # otherwise a line on stderr for every study
        past = read_suggestions(folder)
        waiting = {config.trial_id for config in todo}
        objectives = Objectives(folder, space.spec.seeds[0])
        self._folder, self._number = folder, next_number(folder)
        self._queue = deque(todo)
        self._studies = {
            belief: BeliefStudy(
                space, belief, [one for one in past if one.belief == belief], waiting, objectives.of
            )
            for belief in space.spec.beliefs
        }
        self._turns = deque(self._studies.values())
        self._running: dict[str, TrialConfig] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The next trial for Tune, or that there is none.

        Raises:
            OSError: the run folder cannot be written.
        """
        if not self._queue:
            self._choose()
        if not self._queue:
            write_complete(self._folder)
            return Searcher.FINISHED
        config = self._queue.popleft()
        self._running[trial_id] = config
        return {"trial": config.model_dump_json()}

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """A trial of Tune's has ended: finished, failed, or by a scheduler."""
        config = self._running.pop(trial_id, None)
        if config is not None:
            failed = error or (result or {}).get("status") == "failed"
            self._studies[config.belief].ended(config, failed)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the run folder holds what is needed to go on."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles searchers with its own state, which we never restore from."""
        return {}

    def _choose(self) -> None:
        """Let the next belief that has samples left suggest one, and write it down before it runs."""
        while self._turns:
            study = self._turns.popleft()
            suggestion = study.suggest()
            if suggestion is None:
                continue
            self._turns.append(study)
            write_suggestion(self._folder, self._number, suggestion)
            self._number += 1
            self._queue.extend(suggestion.trials)
            return
