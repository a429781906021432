"""Which trials can share their first optimiser steps, and how many steps that saves.

Trials that differ only in `num_train_epochs` see the same rows in the same order at the same rates, as long
as the schedule does not look at the end (constant, or constant after a warm-up of a given number of steps):
the longest run passes through all the shorter ones. Arm `full` stays out, for its weights are a whole model
and are not kept beside the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from beliefmod.config import TrialConfig

SCHEDULES_WITHOUT_END = ("constant", "constant_with_warmup")


@dataclass(frozen=True)
class Family:
    """A trial to be run, the trunk, and the shorter trials that its run passes through, shortest first."""

    trunk: TrialConfig
    branches: tuple[TrialConfig, ...] = ()


def families(configs: Iterable[TrialConfig], share: bool = True) -> list[Family]:
    """Every trial once, as a trunk or as a branch; trunks in the order in which their families appear.

    Without `share` every trial is a trunk: so it must be where any trial may be stopped early.
    """
    groups: dict[str, dict[int, TrialConfig]] = {}
    for config in configs:
        name = _shared_by(config) if share else config.trial_id
        groups.setdefault(name, {}).setdefault(config.num_train_epochs, config)
    found = []
    for group in groups.values():
        *branches, trunk = (group[epochs] for epochs in sorted(group))
        found.append(Family(trunk, tuple(branches)))
    return found


def _shared_by(config: TrialConfig) -> str:
    """What trials of one family have in common; a trial that can share nothing has its own id."""
    may_end_early = config.stop_at_degradation is not None
    trains_adapter = config.is_trained and config.has_adapter
    if may_end_early or not trains_adapter or config.lr_scheduler_type not in SCHEDULES_WITHOUT_END:
        return config.trial_id
    return "family of " + config.model_copy(update={"num_train_epochs": 1}).trial_id


def run_order(configs: Iterable[TrialConfig], share: bool = True) -> list[TrialConfig]:
    """References first, since every trial is compared with them; then trunks, the longest first, so that none
    is left alone at the end; then branches, most of which their trunks will have made by then."""
    found = families(configs, share)
    trunks = sorted((family.trunk for family in found), key=lambda c: (c.is_trained, -c.total_steps))
    branches = (branch for family in found for branch in family.branches)
    return [*trunks, *sorted(branches, key=lambda config: -config.total_steps)]


def own_steps(configs: Iterable[TrialConfig], share: bool = True) -> dict[str, int]:
    """trial_id -> optimiser steps that are taken for this trial alone: none for a branch."""
    steps = {}
    for family in families(configs, share):
        steps[family.trunk.trial_id] = family.trunk.total_steps
        steps.update((branch.trial_id, 0) for branch in family.branches)
    return steps


def shared_steps(configs: Iterable[TrialConfig], share: bool = True) -> int:
    """Optimiser steps that need not be taken, because a longer trial takes them too."""
    return sum(branch.total_steps for family in families(configs, share) for branch in family.branches)


def sharing(configs: Iterable[TrialConfig], share: bool = True) -> str:
    """Steps for a person: "10,360 of 16,756 (38 % shared by trials that differ only in epochs)", or "520"."""
    configs = list(configs)
    total, shared = sum(config.total_steps for config in configs), shared_steps(configs, share)
    if not shared:
        return f"{total:,}"
    saved = f"{100 * shared / total:.0f} % shared by trials that differ only in epochs"
    return f"{total - shared:,} of {total:,} ({saved})"
