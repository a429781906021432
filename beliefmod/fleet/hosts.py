"""A sweep's hosts: put on a cluster, waited for, reached by trials and the driver, and ended.

No torch and no host's own module here: trial processes import it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import (
    ActorUnavailableError,
    GetTimeoutError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
)

from beliefmod.capacity.fit import DoesNotFit
from beliefmod.capacity.resources import Capacity
from beliefmod.errors import StorageTrouble, UserError
from beliefmod.worker.balance import LOADING_STEPS
from beliefmod.worker.host_settings import HostSettings

HOST_LOST = (RayActorError, ActorUnavailableError, OutOfMemoryError)
ANSWER_SECONDS = 30.0
SOON_SECONDS = 5.0
"""So long all are waited for once some have answered; what a slow one said last stands then."""
STOP_SECONDS = 5.0
LOADING_ATTEMPTS = 5
RESTART_SECONDS = 120.0
GRACE_SECONDS = 2.0
"""So long the sweep waits for other hosts after the first: the more are known, the better it is planned."""
PLACE_SECONDS = 10.0
"""So long after a host did not fit its device another one may take to come to life on a larger one."""
NOTICE_SECONDS = 20.0
CLOSING_SECONDS = 20.0
GPU_HOST_CPUS = 0.1
"""Of a host that waits for a GPU: a machine may offer fewer cores than GPUs, and the GPU is what counts."""


class Hosts:
    """Handles of named hosts. One that is started again keeps its handle; one that is no more is skipped."""

    def __init__(self, names: Sequence[str], namespace: str) -> None:
        self._names, self._namespace = list(names), namespace
        self._handles: dict[str, Any] = {}
        self._placed: set[str] = set()
        """Those that have answered once, so they have a machine: they may be slow, or dead."""
        self._places: dict[str, Any] = {}
        """Answers to come of the others, when they are given a machine."""
        self._backlog: dict[str, float] = {}
        """What each said last of its work per slot, in optimiser steps, and what was sent there since."""

    def handles(self) -> Mapping[str, Any]:
        """Those that exist, by name."""
        for name in self._names:
            if name not in self._handles:
                with suppress(ValueError):  # it is not there
                    self._handles[name] = ray.get_actor(name, namespace=self._namespace)
        return self._handles

    def for_trial(self, trial_id: str, work: float = 0.0) -> Any:
        """The host that has the trial already (its owner may be its second), or else the one with the least
        work ahead, as it says or, if it is too slow to say, as it said last.

        Args:
            work: of the trial, in optimiser steps.

        Raises:
            ActorUnavailableError: none is up.
        """
        holds, _ = self._ask(lambda host: host.holds.remote(trial_id))
        if holder := next((name for name, has in holds.items() if has), None):
            return self._handles[holder]
        told, slow = self._ask(lambda host: host.backlog.remote())
        ahead = {**{name: self._backlog.get(name, LOADING_STEPS) for name in slow}, **told}
        if not ahead:
            raise ActorUnavailableError("no host is up", None)
        chosen = min(ahead, key=lambda name: ahead[name])
        self._backlog.update(told)
        self._backlog[chosen] = ahead[chosen] + work
        return self._handles[chosen]

    def know(self, trial_id: str) -> bool:
        """Whether a trial has come to a host or to its end.

        Only one host is asked whether it has ended: each would read the run folder for that.
        """
        holds, _ = self._ask(lambda host: host.holds.remote(trial_id))
        if any(holds.values()):
            return True
        for name in holds:
            with suppress(*HOST_LOST, GetTimeoutError):
                return bool(ray.get(self._handles[name].knows.remote(trial_id), timeout=ANSWER_SECONDS))
        return False

    def stop(self, trial_id: str) -> None:
        """Have the host that runs a trial end it; one that is being restarted has lost the trial anyway."""
        self._tell_all(lambda host: host.stop.remote(trial_id))

    def stop_by_hand(self, trial_id: str) -> None:
        """Have the host that has a trial, waiting or running, end it. A host to which it comes later looks
        itself whether it was stopped."""
        self._tell_all(lambda host: host.stop_by_hand.remote(trial_id))

    def _tell_all(self, call: Callable[[Any], Any]) -> None:
        told = [call(host) for host in self.handles().values()]
        if told:
            ray.wait(told, num_returns=len(told), timeout=STOP_SECONDS)

    def _ask(self, call: Callable[[Any], Any]) -> tuple[dict[str, Any], list[str]]:
        """The answers that come in time, by the host's name, and the names of those that are slow: they are
        up, as far as Ray knows. Who has no machine yet is not asked."""
        self._look_for_places()
        asked = {name: call(self._handles[name]) for name in sorted(self._placed)}
        ready = _soon_ready(list(asked.values()))
        answers: dict[str, Any] = {}
        for name in [name for name, reference in asked.items() if reference in ready]:
            try:
                answers[name] = ray.get(asked[name])
            except HOST_LOST:  # what it had ahead is gone with it
                self._backlog.pop(name, None)
        return answers, [name for name, reference in asked.items() if reference not in ready]

    def _look_for_places(self) -> None:
        """Take note of hosts that have got their machines. Whoever is seen for the first time is given a
        moment for that; who has none by then is waited for again only if there is nobody else."""
        everyone = self.handles()
        new = [name for name in everyone if name not in self._placed and name not in self._places]
        self._places.update((name, everyone[name].machine.remote()) for name in new)
        if not self._places:
            return
        waiting = list(self._places.values())
        if new or not self._placed:
            ready = _soon_ready(waiting)
        else:
            ready = set(ray.wait(waiting, num_returns=len(waiting), timeout=0)[0])
        for name in [name for name, reference in self._places.items() if reference in ready]:
            with suppress(*HOST_LOST):  # it is asked anew next time
                ray.get(self._places.pop(name))
                self._placed.add(name)


def _soon_ready(references: list[Any]) -> set[Any]:
    """Those of several answers that come soon, or the first one that comes at all."""
    if not references:
        return set()
    ready, late = ray.wait(references, num_returns=len(references), timeout=SOON_SECONDS)
    if not ready:
        ready, _ = ray.wait(late, num_returns=1, timeout=ANSWER_SECONDS - SOON_SECONDS)
    return set(ready)


@dataclass(frozen=True)
class Fleet:
    """The hosts of one sweep.

    Attributes:
        hosts: by their actors' names, by which trials find them.
        facts: what hosts loaded that are ready, by the same names, the first one first.
        places: answers, that come when a host is given its machine, by the same names.
    """

    hosts: dict[str, Any]
    namespace: str
    facts: dict[str, dict[str, Any]]
    places: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """Of all hosts."""
        return list(self.hosts)

    @property
    def first(self) -> dict[str, Any]:
        """What the first host loaded."""
        return next(iter(self.facts.values()))


def start_hosts(
    settings: HostSettings,
    capacity: Capacity,
    namespace: str,
    host_class: type,
    say: Callable[[str], None] = lambda line: None,
) -> Fleet:
    """Start hosts and wait for the first to have loaded the model; the others join when they are ready.

    A host that dies while it loads is started again by Ray, and waited for again. One whose device is too
    small is ended, if there are others that may do.

    Args:
        host_class: of the actors.
        say: shows a line: what is waited for, and who was ended.

    Raises:
        UserError: the model cannot be loaded, or the self-test fails, or the model fits no device.
        StorageTrouble: the run folder cannot be used from there.
    """
    resources: dict[str, Any] = {"num_cpus": 1}
    if capacity.gpus:
        resources = {"num_gpus": capacity.gpu_share, "num_cpus": GPU_HOST_CPUS}
    actor_class: Any = ray.remote(host_class)
    hosts = {
        name: actor_class.options(name=name, max_restarts=-1, max_concurrency=1000, **resources).remote(
            settings
        )
        for name in (f"beliefmod-host-{index}" for index in range(capacity.hosts))
    }
    places = {name: host.machine.remote() for name, host in hosts.items()}
    facts = _first_ready(hosts, places, capacity, say)
    return Fleet(hosts, namespace, facts, places)


def _first_ready(
    hosts: dict[str, Any], places: Mapping[str, Any], capacity: Capacity, say: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Facts of the first host that is ready and of those that are soon after; hosts that are ended are taken
    out of `hosts`."""
    loading = {host.ready.remote(): (name, time.monotonic()) for name, host in hosts.items()}
    facts: dict[str, dict[str, Any]] = {}
    deaths, end = 0, time.monotonic() + RESTART_SECONDS
    while loading and deaths < LOADING_ATTEMPTS * len(hosts):
        done, _ = ray.wait(list(loading), timeout=GRACE_SECONDS if facts else NOTICE_SECONDS)
        if not done and facts:
            return facts
        if not done:
            if line := _missing_resources(places, capacity):
                say(line)
            continue
        name, asked = loading.pop(done[0])
        try:
            facts[name] = ray.get(done[0])
            continue
        except RayTaskError as error:
            others = [places[each] for each, _ in loading.values()]
            if isinstance(error.cause, UserError) and (facts or _may_do(error.cause, others)):
                say(f"{name} is left out: {error.cause}")
                ray.kill(hosts.pop(name))
                continue
            if isinstance(error.cause, (UserError, StorageTrouble)):
                raise error.cause from None
            if not isinstance(error, HOST_LOST):
                raise
        except HOST_LOST:
            pass
        if facts:
            continue  # Ray starts it again, and it joins when it is ready
        now = time.monotonic()
        # one that is lost as soon as it is asked is still being restarted, perhaps on another machine
        if now - asked > 2.0 or now > end:
            deaths, end = deaths + 1, now + RESTART_SECONDS
        time.sleep(1)
        loading[hosts[name].ready.remote()] = (name, time.monotonic())
    if facts:
        return facts
    raise UserError(
        f"no host could load the model: each was ended from outside {LOADING_ATTEMPTS} times (out of "
        "memory?); give fewer with --hosts 1, or a machine with more memory"
    )


def _may_do(problem: UserError, others: list[Any]) -> bool:
    """Whether another host, one that has its place or gets it soon, may do where one could not."""
    return (
        isinstance(problem, DoesNotFit) and bool(others) and bool(ray.wait(others, timeout=PLACE_SECONDS)[0])
    )


def _missing_resources(places: Mapping[str, Any], capacity: Capacity) -> str | None:
    """What hosts without a place wait for; None if all have theirs, or there is one for them."""
    _, waiting = ray.wait(list(places.values()), num_returns=len(places), timeout=0)
    kind, each = ("GPU", capacity.gpu_share) if capacity.gpus else ("CPU", 1)
    free, total = (found.get(kind, 0.0) for found in (ray.available_resources(), ray.cluster_resources()))
    if not waiting or free >= each:
        return None
    return (
        f"{len(waiting)} of {len(places)} hosts wait for {each:g} {kind} each: the cluster has {total:g}, of "
        f"which {free:g} {'is' if free == 1 else 'are'} free; they start when machines join or others end"
    )


def settle_limit(fleet: Fleet, beliefs: Sequence[str]) -> dict[str, Any] | None:
    """Have one host find out how many tokens base's answers need, where nobody says how many they may have.

    Raises:
        UserError: hosts died over it again and again.
    """
    return _on_one_host(fleet, lambda host: host.settle_limit.remote(list(beliefs)))


def pick_capability(fleet: Fleet) -> None:
    """Have one host pick the capability questions of the run.

    Raises:
        UserError: hosts died over it again and again, or base does not think as its template says.
        StorageTrouble: the pick cannot be written.
    """
    _on_one_host(fleet, lambda host: host.pick_capability.remote())


def _on_one_host(fleet: Fleet, call: Callable[[Any], Any]) -> Any:
    """The result of what one host is asked to do; if it dies meanwhile another one, or it again."""
    ready_first = [*fleet.facts, *(name for name in fleet.hosts if name not in fleet.facts)]
    for attempt in range(LOADING_ATTEMPTS * len(ready_first)):
        host = fleet.hosts[ready_first[attempt % len(ready_first)]]
        try:
            return ray.get(call(host))
        except RayTaskError as error:
            if isinstance(error.cause, (UserError, StorageTrouble)):
                raise error.cause from None
            if not isinstance(error, HOST_LOST):
                raise
        except HOST_LOST:
            time.sleep(1)
    raise UserError(
        "no host could ask the model its first questions: each was ended from outside (out of memory?); "
        "give fewer with --hosts 1, or a machine with more memory"
    )


def release_trials(fleet: Fleet) -> None:
    """Have every host answer the trials that wait for it; they end then."""
    for host in fleet.hosts.values():
        host.release.remote()


def stop_hosts(fleet: Fleet) -> None:
    """Let every host finish its step and keep its running adapters, then end it. Those that still wait for a
    machine have nothing to keep."""
    names = [name for name in fleet.hosts if ray.wait([fleet.places[name]], timeout=0)[0]]
    closing = [fleet.hosts[name].close.remote() for name in names]
    if closing:  # all are waited for, though one may be gone; one that does not answer is ended all the same
        ray.wait(closing, num_returns=len(closing), timeout=CLOSING_SECONDS)
    for host in fleet.hosts.values():
        ray.kill(host)
