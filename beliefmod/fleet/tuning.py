"""What Ray Tune is asked to run: one trial per configuration, in an order that leaves no slot waiting."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from beliefmod.config import TrialConfig
from beliefmod.errors import UserError
from beliefmod.families import run_order
from beliefmod.fleet.brake import Brake
from beliefmod.fleet.gauges import TallyGauges
from beliefmod.fleet.given import GivenTrials
from beliefmod.fleet.hosts import Hosts
from beliefmod.fleet.leavings import Leavings
from beliefmod.fleet.progress import Progress
from beliefmod.fleet.resources import Capacity
from beliefmod.fleet.suggestions import known_trials
from beliefmod.fleet.trackers import Trackers
from beliefmod.fleet.trainable import BeliefTrial
from beliefmod.run_check import ENDED
from beliefmod.run_folder import RunFolder
from beliefmod.space import Space

ROW_SECONDS = 60.0
NAMED_TRIALS = 300
"""In sweeps of up to so many trials, each has a name of its own among the tasks of Ray's dashboard. Ray keeps
about twenty metric series for every name, and never drops one."""


def tune_trials(
    configs: Sequence[TrialConfig],
    space: Space,
    folder: RunFolder,
    hosts: list[str],
    namespace: str,
    capacity: Capacity,
    progress: Progress,
    brake: Brake,
    trackers: Trackers | None = None,
) -> None:
    """Run the configurations, and what a search chooses after them, to their ends on the hosts named, or
    until the brake is pulled."""
    stopped: list[str] = []
    fleet = Hosts(hosts, namespace)
    tuner = tune.Tuner(
        BeliefTrial,
        param_space={
            "hosts": hosts,
            "namespace": namespace,
            "resources": capacity.trial_resources,
            "named": (space.planned() if space.searches else len(configs)) <= NAMED_TRIALS,
        },
        tune_config=tune.TuneConfig(
            search_alg=_searcher(configs, space, folder),
            num_samples=-1,  # the searcher says itself when it is at its end
            scheduler=_referee(space, folder, fleet, progress, stopped),
            reuse_actors=True,
            max_concurrent_trials=capacity.concurrent,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=folder.storage_path,
            callbacks=[
                progress,
                TallyGauges(progress.tally, folder.name),
                *(trackers.callbacks(folder.name, progress.say) if trackers else ()),
                Leavings(),
            ],
            stop=brake,
            failure_config=tune.FailureConfig(max_failures=3),
            # else Tune has every trial write a pickle of nothing at its end
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )
    tuner.fit()
    if not brake.interrupted and brake.trouble is None:
        _await_rows(stopped, folder)


def _searcher(configs: Sequence[TrialConfig], space: Space, folder: RunFolder) -> Searcher:
    """Who hands Tune its trials."""
    share = space.spec.search.shares_steps
    if not space.searches:
        return GivenTrials(configs, share)
    from beliefmod.fleet.search import BeliefSearch  # Optuna takes a second to load

    return BeliefSearch(space, folder, run_order(configs, share))


def _referee(
    space: Space,
    folder: RunFolder,
    hosts: Hosts,
    progress: Progress,
    stopped: list[str],
) -> Any:
    """The space's scheduler, knowing what earlier sessions have seen; None where it has none.

    Whom it stops is put on the list `stopped`.
    """
    search = space.spec.search
    if search.scheduler == "none":
        return None
    from beliefmod.fleet.schedule import Referee

    def on_stop(config: TrialConfig, report: Mapping[str, Any]) -> None:
        stopped.append(config.trial_id)
        hosts.stop(config.trial_id)
        progress.tally.stop(config.trial_id)

    referee = Referee(search, max(space.possible("num_train_epochs")), on_stop)
    ended = {trial_id for trial_id, state in folder.states().items() if state.status in ENDED}
    referee.remember((c for c in known_trials(space, folder) if c.trial_id in ended), folder)
    return referee


def _await_rows(trial_ids: Sequence[str], folder: RunFolder) -> None:
    """Let the hosts write the rows of trials that they were told to end: they do it after the step under way,
    and without its row a trial would run again."""
    end = time.monotonic() + ROW_SECONDS
    for trial_id in trial_ids:
        while not _has_ended(trial_id, folder) and time.monotonic() < end:
            time.sleep(0.1)


def _has_ended(trial_id: str, folder: RunFolder) -> bool:
    try:
        return folder.read_json("rows", f"{trial_id}.json").get("status") in ENDED
    except UserError:  # not there yet
        return False


def _name(trial: Any) -> str:
    config = TrialConfig.model_validate_json(trial.config["trial"])
    return f"{config.label}-{config.trial_id}"
