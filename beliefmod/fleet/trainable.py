"""A trial as Ray Tune sees it: a process that waits for reports from the host that does the work.

This module never imports torch: a trial's process costs a tenth of one that does.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import ray
from ray import tune

from beliefmod.capacity.resources import QUESTIONING_STEPS
from beliefmod.config import TrialConfig
from beliefmod.fleet.hosts import HOST_LOST, Hosts
from beliefmod.worker.balance import MOVED

ATTEMPTS = 20
TRUNK_SECONDS = 60


class BeliefTrial(tune.Trainable):
    """One configuration. Its row is written by the host; what it reports to Tune is for progress.

    The loss of a host does not count as a failure: the trial attaches again, to that host once it is back or
    to another one.
    """

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """As `Capacity.trial_resources` says."""
        return _request(tuple(config["resources"].items()))

    def setup(self, config: dict[str, Any]) -> None:
        """Called once per process, which looks the hosts up once for all its trials."""
        self._hosts = Hosts(config["hosts"], config["namespace"])
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Called when the process is handed the next trial."""
        self._trial: TrialConfig = new_config["trial"]
        self._named: bool = new_config.get("named", False)
        family = new_config.get("family", {})
        self._trunk: str | None = family.get("trunk")
        self._branches = family.get("branches", [])
        self._host: Any = None
        return True

    def step(self) -> dict[str, Any]:
        """Wait for the next report of the trial."""
        report = self._next_report()
        if report["state"] == "released":
            self._host = None  # nothing to leave: the host keeps the trial's checkpoint
        return {
            **_progress(report),
            "done": report["state"] != "training",
            "belief": self._trial.belief,
            "arm": self._trial.arm,
            "label": self._trial.label,
            "loss": report["loss"],
            "branches": [{"trial_id": end["trial_id"], **_progress(end)} for end in report["branches"]],
        }

    def _next_report(self) -> dict[str, Any]:
        elsewhere: str | None = None
        for attempt in range(ATTEMPTS):
            try:
                if self._host is None and elsewhere is not None:
                    self._host, elsewhere = self._hosts.handles().get(elsewhere), None
                    ray.get(self._host.attach.remote(self._trial, self._branches))
                elif self._host is None:
                    self._await_trunk()
                    work = self._trial.total_steps + QUESTIONING_STEPS
                    self._host = self._hosts.for_trial(self._trial.trial_id, work)
                    ray.get(self._host.attach.remote(self._trial, self._branches))
                report: Any = ray.get(self._wait().remote(self._trial.trial_id))
                if report is not None and report["state"] != MOVED:
                    return report
                # the host was restarted and has forgotten the trial, or another one can begin it now
                self._host, elsewhere = None, report and report["to"]
            except HOST_LOST:
                self._host = None
                time.sleep(min(2.0**attempt * 0.1, 15.0))
        raise RuntimeError(f"no host answered in {ATTEMPTS} attempts")

    def _wait(self) -> Any:
        """The call that waits, under the trial's name: this is how the trial shows in Ray's dashboard, for an
        actor that is handed the next trial keeps its first name there."""
        return self._host.next.options(name=self._trial.label) if self._named else self._host.next

    def _await_trunk(self) -> None:
        """Let the run that will make this branch reach its host; taking its steps here too would be a waste.

        It was started before this one. Should it be lost for good, this trial runs by itself in the end.
        """
        end = time.monotonic() + TRUNK_SECONDS
        while self._trunk is not None and time.monotonic() < end:
            if self._hosts.know(self._trunk):
                return
            time.sleep(0.5)

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


@lru_cache(maxsize=1)
def _request(resources: tuple[tuple[str, float], ...]) -> tune.PlacementGroupFactory:
    """One object for all trials: Tune keeps each trial's."""
    return tune.PlacementGroupFactory([dict(resources)])


def _progress(report: dict[str, Any]) -> dict[str, Any]:
    """What progress counts: of a trial, or of a branch that its run has left behind."""
    row = report["row"] or {}
    return {
        "status": report["state"],
        "optimizer_step": report["step"],
        "epoch": report.get("epoch"),
        "score": report.get("score"),
        "adoption": row.get("adoption"),
        "adoption_answerable": row.get("adoption_answerable"),
        "degradation": row.get("degradation"),
        "error_message": row.get("error"),
        "evaluate_seconds": row.get("evaluate_seconds"),
        "finished_at": row.get("finished_at"),
    }
