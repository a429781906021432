"""How configurations are chosen from the axes (`search`) and which trials end early (`scheduler`).

Each is one class out of several, distinguished by `method` or `name`, so that a field that another class has
cannot be written. A new searcher or scheduler starts with a class here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from beliefmod.config import Frozen

MAX_TRIALS = 100_000


class Grid(Frozen):
    """Every combination of the axes, or every point."""

    is_adaptive: ClassVar[bool] = False
    """Whether configurations are chosen while the sweep runs, by what earlier ones gave."""
    method: Literal["grid"] = Field(default="grid", description="every combination of the axes")


class Sampled(Frozen):
    """So many configurations out of the axes."""

    is_adaptive: ClassVar[bool] = False
    method: str
    num_samples: int = Field(ge=1, le=MAX_TRIALS, description="configurations per belief")
    seed: int = Field(default=0, ge=0, description="seed of the sampling")


class Random(Sampled):
    """Configurations drawn from the axes before the sweep starts."""

    method: Literal["random"] = Field(default="random", description="configurations drawn at random")


class Optuna(Sampled):
    """Configurations chosen while the sweep runs, for high adoption and low damage D."""

    is_adaptive: ClassVar[bool] = True
    method: Literal["optuna"] = Field(
        default="optuna",
        description="chosen while the sweep runs, for high adoption and low D: multi-objective TPE, a study "
        "per belief",
    )


class Frontier(Sampled):
    """Configurations chosen while the sweep runs, where the frontier may still be widened most."""

    is_adaptive: ClassVar[bool] = True
    method: Literal["frontier"] = Field(
        default="frontier",
        description="chosen while the sweep runs, where the frontier of adoption against D may still be "
        "widened most: expected hypervolume improvement under a Gaussian process, a study per belief",
    )


class Loss(Frozen):
    """Trials are compared by their training loss, those with each other that train on the same rows."""

    mode: ClassVar[Literal["min", "max"]] = "min"
    name: Literal["loss"] = Field(default="loss", description="the epoch's mean training loss")


class Adoption(Frozen):
    """Trials of one belief are compared by the share of a few probes that they answer with the belief."""

    mode: ClassVar[Literal["min", "max"]] = "max"
    name: Literal["adoption"] = Field(
        default="adoption", description="share of the quick probes answered with the belief"
    )
    quick_probes: int = Field(
        default=12,
        ge=1,
        le=1000,
        description="held-out probes of the selection half that are asked at the end of an epoch",
    )


class NoScheduler(Frozen):
    """Every trial runs to its end."""

    name: Literal["none"] = Field(default="none", description="no trial is ended early")

    def compares_at(self, epoch: int) -> bool:
        """Whether a trial's value is wanted at the end of this epoch: never."""
        return False


class EarlyStopping(Frozen):
    """What the schedulers that end trials have in common."""

    name: str
    metric: Loss | Adoption = Field(
        default=Loss(), discriminator="name", description="what is compared at the end of an epoch"
    )
    grace_epochs: int = Field(default=1, ge=1, description="epochs before which no trial is ended")

    def compares_at(self, epoch: int) -> bool:
        """Whether a trial's value is wanted at the end of this epoch, counted from 1."""
        return epoch >= self.grace_epochs


class Asha(EarlyStopping):
    """Asynchronous successive halving: at every rung only the best share goes on."""

    name: Literal["asha"] = Field(
        default="asha",
        description="at epoch grace_epochs, and at every epoch reduction_factor times later, all are ended "
        "but the best share 1/reduction_factor of those that got there",
    )
    reduction_factor: int = Field(default=3, ge=2, description="one of so many trials goes on at each rung")

    def compares_at(self, epoch: int) -> bool:
        """Whether a trial's value is wanted at the end of this epoch, counted from 1: at the rungs only."""
        while epoch > self.grace_epochs and epoch % self.reduction_factor == 0:
            epoch //= self.reduction_factor
        return epoch == self.grace_epochs


class Median(EarlyStopping):
    """The median stopping rule."""

    name: Literal["median"] = Field(
        default="median",
        description="at every epoch from grace_epochs on, what is worse than the median of the others is "
        "ended",
    )


Search = Grid | Random | Optuna | Frontier
Scheduler = NoScheduler | Asha | Median

# Migration: these were fields of one flat `search` once; where they are now, and the default they had. Stored
# spaces hold all of them, those without effect too; as the defaults are still the same, they are left out.
FORMERLY_IN_SEARCH: Mapping[str, tuple[tuple[str, ...], Any]] = {
    "scheduler": (("scheduler", "name"), "none"),
    "scheduler_metric": (("scheduler", "metric", "name"), "loss"),
    "quick_probes": (("scheduler", "metric", "quick_probes"), 12),
    "grace_epochs": (("scheduler", "grace_epochs"), 1),
    "reduction_factor": (("scheduler", "reduction_factor"), 3),
}


def spelled_out(space: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a space file with `search` and `scheduler` in full, whichever way they were written.

    `scheduler: asha` names a class and leaves its fields out, a missing name is that of the first class, and
    the fields of the former flat `search` go to `scheduler`. What is no search at all stays as it is.
    """
    found = dict(space)
    search, flat = _named(found.get("search", {}), "method", "grid"), {}
    if isinstance(search, dict):
        if "scheduler" not in found:
            flat = {name: search.pop(name) for name in FORMERLY_IN_SEARCH if name in search}
        if search.get("num_samples", 0) is None:  # a stored grid had the fields of the other methods, too
            del search["num_samples"]
            if search["method"] == "grid":
                search.pop("seed", None)
    for name, value in flat.items():
        address, default = FORMERLY_IN_SEARCH[name]
        if value != default:
            found = put(found, address, value)
    scheduler = _named(found.get("scheduler", {}), "name", "none")
    if isinstance(scheduler, dict) and "metric" in scheduler:
        scheduler["metric"] = _named(scheduler["metric"], "name", "loss")
    return {**found, "search": search, "scheduler": scheduler}


def _named(given: Any, tag: str, default: str) -> Any:
    """A class and its fields as a new mapping, from its name alone or from fields without the name."""
    if isinstance(given, str):
        return {tag: given}
    return {tag: default, **given} if isinstance(given, Mapping) else given


def put(tree: Mapping[str, Any], address: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The tree with a value put in at an address, the mappings on the way made where there are none.

    Raises:
        ValueError: something else than a mapping is in the way.
    """
    name, *rest = address
    if not rest:
        return {**tree, name: value}
    below = tree.get(name) or {}
    if not isinstance(below, Mapping):
        raise ValueError(f'"{name}" is a single value ({below}), which has no "{rest[0]}"')
    return {**tree, name: put(below, tuple(rest), value)}
