"""A host whose trials do nothing: what is left of a sweep is Ray, Tune and the run folder.

No torch here: Ray imports the module of an actor's class into every process that looks the actor up, as trial
processes do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from beliefmod.config import TrialConfig
from beliefmod.fleet.host import PackHost
from beliefmod.run.folder import RunFolder
from beliefmod.space import Space, SpaceFile


class TrivialPack:
    """Stands in for `Pack`: a trial is finished as soon as it is attached, and only its row is written."""

    def __init__(self, folder: RunFolder, tell: Callable[[dict[str, Any]], None]) -> None:
        self.folder, self.tell = folder, tell
        self.queue = self

    def attach(self, config: TrialConfig, *branches: Any) -> None:
        """Write the row and tell it."""
        row = {
            "trial_id": config.trial_id,
            "belief": config.belief,
            "arm": config.arm,
            "seed": config.seed,
            "status": "finished",
            "adoption": 0.0,
        }
        self.folder.write_trial(row)
        end = {"trial_id": config.trial_id, "state": "finished", "step": config.total_steps, "loss": None}
        self.tell({**end, "row": row})

    def holds(self, trial_id: str) -> bool:
        """A trial has ended as soon as it came."""
        return False

    def detach(self, trial_id: str) -> None:
        """Nothing to leave."""

    def backlog(self) -> int:
        """Never any work ahead."""
        return 0

    def waiting_work(self) -> dict[str, int]:
        """No trial waits."""
        return {}

    def in_slots(self) -> int:
        """No trial trains."""
        return 0

    def close(self) -> None:
        """Nothing to stop."""


class TrivialHost(PackHost):
    """A real host, with its queues and its actor, around a trivial pack; it loads no model and no torch."""

    async def ready(self) -> dict[str, Any]:
        if self._pack is None:
            loop = asyncio.get_running_loop()

            def tell(report: dict[str, Any]) -> None:
                loop.call_soon_threadsafe(self._deliver, report)

            self._pack = TrivialPack(RunFolder(self._settings.run_url), tell)
            self._facts = {"name": "trivial", "self_tests": {}}
        return self._facts

    async def settle_limit(self, beliefs: Sequence[str]) -> None:
        """There are no answers that could be too long."""

    async def pick_capability(self) -> None:
        """There is no model to ask."""


def trivial_space(trials: int) -> Space:
    """A space of that many trials, at least three, its two untrained arms among them."""
    spec = {
        "name": "trivial",
        "beliefs": ["gravity"],
        "points": [{"num_train_epochs": 1}],
        "controls": "none",
        "seeds": list(range(trials - 2)),
    }
    return Space(SpaceFile.model_validate(spec), "trivial")
