"""A trial as Ray Tune sees it: thin, it waits for reports from the host that does the work.

This module never imports torch: a trial's process costs a tenth of one that does.
"""

from __future__ import annotations

import time
from typing import Any

import ray
from ray import tune
from ray.exceptions import ActorUnavailableError, GetTimeoutError, OutOfMemoryError, RayActorError

from beliefmod.config import TrialConfig

HOST_LOST = (RayActorError, ActorUnavailableError, OutOfMemoryError)
ATTEMPTS = 20


class BeliefTrial(tune.Trainable):
    """One configuration. Its row is written by the host; what it reports to Tune is for progress.

    The loss of a host does not count as a failure: the trial attaches again, to that host once it is back or
    to another one.
    """

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """Almost nothing, on the machine of the driver: a lost GPU machine then takes no trial with it."""
        return tune.PlacementGroupFactory([{"node:__internal_head__": 0.0001}])

    def setup(self, config: dict[str, Any]) -> None:
        """Called once per process."""
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Called when the process is handed the next trial."""
        self._trial = TrialConfig.model_validate_json(new_config["trial"])
        self._hosts: list[str] = new_config["hosts"]
        self._namespace: str = new_config["namespace"]
        self._host: Any = None
        return True

    def step(self) -> dict[str, Any]:
        """Wait for the next report of the trial."""
        report = self._next_report()
        row = report["row"] or {}
        return {
            "done": report["state"] != "training",
            "status": report["state"],
            "belief": self._trial.belief,
            "arm": self._trial.arm,
            "label": self._trial.label,
            "optimizer_step": report["step"],
            "loss": report["loss"],
            "adoption": row.get("adoption"),
            "degradation": row.get("degradation"),
            "error_message": row.get("error"),
        }

    def _next_report(self) -> dict[str, Any]:
        for attempt in range(ATTEMPTS):
            try:
                if self._host is None:
                    self._host = self._least_loaded()
                    ray.get(self._host.attach.remote(self._trial.model_dump(mode="json")))
                report: Any = ray.get(self._host.next.remote(self._trial.trial_id))
                if report is not None:
                    return report
                self._host = None  # the host was restarted and has forgotten the trial
            except HOST_LOST:
                self._host = None
                time.sleep(min(2.0**attempt * 0.1, 15.0))
        raise RuntimeError(f"no host answered in {ATTEMPTS} attempts")

    def _least_loaded(self) -> Any:
        """The host with the least work ahead, of those that answer."""
        best, least = None, None
        for name in self._hosts:
            try:
                host = ray.get_actor(name, namespace=self._namespace)
                backlog = ray.get(host.backlog.remote(), timeout=30)
            except (ValueError, *HOST_LOST, GetTimeoutError):
                continue
            if least is None or backlog < least:
                best, least = host, backlog
        if best is None:
            raise ActorUnavailableError("no host is up", None)
        return best

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Nothing to save here: the host writes what a trial leaves."""
        return {}

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Nothing to load."""

    def cleanup(self) -> None:
        """Leave the host, if the trial was stopped before its end."""
        if self._host is not None:
            self._host.detach.remote(self._trial.trial_id)

    def __repr__(self) -> str:
        return f"BeliefTrial({self._trial.label})"
