"""ASHA and median stopping: Tune's rules, one for every group of trials that can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from beliefmod.config import TrialConfig
from beliefmod.fleet.tune_memory import NotPickled
from beliefmod.run.folder import RunFolder
from beliefmod.space import TAUGHT_ARMS, EarlyStopping
from beliefmod.space.search import Asha
from beliefmod.worker.milestones import epoch_loss, epoch_now

LEAST_OTHERS = 3
"""A median of fewer trials stops none, as in the Vizier paper's rule that Tune implements."""
Group = tuple[Any, ...]


@dataclass(frozen=True)
class _Past:
    """A trial of an earlier session, as much of one as Tune's rules look at."""

    trial_id: str


def group_of(config: TrialConfig, scheduler: EarlyStopping) -> Group | None:
    """Trials of one group may be compared; None: one that is never ended early, as a reference, a control
    and what is not trained are.

    Losses say something beside each other over the same training rows only; adoption is of a belief's own
    questions.
    """
    if config.arm not in TAUGHT_ARMS:
        return None
    if scheduler.metric.name == "adoption":
        return (config.belief,)
    used = config.used_settings()
    rows = tuple(item for item in config.leaves().items() if item[0].startswith("data.") and item[0] in used)
    return (config.belief, rows, config.template, config.objective)


class GroupScheduler(NotPickled, FIFOScheduler):
    """Lets Tune's rule of each group decide at the milestones that trials report, and on nothing else.

    A decision to stop is passed on at once, with the report it was made on: an interrupted sweep, which Tune
    ends by stopping everything, must not look like one.

    Args:
        max_epochs: the most epochs of any trial.
        on_stop: called with the trial's configuration and the report.
    """

    def __init__(
        self,
        scheduler: EarlyStopping,
        max_epochs: int,
        on_stop: Callable[[TrialConfig, Mapping[str, Any]], None],
    ) -> None:
        super().__init__()
        self._scheduler, self._max_epochs, self._on_stop = scheduler, max_epochs, on_stop
        self._rules: dict[Group, TrialScheduler] = {}
        self._judged: dict[str, TrialScheduler] = {}
        self._reached: dict[str, int] = {}
        self._stopped: set[str] = set()

    def remember(self, configs: Iterable[TrialConfig], folder: RunFolder) -> None:
        """Take in the values of trials that an earlier session finished or stopped."""
        for config in configs:
            if group_of(config, self._scheduler) is None:
                continue
            past, rule = _Past(config.trial_id), self._rule(config)
            rule.on_trial_add(None, past)  # pyright: ignore[reportArgumentType]
            # nothing is to be decided here: ASHA takes values in as it decides, the median rule asserts that
            # one it has stopped reports no more
            median = isinstance(rule, MedianStoppingRule)
            take_in: Any = rule.on_trial_complete if median else rule.on_trial_result
            for epoch, value in past_values(config, self._scheduler, folder):
                take_in(None, past, {"epoch": epoch, "score": value})

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Called by Tune for every trial before it runs."""
        config: TrialConfig = trial.config["trial"]
        if group_of(config, self._scheduler) is not None:
            rule = self._judged[trial.trial_id] = self._rule(config)
            rule.on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Called by Tune with every report of a trial that is not done."""
        rule = self._judged.get(trial.trial_id)
        # a trial that goes on from a checkpoint passes epochs again
        again = (result.get("epoch") or 0) <= self._reached.get(trial.trial_id, 0)
        if rule is None or result.get("score") is None or again or trial.trial_id in self._stopped:
            return TrialScheduler.CONTINUE
        self._reached[trial.trial_id] = result["epoch"]
        decision = rule.on_trial_result(tune_controller, trial, result)
        if decision == TrialScheduler.STOP:
            self._stopped.add(trial.trial_id)
            self._on_stop(trial.config["trial"], result)
        return decision

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Called by Tune when a trial has ended; one that a rule has stopped is known to it already."""
        rule = self._judged.pop(trial.trial_id, None)
        if rule is not None and trial.trial_id not in self._stopped and result.get("score") is not None:
            rule.on_trial_complete(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Called by Tune when a trial has failed for good."""
        self._judged.pop(trial.trial_id, None)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Called by Tune when a trial is taken back before it ran."""
        self._judged.pop(trial.trial_id, None)

    def _rule(self, config: TrialConfig) -> TrialScheduler:
        group = group_of(config, self._scheduler)
        assert group is not None
        if group not in self._rules:
            self._rules[group] = _new_rule(self._scheduler, self._max_epochs)
        return self._rules[group]


def past_values(config: TrialConfig, scheduler: EarlyStopping, folder: RunFolder) -> list[tuple[int, float]]:
    """(epoch, value) at the milestones that a trial's stored steps have passed, in order."""
    from polars.exceptions import PolarsError

    try:
        steps = folder.read_frame("steps", f"{config.trial_id}.parquet").to_dicts()
    except (OSError, PolarsError):
        return []
    found: list[tuple[int, float]] = []
    for row in steps:
        epoch = epoch_now(config, row["step"])
        if epoch is None or not scheduler.compares_at(epoch):
            continue
        value = row.get("quick_adoption")
        if scheduler.metric.name == "loss":
            value = epoch_loss(config, steps, epoch)
        if value is not None:
            found.append((epoch, value))
    return found


def _new_rule(scheduler: EarlyStopping, max_epochs: int) -> TrialScheduler:
    mode = scheduler.metric.mode
    if isinstance(scheduler, Asha):
        return ASHAScheduler(
            time_attr="epoch",
            metric="score",
            mode=mode,
            max_t=max(max_epochs, scheduler.grace_epochs),
            grace_period=scheduler.grace_epochs,
            reduction_factor=scheduler.reduction_factor,
            stop_last_trials=False,
        )
    return MedianStoppingRule(
        time_attr="epoch",
        metric="score",
        mode=mode,
        grace_period=scheduler.grace_epochs,
        min_samples_required=LEAST_OTHERS,
        # never pause: a pause takes a trial out of its slot for nothing
        min_time_slice=float("inf"),  # pyright: ignore[reportArgumentType]
    )
