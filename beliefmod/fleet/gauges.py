"""What a sweep shows Prometheus, through Ray: every gauge with its meaning and labels, named in one place.

Ray exports a gauge `beliefmod_trials` as `ray_beliefmod_trials` at the metrics port of its node.
`docs/grafana/beliefmod.json` shows them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune
from ray.util.metrics import Gauge

from beliefmod.fleet.tune_memory import NotPickled
from beliefmod.metrics.registry import DAMAGE_BUDGET
from beliefmod.monitor.tally import Tally

PREFIX = "ray_"
"""What Ray puts in front of a name."""
SECONDS = 2.0


@dataclass(frozen=True)
class Kind:
    """A gauge: what it means, and the labels of its series."""

    meaning: str
    labels: tuple[str, ...]


DRIVER: Mapping[str, Kind] = {
    "beliefmod_trials": Kind(
        "trials by state: waiting, training, finished, failed, stopped", ("run", "state")
    ),
    "beliefmod_best_adoption": Kind(
        f"highest adoption (0 to 1) of a finished trial with D at most {DAMAGE_BUDGET:g}", ("run", "belief")
    ),
    "beliefmod_seconds_left": Kind("time left at the pace so far, in seconds", ("run",)),
}
HOST: Mapping[str, Kind] = {
    "beliefmod_slots": Kind("slots of a host", ("run", "host")),
    "beliefmod_slots_occupied": Kind("slots in which a trial trains", ("run", "host")),
    "beliefmod_tokens_per_second": Kind(
        "tokens that a host trains on, writes or reads, per second", ("run", "host", "activity")
    ),
    "beliefmod_fraction_of_limit": Kind(
        "what an ideal machine on the same hardware would have needed, of the session so far (0 to 1)",
        ("run", "host"),
    ),
}
EXPORTED = {PREFIX + name for name in (*DRIVER, *HOST)}
"""Names as Prometheus sees them."""


class Gauges:
    """Sets gauges of one table; without Ray it does nothing."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self._made: dict[str, Gauge] = {}
        if ray.is_initialized():
            self._made = {name: Gauge(name, kind.meaning, kind.labels) for name, kind in kinds.items()}

    def set(self, name: str, value: float | None, **labels: str) -> None:
        """One value; None leaves the gauge as it is."""
        if value is not None and name in self._made:
            self._made[name].set(value, labels)


def show_tally(gauges: Gauges, tally: Tally, run: str, now: float) -> None:
    """The driver's gauges. now: on the tally's clock."""
    for state, count in tally.states().items():
        gauges.set("beliefmod_trials", count, run=run, state=state)
    for belief, (adoption, *_) in tally.best.items():
        gauges.set("beliefmod_best_adoption", adoption, run=run, belief=belief)
    gauges.set("beliefmod_seconds_left", tally.seconds_left(now), run=run)


def show_heartbeat(gauges: Gauges, heartbeat: Mapping[str, Any], run: str) -> None:
    """A host's gauges, from its heartbeat."""
    host = heartbeat["host"]
    gauges.set("beliefmod_slots", heartbeat["slots"], run=run, host=host)
    gauges.set("beliefmod_slots_occupied", heartbeat["occupied"], run=run, host=host)
    gauges.set("beliefmod_fraction_of_limit", heartbeat["fraction"], run=run, host=host)
    for activity, rate in heartbeat["tokens_per_second"].items():
        gauges.set("beliefmod_tokens_per_second", rate, run=run, host=host, activity=activity)


class TallyGauges(NotPickled, tune.Callback):
    """Keeps the driver's gauges up to date while Tune runs.

    Args:
        run: the run's name, by which several sweeps on one cluster are told apart.
    """

    def __init__(self, tally: Tally, run: str) -> None:
        self._tally, self._run = tally, run
        self._gauges = Gauges(DRIVER)
        self._shown_at = 0.0

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Called by Tune all the time."""
        now = time.monotonic()
        if now - self._shown_at >= SECONDS:
            self._shown_at = now
            show_tally(self._gauges, self._tally, self._run, now)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Called by Tune after the last trial."""
        show_tally(self._gauges, self._tally, self._run, time.monotonic())
