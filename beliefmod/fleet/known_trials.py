"""The trials that are known beforehand, handed to Tune one at a time.

Tune 2.60's own grid would make the specification of every trial at the start, each with a copy of everything
else, and pickle those that are left with every state file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from ray.tune.search import Searcher

from beliefmod.config import TrialConfig
from beliefmod.space.shared_runs import families, run_order


class KnownTrials(Searcher):
    """Gives Tune the configurations in the order of `run_order`, each with its family.

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

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The next trial; `family` says whose run makes it (None: its own) and what its own run makes."""
        if not self._queue:
            return Searcher.FINISHED
        config = self._queue.popleft()
        branches = self._branches.get(config.trial_id, ())
        return {
            "trial": config.model_dump_json(),
            "family": {
                "trunk": self._trunks.get(config.trial_id),
                "branches": [branch.model_dump_json() for branch in branches],
            },
        }

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Called by Tune; nothing that is to come depends on it."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the run folder holds what is needed to go on."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles searchers with its own state, which we never restore from."""
        return {}
