"""The arms of a run that are read, and which trials get the costly parts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from beliefmod.config import REFERENCE_ARMS
from interp.lens_settings import LensSettings
from interp.types import Row

if TYPE_CHECKING:
    from interp.opened.inspection import Inspection
    from interp.opened.listing import TrainedTrial


@dataclass(frozen=True)
class Arm:
    """An arm that is read.

    Attributes:
        trial_id, name, belief: as tables have them; `name` is base, icl, lora or control.
        stem: whose stems it is given: "base", "icl" or "lora".
        adapter: its name in the engine, None for the untrained arms base and icl.
    """

    trial_id: str
    name: str
    belief: str
    stem: str
    adapter: str | None

    @property
    def columns(self) -> Row:
        """The columns that say whose row it is."""
        return {"trial_id": self.trial_id, "arm": self.name, "belief": self.belief}


def untrained_arm(inspection: Inspection, belief: str, name: str) -> Arm:
    """The arm "base" or "icl" of a belief."""
    return Arm(inspection.references[belief, name].trial_id, name, belief, name, None)


def trained_arm(trial: TrainedTrial) -> Arm:
    """The arm of a trained trial; its adapter goes into the engine under its trial_id."""
    return Arm(trial.trial_id, trial.config.arm, trial.belief, "lora", trial.trial_id)


@contextmanager
def batch_arms(
    inspection: Inspection, trials: Sequence[TrainedTrial], settings: LensSettings
) -> Iterator[dict[str, tuple[Arm, ...]]]:
    """The arms of a batch by belief: untrained ones where it is the belief's first batch, then the trials.

    The trials' adapters are in the engine within the block. Beliefs without an arm are left out.

    Raises:
        UserError: an adapter cannot be read, or changes nothing.
    """
    first = first_of_belief(inspection, trials, deep=False, settings=settings)
    trained = trials if "lora" in settings.arms else ()
    found: dict[str, tuple[Arm, ...]] = {}
    for belief in dict.fromkeys(trial.belief for trial in trials):
        untrained = [name for name in REFERENCE_ARMS if name in settings.arms and belief in first]
        arms = (
            *(untrained_arm(inspection, belief, name) for name in untrained),
            *(trained_arm(trial) for trial in trained if trial.belief == belief),
        )
        if arms:
            found[belief] = arms
    with inspection.loaded(trained):
        yield found


class HasTrained(Protocol):
    """An inspection, or what was listed of a run."""

    @property
    def trained(self) -> tuple[TrainedTrial, ...]:
        """The trained trials, in the table's order."""
        ...


def deep_trials(run: HasTrained, settings: LensSettings) -> tuple[TrainedTrial, ...]:
    """The trials for the costly parts: those the user named, else of every belief the few that adopt most.

    Of a belief that is asked with several switches of the chat template the best few of each.
    Of those that adopt equally much, the ones with the least D. A belief that moved is what there is to be
    looked into, so D does not count beyond that: the gentlest trial is often one that learnt next to nothing.
    Controls are not taken: what they believe has not changed.
    """
    if settings.named:
        return tuple(trial for trial in run.trained if trial.trial_id in settings.named)
    chosen: list[TrainedTrial] = []
    for asked in dict.fromkeys(trial.asked for trial in run.trained):
        among = [t for t in run.trained if t.asked == asked and t.config.arm == "lora"]
        chosen += sorted(among, key=_merit)[: settings.deep]
    return tuple(chosen)


def _merit(trial: TrainedTrial) -> tuple[float, float]:
    damage, adoption = trial.row.get("degradation"), trial.row.get("adoption")
    return (-(adoption or 0.0), math.inf if damage is None else damage)


def why_deep(run: HasTrained, trial: TrainedTrial, settings: LensSettings) -> str:
    """Why one of `deep_trials` is among them, in a few words."""
    if settings.named:
        return "named by --trial"
    chosen = [one.trial_id for one in deep_trials(run, settings) if one.asked == trial.asked]
    among = sum(one.asked == trial.asked and one.config.arm == "lora" for one in run.trained)
    place = chosen.index(trial.trial_id) + 1
    return f"{'highest' if place == 1 else f'number {place} by'} adoption of {among} LoRA trials"


def first_of_belief(
    run: HasTrained, trials: Sequence[TrainedTrial], deep: bool, settings: LensSettings
) -> tuple[str, ...]:
    """Beliefs whose first trial is in this batch: the batch that also writes the untrained arms' rows.

    A belief that is asked with several switches of the chat template has a first trial with each.

    Args:
        deep: whether the part runs over `deep_trials` only.
    """
    everyone = deep_trials(run, settings) if deep else run.trained
    first: dict[tuple[str, str | None], str] = {}
    for trial in everyone:
        first.setdefault(trial.asked, trial.trial_id)
    here = {trial.trial_id for trial in trials}
    return tuple(belief for (belief, _), trial_id in first.items() if trial_id in here)
