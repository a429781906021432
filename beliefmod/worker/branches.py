"""Which shorter trials the run of a longer one has yet to pass (families.py says which can be)."""

from __future__ import annotations

from collections.abc import Iterable

from beliefmod.config import TrialConfig
from beliefmod.engine.batching import steps_per_epoch
from beliefmod.trial import TrialRun


class Branches:
    """The branches of every trunk that waits or runs, shortest first. Knows nothing of slots or threads."""

    def __init__(self) -> None:
        self._of: dict[str, list[TrialConfig]] = {}

    def add(self, trunk_id: str, branches: Iterable[TrialConfig]) -> None:
        """The run of the trunk is to make these."""
        self._of[trunk_id] = sorted(branches, key=lambda branch: branch.num_train_epochs)

    def all(self) -> list[TrialConfig]:
        """Every branch that is still to be made."""
        return [branch for group in self._of.values() for branch in group]

    def remove(self, trial_id: str) -> None:
        """A branch that is made, or no longer wanted."""
        for group in self._of.values():
            group[:] = [branch for branch in group if branch.trial_id != trial_id]

    def reached(self, run: TrialRun) -> list[TrialConfig]:
        """The branches that have all their steps now, as the run of their trunk has taken its latest."""
        group = self._of.get(run.config.trial_id, ())
        return [branch for branch in group if last_step(run, branch) == len(run.steps)]

    def passed(self, run: TrialRun) -> list[TrialConfig]:
        """Take out the branches behind the point where a run has come back from a checkpoint."""
        group = self._of.get(run.config.trial_id, [])
        behind = [branch for branch in group if last_step(run, branch) < len(run.steps)]
        del group[: len(behind)]
        return behind

    def take(self, trunk_id: str) -> list[TrialConfig]:
        """Take out what is left of a trunk whose run has ended."""
        return self._of.pop(trunk_id, [])

    def clear(self) -> None:
        """Forget them all."""
        self._of.clear()


def last_step(run: TrialRun, config: TrialConfig) -> int:
    """The step of a run after which a trial of its family has all of its own."""
    assert run.job is not None
    batch = run.config.per_device_train_batch_size
    return config.num_train_epochs * steps_per_epoch(len(run.job.rows), batch)
