"""One belief's search: Optuna through Ray Tune's `OptunaSearch`, for high adoption and low D at once."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import ValidationError
from ray.tune.search.optuna import OptunaSearch

from beliefmod.config import TrialConfig
from beliefmod.metrics.selection_scores import ObjectivesOf, Values
from beliefmod.run.suggestions import Suggestion
from beliefmod.space import Space
from beliefmod.space.axes import finite_values, is_number
from beliefmod.space.search import Sampled

METRICS, MODES = ["adoption", "degradation"], ["max", "min"]
# points at random before the sampler learns from them: a third of the samples, within these
LEAST_AT_RANDOM, MOST_AT_RANDOM = 4, 10
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
class _Open:
    """A suggestion under way: its key in the study, and the trials that have not ended."""

    key: str
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
        self._asked = 0
        settings = space.spec.search
        assert isinstance(settings, Sampled)
        self._settings = settings
        self._left = settings.num_samples - len(past)
        # seeded by the past too: a resumed study must not repeat its first random points
        self._rng = random.Random(f"{settings.seed}/{belief}/{len(past)}")
        self._study, self._search = self._create()
        self._open: list[_Open] = []
        self._told: dict[str, Values | None] = {}
        """First trial of every suggestion -> its values, None before it has any."""
        for suggestion in past:
            self._remember(suggestion, todo)

    def suggest(self) -> Suggestion | None:
        """A configuration that has not been tried; None if there is none, or enough have been."""
        if self._left <= 0:
            return None
        for _ in range(MOST_REPEATS):
            key, params, trials = self._ask()
            if trials is None:
                self._tell(key, None, failed=True)  # settings that do not go together
            elif (name := trials[0].trial_id) in self._told:
                self._tell(key, self._told[name], failed=True)
            else:
                return self._begin(key, Suggestion(self.belief, params, trials))
        # a sampler that has found its corner of a small space proposes it again and again
        untried = [point for point in self._space.every_point() or () if self._is_new(point)]
        if not untried:
            self._left = 0
            return None
        point = self._rng.choice(untried)
        self._study.enqueue_trial({name: one.param(point[name]) for name, one in self._dimensions.items()})
        key, params, trials = self._ask()
        assert trials is not None
        return self._begin(key, Suggestion(self.belief, params, trials))

    def ended(self, config: TrialConfig, failed: bool) -> None:
        """A trial has ended; with the last of its suggestion's seeds the study learns their mean.

        Args:
            failed: of a trial without values, whether it failed; otherwise a scheduler has ended it.
        """
        for one in self._open:
            if config.trial_id in one.waiting:
                one.waiting.discard(config.trial_id)
                one.failed |= failed
                self._close_if_done(one)
                return

    def _create(self) -> tuple[optuna.Study, OptunaSearch]:
        sampler = optuna.samplers.TPESampler(
            seed=self._rng.randrange(2**31),
            n_startup_trials=min(max(self._settings.num_samples // 3, LEAST_AT_RANDOM), MOST_AT_RANDOM),
        )
        # made here and found by its name there: OptunaSearch itself cannot be given old points of two values
        storage = optuna.storages.InMemoryStorage()
        study = optuna.create_study(
            storage=storage, study_name=self.belief, directions=["maximize", "minimize"], sampler=sampler
        )
        search = OptunaSearch(
            space={name: one.distribution for name, one in self._dimensions.items()},
            metric=METRICS,
            mode=MODES,
            sampler=sampler,
            study_name=self.belief,
            storage=storage,
        )
        return study, search

    def _remember(self, suggestion: Suggestion, todo: Collection[str]) -> None:
        """Take in a suggestion of an earlier session, ended or about to run again."""
        self._study.enqueue_trial(suggestion.params)
        key, _, _ = self._ask()
        self._left += 1  # counted among the past
        self._begin(key, suggestion)
        one = self._open[-1]
        one.waiting &= set(todo)
        self._close_if_done(one)

    def _begin(self, key: str, suggestion: Suggestion) -> Suggestion:
        self._left -= 1
        self._told[suggestion.trials[0].trial_id] = None
        self._open.append(_Open(key, suggestion, {config.trial_id for config in suggestion.trials}))
        return suggestion

    def _close_if_done(self, one: _Open) -> None:
        if one.waiting:
            return
        self._open.remove(one)
        trials = one.suggestion.trials
        found = [values for config in trials if (values := self._objectives(config)) is not None]
        mean: Values | None = None
        if found:
            mean = (sum(each[0] for each in found) / len(found), sum(each[1] for each in found) / len(found))
        self._told[trials[0].trial_id] = mean
        self._tell(one.key, mean, one.failed)

    def _ask(self) -> tuple[str, dict[str, Any], Trials | None]:
        """A key of the study, its parameters, and their trials if the settings go together."""
        self._asked += 1
        key = str(self._asked)
        params: dict[str, Any] = dict(self._search.suggest(key) or {})
        try:
            return key, params, self._trials({n: one.value(params[n]) for n, one in self._dimensions.items()})
        except ValidationError:
            return key, params, None

    def _trials(self, point: dict[str, Any]) -> Trials:
        return tuple(self._space.config(self.belief, seed, point) for seed in self._space.spec.seeds)

    def _is_new(self, point: dict[str, Any]) -> bool:
        try:
            return self._trials(point)[0].trial_id not in self._told
        except ValidationError:
            return False

    def _tell(self, key: str, values: Values | None, failed: bool) -> None:
        # without values Optuna takes a trial as failed, which says nothing about its region, or as pruned,
        # which speaks against it
        result = None if values is None else dict(zip(METRICS, values, strict=True))
        self._search.on_trial_complete(key, result, error=failed)
