"""A fleet's hosts as trials and the driver reach them: all are asked at once, each is looked up once.

No torch here: trial processes import it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, OutOfMemoryError, RayActorError

HOST_LOST = (RayActorError, ActorUnavailableError, OutOfMemoryError)
ANSWER_SECONDS = 30.0
SOON_SECONDS = 5.0
"""So long all are waited for once some have answered: a host may have no machine yet, and no answer."""
SILENT_SECONDS = 15.0
"""So long one that gave no answer is not asked again: every trial that starts would wait for it."""
STOP_SECONDS = 5.0


class Hosts:
    """Handles of named hosts. One that is started again keeps its handle; one that is no more is skipped."""

    def __init__(self, names: Sequence[str], namespace: str) -> None:
        self._names, self._namespace = list(names), namespace
        self._handles: dict[str, Any] = {}
        self._silent_until: dict[str, float] = {}

    def handles(self) -> Mapping[str, Any]:
        """Those that exist, by name."""
        for name in self._names:
            if name not in self._handles:
                with suppress(ValueError):  # it is not there
                    self._handles[name] = ray.get_actor(name, namespace=self._namespace)
        return self._handles

    def for_trial(self, trial_id: str) -> Any:
        """The host that has the trial already (its owner may be its second), or, of those that answer, the
        one with the least work ahead.

        Raises:
            ActorUnavailableError: none answers.
        """
        holds = self._ask(lambda host: host.holds.remote(trial_id))
        if holder := next((name for name, has in holds.items() if has), None):
            return self._handles[holder]
        backlog = self._ask(lambda host: host.backlog.remote())
        if not backlog:
            raise ActorUnavailableError("no host is up", None)
        return self._handles[min(backlog, key=lambda name: backlog[name])]

    def know(self, trial_id: str) -> bool:
        """Whether a trial has come to a host or to its end.

        Only one host is asked whether it has ended: each would read the run folder for that.
        """
        holds = self._ask(lambda host: host.holds.remote(trial_id))
        if any(holds.values()):
            return True
        for name in holds:
            with suppress(*HOST_LOST, GetTimeoutError):
                return bool(ray.get(self._handles[name].knows.remote(trial_id), timeout=ANSWER_SECONDS))
        return False

    def stop(self, trial_id: str) -> None:
        """Have the host that runs a trial end it; one that is being restarted has lost the trial anyway."""
        asked = [host.stop.remote(trial_id) for host in self.handles().values()]
        if asked:
            ray.wait(asked, num_returns=len(asked), timeout=STOP_SECONDS)

    def _ask(self, call: Callable[[Any], Any]) -> dict[str, Any]:
        """The answers of those that give one in time, by name. Who gave none is not asked for a while, unless
        nobody else is there."""
        now, everyone = time.monotonic(), self.handles()
        known = [name for name in everyone if self._silent_until.get(name, 0.0) <= now]
        asked = {name: call(everyone[name]) for name in known or everyone}
        if not asked:
            return {}
        ready, late = ray.wait(list(asked.values()), num_returns=len(asked), timeout=SOON_SECONDS)
        if not ready:
            ready, late = ray.wait(late, num_returns=1, timeout=ANSWER_SECONDS - SOON_SECONDS)
        answers, answered = {}, set(ready)
        self._silent_until.update(
            (name, now + SILENT_SECONDS) for name, reference in asked.items() if reference not in answered
        )
        for name, reference in asked.items():
            if reference in answered:
                with suppress(*HOST_LOST):
                    answers[name] = ray.get(reference)
        return answers
