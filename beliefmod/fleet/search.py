"""Adaptive search: one study per belief, for high adoption and low D at once, and the searcher that Tune
asks, which gives known trials first, then those of all studies in turn."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState
from pydantic import ValidationError
from ray.tune.search import Searcher

from beliefmod.config import TrialConfig
from beliefmod.fleet.tune_memory import NotPickled
from beliefmod.metrics.selection_scores import Objectives, ObjectivesOf, Values
from beliefmod.run.folder import RunFolder
from beliefmod.run.suggestions import (
    Suggestion,
    next_number,
    read_suggestions,
    write_complete,
    write_suggestion,
)
from beliefmod.space import Space
from beliefmod.space.axes import finite_values, is_number
from beliefmod.space.search import Frontier, Sampled

# points at random before TPE learns from them: a third of the samples, within these
LEAST_AT_RANDOM, MOST_AT_RANDOM = 4, 10
GP_AT_RANDOM = 4
"""Points at random before the Gaussian process learns from them: it says itself where it knows nothing."""
MOST_REPEATS = 50
Trials = tuple[TrialConfig, ...]


@dataclass(frozen=True)
class Dimension:
    """One axis as Optuna sees it.

    A list is searched by place: of numbers in their order, of anything else without one. A range of real
    numbers is searched by value; then `values` is None.
    """

    values: Sequence[Any] | None
    distribution: BaseDistribution

    @classmethod
    def of(cls, axis: Any) -> Dimension:
        """The dimension of a list or a sampler."""
        values = finite_values(axis)
        if values is None:
            kind, (low, high) = next(iter(axis.items()))
            return cls(None, FloatDistribution(low, high, log=kind == "loguniform"))
        if all(is_number(value) for value in values):
            return cls(sorted(values), IntDistribution(0, len(values) - 1))
        return cls(values, CategoricalDistribution(tuple(range(len(values)))))

    def value(self, param: Any) -> Any:
        """The setting that a parameter stands for."""
        return param if self.values is None else self.values[param]

    def param(self, value: Any) -> Any:
        """The parameter of a setting."""
        return value if self.values is None else list(self.values).index(value)


@dataclass
class _UnderWay:
    """A suggestion whose trials run: Optuna's trial, and ids of those of ours that have not ended."""

    asked: optuna.Trial
    suggestion: Suggestion
    waiting: set[str]
    failed: bool = False


class BeliefStudy:
    """Suggests up to `num_samples` different configurations, and learns from what they gave.

    Args:
        past: what this study has suggested in earlier sessions.
        todo: ids of the trials that are about to run, those of earlier suggestions among them.
        objectives: a trial's values, None if it has none.
    """

    def __init__(
        self,
        space: Space,
        belief: str,
        past: Sequence[Suggestion],
        todo: Collection[str],
        objectives: ObjectivesOf,
    ) -> None:
        self.belief = belief
        self._space, self._objectives = space, objectives
        self._dimensions = {name: Dimension.of(axis) for name, axis in space.spec.axes.items()}
        settings = space.spec.search
        assert isinstance(settings, Sampled)
        self._left = settings.num_samples - len(past)
        # seeded by the past too: a resumed study must not repeat its first random points
        self._rng = random.Random(f"{settings.seed}/{belief}/{len(past)}")
        self._study = optuna.create_study(
            directions=["maximize", "minimize"], sampler=sampler_of(settings, self._rng.randrange(2**31))
        )
        self._under_way: list[_UnderWay] = []
        self._values: dict[str, Values | None] = {}
        """First trial of every suggestion -> its values, None before it has any."""
        for suggestion in past:
            self._remember(suggestion, todo)

    def suggest(self) -> Suggestion | None:
        """A configuration that has not been tried; None if there is none, or enough have been."""
        if self._left <= 0:
            return None
        for _ in range(MOST_REPEATS):
            asked, trials = self._ask()
            if trials is None:
                self._tell(asked, None, failed=True)  # settings that do not go together
            elif (name := trials[0].trial_id) in self._values:
                self._tell(asked, self._values[name], failed=True)
            else:
                return self._begin(asked, Suggestion(self.belief, asked.params, trials))
        # a sampler that has found its corner of a small space proposes it again and again
        untried = [point for point in self._space.every_point() or () if self._is_new(point)]
        if not untried:
            self._left = 0
            return None
        point = self._rng.choice(untried)
        self._study.enqueue_trial({name: one.param(point[name]) for name, one in self._dimensions.items()})
        asked, trials = self._ask()
        assert trials is not None
        return self._begin(asked, Suggestion(self.belief, asked.params, trials))

    def ended(self, config: TrialConfig, failed: bool) -> None:
        """A trial has ended; with the last of its suggestion's seeds the study learns their mean.

        Args:
            failed: of a trial without values, whether it failed; otherwise a scheduler has ended it.
        """
        for one in self._under_way:
            if config.trial_id in one.waiting:
                one.waiting.discard(config.trial_id)
                one.failed |= failed
                self._close_if_done(one)
                return

    def _remember(self, suggestion: Suggestion, todo: Collection[str]) -> None:
        """Take in a suggestion of an earlier session, ended or about to run again."""
        self._study.enqueue_trial(suggestion.params)
        asked, _ = self._ask()
        self._left += 1  # counted among the past
        self._begin(asked, suggestion)
        one = self._under_way[-1]
        one.waiting &= set(todo)
        self._close_if_done(one)

    def _begin(self, asked: optuna.Trial, suggestion: Suggestion) -> Suggestion:
        self._left -= 1
        self._values[suggestion.trials[0].trial_id] = None
        self._under_way.append(
            _UnderWay(asked, suggestion, {config.trial_id for config in suggestion.trials})
        )
        return suggestion

    def _close_if_done(self, one: _UnderWay) -> None:
        if one.waiting:
            return
        self._under_way.remove(one)
        trials = one.suggestion.trials
        found = [values for config in trials if (values := self._objectives(config)) is not None]
        mean: Values | None = None
        if found:
            mean = (sum(each[0] for each in found) / len(found), sum(each[1] for each in found) / len(found))
        self._values[trials[0].trial_id] = mean
        self._tell(one.asked, mean, one.failed)

    def _ask(self) -> tuple[optuna.Trial, Trials | None]:
        """A trial of Optuna's, and the trials of ours that it stands for, if its settings go together."""
        asked = self._study.ask({name: one.distribution for name, one in self._dimensions.items()})
        try:
            return asked, self._trials({n: one.value(asked.params[n]) for n, one in self._dimensions.items()})
        except ValidationError:
            return asked, None

    def _trials(self, point: dict[str, Any]) -> Trials:
        return tuple(self._space.config(self.belief, seed, point) for seed in self._space.spec.seeds)

    def _is_new(self, point: dict[str, Any]) -> bool:
        try:
            return self._trials(point)[0].trial_id not in self._values
        except ValidationError:
            return False

    def _tell(self, asked: optuna.Trial, values: Values | None, failed: bool) -> None:
        # without values Optuna takes a trial as failed, which says nothing about its region, or as pruned,
        # which speaks against it
        state = TrialState.COMPLETE if values else TrialState.FAIL if failed else TrialState.PRUNED
        self._study.tell(asked, values, state)


def sampler_of(settings: Sampled, seed: int) -> optuna.samplers.BaseSampler:
    """What proposes the points of a study: a Gaussian process for `frontier`, TPE for `optuna`."""
    if isinstance(settings, Frontier):
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=GP_AT_RANDOM)
    startup = min(max(settings.num_samples // 3, LEAST_AT_RANDOM), MOST_AT_RANDOM)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)


class BeliefSearch(NotPickled, Searcher):
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
        self._finished = False

    def add(self, config: TrialConfig) -> bool:
        """Put a trial that no study has chosen before those that wait; False where the last one was given."""
        if not self._finished:
            self._queue.appendleft(config)
        return not self._finished

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The next trial for Tune, or that there is none.

        Raises:
            OSError: the run folder cannot be written.
        """
        if not self._queue:
            self._choose()
        if not self._queue:
            write_complete(self._folder)
            self._finished = True
            return Searcher.FINISHED
        config = self._queue.popleft()
        self._running[trial_id] = config
        return {"trial": config}

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """A trial of Tune's has ended: finished, failed, or by a scheduler."""
        config = self._running.pop(trial_id, None)
        if config is not None:
            # what was stopped by hand says nothing about its settings either
            failed = error or (result or {}).get("status") in ("failed", "stopped")
            self._studies[config.belief].ended(config, failed)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the run folder holds what is needed to go on."""

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
