"""What Ray Tune is asked to run: one trial per configuration, in an order that leaves no slot waiting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray import tune

from beliefmod.config import TrialConfig
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
) -> None:
    """Run the configurations to their ends on the hosts named; returns normally after Ctrl-C too."""
    # references first, since every trial is compared with them; then the longest, so that none is left alone
    ordered = sorted(configs, key=lambda config: (config.is_trained, -config.total_steps))
    labels = {config.trial_id: config.label for config in configs}

    def name(trial: Any) -> str:
        config = TrialConfig.model_validate_json(trial.config["trial"])
        return f"{labels[config.trial_id]}-{config.trial_id}"

    tuner = tune.Tuner(
        BeliefTrial,
        param_space={
            "trial": tune.grid_search([config.model_dump_json() for config in ordered]),
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
            failure_config=tune.FailureConfig(max_failures=3),
            verbose=0,
        ),
    )
    tuner.fit()
