"""What is asked of an inspection: how many prompts, which parts, which trials get the costly ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from interp.opened.inspection import Inspection
    from interp.opened.listing import Trained

PARTS = ("lens", "ablations", "patching", "doses", "channels", "chain", "truth")
"""Parts in the order in which they run; each writes the tables that `PART_SPECS` names."""
ARMS = ("base", "icl", "lora")
LENSES = ("logit", "tuned", "jacobian")
DAMAGE = 0.05
"""Degradation up to which a trial is preferred for the costly parts."""

Say = Callable[[str], None]
"""Takes one line about what is going on."""
NOTE = "note: "
"""What a line begins with that a reader of the tables must know: it goes into the manifest as well."""
Rows = dict[str, list[dict[str, Any]]]
"""Rows by table."""


@dataclass(frozen=True)
class LensSettings:
    """Settings of `beliefmod lens`.

    Attributes:
        prompts: held-out questions per belief, spread over its families.
        arms: which arms are read; trained adapters, controls included, are "lora".
        parts: which of PARTS.
        scales: factors on an adapter's update for the dose-response; 0 is base, 1 the adapter.
        deep: trials per belief for the costly parts.
        named: trial_ids that the user named: they, and no others, get the costly parts.
        lenses: which of LENSES.
        draws, seed: of the bootstrap.
    """

    prompts: int = 24
    arms: tuple[str, ...] = ARMS
    parts: tuple[str, ...] = PARTS
    scales: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)
    deep: int = 3
    named: tuple[str, ...] = ()
    lenses: tuple[str, ...] = ("logit",)
    draws: int = 2000
    seed: int = 0


class Part(Protocol):
    """A part of the inspection.

    It gets a batch of trials, at most `ADAPTERS` of them and none of them in the engine,
    and puts into the engine what it needs (`Inspection.loaded`, `Inspection.holding`). Rows of the untrained
    arms it writes for every belief that `first_of_belief` gives it, so that each is written once.
    """

    def __call__(
        self, inspection: Inspection, trials: Sequence[Trained], settings: LensSettings, say: Say
    ) -> Rows: ...


class HasTrained(Protocol):
    """An inspection, or what was listed of a run."""

    @property
    def trained(self) -> tuple[Trained, ...]:
        """The trained trials, in the table's order."""
        ...


def deep_trials(inspection: HasTrained, settings: LensSettings) -> tuple[Trained, ...]:
    """The trials for the costly parts: those the user named, else the best few of every belief.

    Best is highest adoption among LoRA trials that adopt at all with D up to DAMAGE; where there are too few
    of these, the others follow by adoption. Controls are not taken: what they believe has not changed.
    """
    if settings.named:
        return tuple(trial for trial in inspection.trained if trial.trial_id in settings.named)
    chosen: list[Trained] = []
    for belief in dict.fromkeys(trial.belief for trial in inspection.trained):
        among = [t for t in inspection.trained if t.belief == belief and t.config.arm == "lora"]
        chosen += sorted(among, key=_merit, reverse=True)[: settings.deep]
    return tuple(chosen)


def _merit(trial: Trained) -> tuple[bool, float]:
    damage, adoption = trial.row.get("degradation"), trial.row.get("adoption") or 0.0
    return (damage is not None and damage <= DAMAGE and adoption > 0, adoption)


def first_of_belief(
    inspection: Inspection, trials: Sequence[Trained], deep: bool, settings: LensSettings
) -> tuple[str, ...]:
    """Beliefs whose first trial is in this batch: the batch that also writes the untrained arms' rows.

    Args:
        deep: whether the part runs over `deep_trials` only.
    """
    everyone = deep_trials(inspection, settings) if deep else inspection.trained
    first: dict[str, str] = {}
    for trial in everyone:
        first.setdefault(trial.belief, trial.trial_id)
    here = {trial.trial_id for trial in trials}
    return tuple(belief for belief, trial_id in first.items() if trial_id in here)
