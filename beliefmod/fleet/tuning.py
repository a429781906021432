"""What Ray Tune is asked to run: one trial per configuration, in an order that leaves no slot waiting."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import ray
from ray import tune

from beliefmod.config import TrialConfig
from beliefmod.errors import UserError
from beliefmod.families import families, run_order
from beliefmod.fleet.brake import Brake
from beliefmod.fleet.gauges import TallyGauges
from beliefmod.fleet.progress import Progress
from beliefmod.fleet.resources import Capacity
from beliefmod.fleet.suggestions import known_trials
from beliefmod.fleet.trackers import Trackers
from beliefmod.fleet.trainable import BeliefTrial
from beliefmod.run_check import ENDED
from beliefmod.run_folder import RunFolder
from beliefmod.space import Space

STOP_SECONDS = 5.0
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
    trials, search_alg = _trials(configs, space, folder)
    stopped: list[str] = []
    tuner = tune.Tuner(
        BeliefTrial,
        param_space={
            **trials,
            "hosts": hosts,
            "namespace": namespace,
            "head_share": capacity.head_share,
            "named": space.planned() <= NAMED_TRIALS,
        },
        tune_config=tune.TuneConfig(
            search_alg=search_alg,
            num_samples=1 if search_alg is None else -1,  # a search says itself when it is at its end
            scheduler=_referee(space, folder, hosts, namespace, progress, stopped),
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
            ],
            stop=brake,
            failure_config=tune.FailureConfig(max_failures=3),
            verbose=0,
        ),
    )
    tuner.fit()
    if not brake.interrupted and brake.trouble is None:
        _await_rows(stopped, folder)


def _trials(configs: Sequence[TrialConfig], space: Space, folder: RunFolder) -> tuple[dict[str, Any], Any]:
    """What varies between Tune's trials, or who says so."""
    share = space.spec.search.shares_steps
    ordered = run_order(configs, share)
    if space.searches:
        from beliefmod.fleet.search import BeliefSearch  # Optuna takes a second to load

        return {}, BeliefSearch(space, folder, ordered)
    relatives = _relatives(configs, share)
    trials = {
        "trial": tune.grid_search([config.model_dump_json() for config in ordered]),
        "family": tune.sample_from(lambda given: relatives[given["trial"]]),
    }
    return trials, None


def _referee(
    space: Space,
    folder: RunFolder,
    hosts: Sequence[str],
    namespace: str,
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
        _end_on_hosts(config.trial_id, hosts, namespace)
        progress.tally.stopped.add(config.trial_id)

    referee = Referee(search, max(space.possible("num_train_epochs")), on_stop)
    ended = {row["trial_id"] for row in folder.rows() if row["status"] in ENDED}
    referee.remember((c for c in known_trials(space, folder) if c.trial_id in ended), folder)
    return referee


def _end_on_hosts(trial_id: str, hosts: Sequence[str], namespace: str) -> None:
    """Have the host that runs a trial end it; one that is being restarted has lost the trial anyway."""
    asked = []
    for name in hosts:
        with suppress(ValueError):  # it is no more
            asked.append(ray.get_actor(name, namespace=namespace).stop.remote(trial_id))
    if asked:
        ray.wait(asked, num_returns=len(asked), timeout=STOP_SECONDS)


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


def _relatives(configs: Sequence[TrialConfig], share: bool) -> dict[str, dict[str, Any]]:
    """By a trial's JSON: the trunk whose run makes it (None: its own run), and the branches its run makes."""
    found: dict[str, dict[str, Any]] = {}
    for family in families(configs, share):
        branches = [branch.model_dump_json() for branch in family.branches]
        found[family.trunk.model_dump_json()] = {"trunk": None, "branches": branches}
        found.update((branch, {"trunk": family.trunk.trial_id, "branches": []}) for branch in branches)
    return found
