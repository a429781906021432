"""Has hosts give trials that have not begun back, while others stand idle: one thread of the driver.

Where a trial goes is decided when it starts; by then a host may not have been there, or not have answered.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray.exceptions import RayError

from beliefmod.fleet.hosts import Fleet
from beliefmod.worker.balance import HostLoad, moves

SECONDS = 5.0
ANSWER_SECONDS = 10.0
"""So long hosts are waited for; one that is slower is left as it is until the next look."""


@contextmanager
def balanced(fleet: Fleet) -> Iterator[None]:
    """While trials run, look every few seconds whether some should wait elsewhere."""
    if len(fleet.hosts) < 2:
        yield
        return
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SECONDS):
            with suppress(RayError):  # a host has just died, or the sweep ends: there is a next time
                rebalance(fleet)

    thread = threading.Thread(target=watch, name="rebalancing", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        # Ray would start itself again for a thread that asks once it has been shut down
        thread.join(timeout=3 * ANSWER_SECONDS)


def rebalance(fleet: Fleet) -> int:
    """Have trials given back that would begin sooner elsewhere: their owners take them there. How many."""
    given = [
        fleet.hosts[move.source].give_back.remote(move.trial_id, move.target) for move in moves(_loads(fleet))
    ]
    return sum(bool(each) for each in _answers(dict(enumerate(given))).values())


def _loads(fleet: Fleet) -> Mapping[str, HostLoad]:
    """Loads of the hosts that have a machine, have loaded their model and answer in time, by name."""
    there, _ = ray.wait(list(fleet.places.values()), num_returns=len(fleet.places), timeout=0)
    names = [name for name in fleet.hosts if fleet.places[name] in set(there)]
    asked = {name: fleet.hosts[name].load.remote() for name in names}
    return {name: load for name, load in _answers(asked).items() if load is not None}


def _answers(asked: Mapping[Any, Any]) -> dict[Any, Any]:
    """What came in time, by the same keys; a host that died gives none."""
    if not asked:
        return {}
    ready, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER_SECONDS)
    found, came = {}, set(ready)
    for key, reference in asked.items():
        if reference in came:
            with suppress(RayError):
                found[key] = ray.get(reference)
    return found
