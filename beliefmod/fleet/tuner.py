"""What Ray Tune is asked to run: one trial per configuration, in an order that leaves no slot waiting."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ray import tune
from ray.tune.search import Searcher

from beliefmod.capacity.resources import Capacity
from beliefmod.config import TrialConfig
from beliefmod.errors import UserError
from beliefmod.fleet.gauges import TallyGauges
from beliefmod.fleet.hand_requests import HandRequests
from beliefmod.fleet.hosts import Fleet, Hosts
from beliefmod.fleet.progress import Progress
from beliefmod.fleet.sealing import Sealing
from beliefmod.fleet.shutdown import Shutdown
from beliefmod.fleet.trackers import Trackers
from beliefmod.fleet.trainable import BeliefTrial
from beliefmod.fleet.tune_memory import EndedTrials, NotPickled
from beliefmod.run.folder import RunFolder
from beliefmod.run.integrity import ENDED
from beliefmod.run.seal.trial_seals import TrialSeals
from beliefmod.run.suggestions import known_trials
from beliefmod.space import NoScheduler, Space
from beliefmod.space.shared_runs import families, run_order

if TYPE_CHECKING:
    from beliefmod.fleet.search import BeliefSearch

ROW_SECONDS = 60.0
NAMED_TRIALS = 300
"""In sweeps of up to so many trials, each has a name of its own among the tasks of Ray's dashboard. Ray keeps
about twenty metric series for every name, and never drops one."""


def tune_trials(
    configs: Sequence[TrialConfig],
    space: Space,
    folder: RunFolder,
    fleet: Fleet,
    capacity: Capacity,
    progress: Progress,
    shutdown: Shutdown,
    trackers: Trackers | None = None,
) -> None:
    """Run the configurations, and what a search chooses after them, to their ends on the fleet's hosts, or
    until a shutdown begins."""
    stopped: list[str] = []
    hosts = Hosts(fleet.names, fleet.namespace)
    searcher = _searcher(configs, space, folder)
    by_hand = HandRequests(
        folder,
        progress.say,
        lambda: {config.trial_id: config for config in known_trials(space, folder)},
        hosts.stop_by_hand,
        searcher,
        progress.tally.add,
    )
    tuner = tune.Tuner(
        BeliefTrial,
        param_space={
            "hosts": fleet.names,
            "namespace": fleet.namespace,
            "resources": capacity.trial_resources,
            "named": (space.planned() if space.searches else len(configs)) <= NAMED_TRIALS,
        },
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            num_samples=-1,  # the searcher says itself when it is at its end
            scheduler=_scheduler(space, folder, hosts, progress, stopped),
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
                by_hand,
                TallyGauges(progress.tally, folder.name),
                *(trackers.callbacks(folder.name, progress.say) if trackers else ()),
                Sealing(TrialSeals(folder)),
                EndedTrials(),
            ],
            stop=shutdown,
            failure_config=tune.FailureConfig(max_failures=3),
            # else Tune has every trial write a pickle of nothing at its end
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )
    tuner.fit()
    if not shutdown.interrupted and shutdown.trouble is None:
        _await_rows(stopped, folder)


class KnownTrials(NotPickled, Searcher):
    """Gives Tune the configurations in the order of `run_order`, one at a time, each with its family.

    Tune 2.60's own grid would make the specification of every trial at the start, each with a copy of
    everything else, and pickle those that are left with every state file.

    Args:
        share: whether trials that differ only in epochs are one run.
    """

    def __init__(self, configs: Sequence[TrialConfig], share: bool) -> None:
        super().__init__()
        found = [family for family in families(configs, share) if family.branches]
        self._branches = {family.trunk.trial_id: family.branches for family in found}
        self._trunks = {
            branch.trial_id: family.trunk.trial_id for family in found for branch in family.branches
        }
        self._queue = deque(run_order(configs, share))
        self._finished = False

    def add(self, config: TrialConfig) -> bool:
        """Put a trial before those that wait; False where the last one was given."""
        if not self._finished:
            self._queue.appendleft(config)
        return not self._finished

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The next trial; `family` says whose run makes it (None: its own) and what its own run makes."""
        if not self._queue:
            self._finished = True
            return Searcher.FINISHED
        config = self._queue.popleft()
        branches = self._branches.get(config.trial_id, ())
        return {
            "trial": config,
            "family": {
                "trunk": self._trunks.get(config.trial_id),
                "branches": list(branches),
            },
        }

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Called by Tune; nothing that is to come depends on it."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the run folder holds what is needed to go on."""


def _searcher(configs: Sequence[TrialConfig], space: Space, folder: RunFolder) -> KnownTrials | BeliefSearch:
    """Who hands Tune its trials."""
    share = space.shares_steps
    if not space.searches:
        return KnownTrials(configs, share)
    from beliefmod.fleet.search import BeliefSearch  # Optuna takes a second to load

    return BeliefSearch(space, folder, run_order(configs, share))


def _scheduler(
    space: Space,
    folder: RunFolder,
    hosts: Hosts,
    progress: Progress,
    stopped: list[str],
) -> Any:
    """The space's scheduler, knowing what earlier sessions have seen; None where it has none.

    Whom it stops is put on the list `stopped`.
    """
    scheduler = space.spec.scheduler
    if isinstance(scheduler, NoScheduler):
        return None
    from beliefmod.fleet.scheduler import GroupScheduler

    def on_stop(config: TrialConfig, report: Mapping[str, Any]) -> None:
        stopped.append(config.trial_id)
        hosts.stop(config.trial_id)
        progress.tally.stop(config.trial_id)

    known = GroupScheduler(scheduler, max(space.possible("num_train_epochs")), on_stop)
    ended = {trial_id for trial_id, state in folder.states().items() if state.status in ENDED}
    known.remember((c for c in known_trials(space, folder) if c.trial_id in ended), folder)
    return known


def _await_rows(trial_ids: Sequence[str], folder: RunFolder) -> None:
    """Let the hosts write the rows of trials that they are to end: they do it after the step under way,
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
    config: TrialConfig = trial.config["trial"]
    return f"{config.label}-{config.trial_id}"
