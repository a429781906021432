"""A host whose trials take two seconds and train nothing; its queue, moves and ends are the real ones.

No torch here, for Ray imports it into every process that looks a host up.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from beliefmod.config import TrialConfig
from beliefmod.fleet.host_build import actor_name
from beliefmod.run.by_hand import words_of
from beliefmod.run.folder import RunFolder
from beliefmod.trial import TrialRun
from beliefmod.worker.queue import TrialQueue
from benchmarks.trivial_host import TrivialHost

SECONDS, RAN = 2.0, "ran"
"""Of a trial; and the folder in the run in which hosts note what they ran."""


class SlowPack:
    """One trial after the other, each for two seconds."""

    def __init__(self, folder: RunFolder, tell: Callable[[dict[str, Any]], None]) -> None:
        self.folder, self.tell, self.queue = folder, tell, TrialQueue(keeps_branches=False)
        threading.Thread(target=self._work, daemon=True).start()

    def attach(self, config: TrialConfig, branches: Sequence[TrialConfig] = ()) -> None:
        self.queue.attach(config, branches)

    def give_back(self, trial_id: str) -> list[str]:
        return [config.trial_id for config in self.queue.give_back(trial_id)]

    def close(self) -> None:
        self.queue.close()

    def _work(self) -> None:
        while self.queue.wait_for_work():
            for run in self.queue.take_stopped_by_hand():
                self._end(run.config, "stopped")
            for run in self.queue.running():
                if time.monotonic() - run.started > SECONDS:
                    self._end(run.config, "finished")
            if not self.queue.running() and (config := self.queue.next_ready(lambda _: True)):
                job: Any = SimpleNamespace(rows=())
                self.queue.start(TrialRun(config, job, ()))
            time.sleep(0.05)

    def _end(self, config: TrialConfig, status: str) -> None:
        self.queue.end(config)
        self.folder.write_json({"host": actor_name()}, RAN, f"{config.trial_id}.json")
        by_hand = words_of(self.folder, config.trial_id)
        identity = {"trial_id": config.trial_id, "arm": config.arm, "belief": config.belief}
        row = {**identity, "seed": config.seed, "status": status, "by_hand": by_hand}
        self.folder.write_trial(row)
        self.tell({"trial_id": config.trial_id, "state": status, "step": 0, "loss": None, "row": row})


class SlowHost(TrivialHost):
    """The second one says that it has endless work ahead, so that no trial goes to it at first."""

    async def ready(self) -> dict[str, Any]:
        if self._pack is None:
            loop = asyncio.get_running_loop()

            def tell(report: dict[str, Any]) -> None:
                loop.call_soon_threadsafe(self._deliver, report)

            self._pack = SlowPack(RunFolder(self._settings.run_url), tell)
            self._facts = {"name": "trivial", "self_tests": {}, "engine": {"slots": 1, "parking": 0}}
        return self._facts

    async def backlog(self) -> float:
        return 1e9 if actor_name().endswith("-1") else await super().backlog()
