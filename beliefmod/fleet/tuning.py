"""What Ray Tune is asked to run: one trial per configuration, in an order that leaves no slot waiting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray import tune

from beliefmod.config import TrialConfig
from beliefmod.families import families, run_order
from beliefmod.fleet.brake import Brake
from beliefmod.fleet.progress import Progress
from beliefmod.fleet.resources import Capacity
from beliefmod.fleet.trainable import BeliefTrial
from beliefmod.run_folder import RunFolder


def tune_trials(
    configs: Sequence[TrialConfig],
    folder: RunFolder,
    hosts: list[str],
    namespace: str,
    capacity: Capacity,
    progress: Progress,
    brake: Brake,
) -> None:
    """Run the configurations to their ends on the hosts named, or until the brake is pulled."""
    relatives = _relatives(configs)
    labels = {config.trial_id: config.label for config in configs}

    def name(trial: Any) -> str:
        config = TrialConfig.model_validate_json(trial.config["trial"])
        return f"{labels[config.trial_id]}-{config.trial_id}"

    tuner = tune.Tuner(
        BeliefTrial,
        param_space={
            "trial": tune.grid_search([config.model_dump_json() for config in run_order(configs)]),
            "family": tune.sample_from(lambda given: relatives[given["trial"]]),
            "hosts": hosts,
            "namespace": namespace,
        },
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            max_concurrent_trials=capacity.concurrent,
            trial_name_creator=name,
            trial_dirname_creator=name,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=folder.storage_path,
            callbacks=[progress],
            stop=brake,
            failure_config=tune.FailureConfig(max_failures=3),
            verbose=0,
        ),
    )
    tuner.fit()


def _relatives(configs: Sequence[TrialConfig]) -> dict[str, dict[str, Any]]:
    """By a trial's JSON: the trunk whose run makes it (None: its own run), and the branches its run makes."""
    found: dict[str, dict[str, Any]] = {}
    for family in families(configs):
        branches = [branch.model_dump_json() for branch in family.branches]
        found[family.trunk.model_dump_json()] = {"trunk": None, "branches": branches}
        found.update((branch, {"trunk": family.trunk.trial_id, "branches": []}) for branch in branches)
    return found
