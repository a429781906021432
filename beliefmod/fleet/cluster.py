"""Starts or joins a Ray cluster and puts hosts on it."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.job_config import JobConfig

from beliefmod.errors import StorageTrouble, UserError
from beliefmod.fit import DoesNotFit
from beliefmod.fleet.host import HostSettings, PackHost
from beliefmod.fleet.resources import Capacity
from beliefmod.fleet.trainable import HOST_LOST

# what Tune prints on its own is replaced by our progress; set for the session only, never at import
TUNE_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ctrl-C is ours (fleet/brake.py)
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
GPUS_TO_COME = "gpus_to_come"
"""The head's resource that counts the GPUs of all machines which may start (cluster.yaml)."""
STARTING_ATTEMPTS = 3
LOADING_ATTEMPTS = 5
RESTART_SECONDS = 120.0
GRACE_SECONDS = 2.0
"""So long the sweep waits for other hosts after the first: the more are known, the better it is planned."""
PLACE_SECONDS = 10.0
"""So long after a host did not fit its device another one may take to come to life on a larger one."""
NOTICE_SECONDS = 20.0
GPU_HOST_CPUS = 0.1
"""Of a host that waits for a GPU: a machine may offer fewer cores than GPUs, and the GPU is what counts."""


@dataclass(frozen=True)
class Fleet:
    """The hosts of one sweep.

    Attributes:
        hosts: by their actors' names, by which trials find them.
        facts: what hosts loaded that are ready, by the same names, the first one first.
    """

    hosts: dict[str, Any]
    namespace: str
    facts: dict[str, dict[str, Any]]

    @property
    def names(self) -> list[str]:
        """Of all hosts."""
        return list(self.hosts)

    @property
    def first(self) -> dict[str, Any]:
        """What the first host loaded."""
        return next(iter(self.facts.values()))


@contextmanager
def session(address: str | None, namespace: str, dashboard: bool) -> Iterator[dict[str, Any]]:
    """A connection to Ray: a local instance of its own, or the cluster at `address`; closed at the end.

    Yields:
        the resources that the cluster has or may grow to, and the dashboard's URL:
        `{"CPU": 2.0, "dashboard": "127.0.0.1:8265"}`.

    Raises:
        UserError: no cluster answers at the address.
    """
    if address is not None:
        _check_answers(address)
    logs, clean = None, False  # after an error of ours Ray's logs are evidence, else they are rubbish
    before = {name: os.environ.get(name) for name in TUNE_QUIET}
    os.environ.update({name: value for name, value in TUNE_QUIET.items() if name not in os.environ})
    levels = {name: logging.getLogger(name).level for name in ("ray", "ray.tune")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    options: dict[str, Any] = {"namespace": namespace, "logging_level": "critical", "log_to_driver": False}
    # Ray's dashboard shows it at the job, whose name is its command
    options["job_config"] = JobConfig(metadata={"beliefmod_run": namespace})
    if address is None:
        # tensors never pass through Ray's object store, so a small one saves memory
        options |= {"address": "local", "include_dashboard": dashboard, "object_store_memory": 128 * 2**20}
    else:
        options["address"] = address
    try:
        context = _connected(options)
        if address is None:
            logs = context.address_info["session_dir"]
        yield {**within_reach(ray.cluster_resources()), "dashboard": context.dashboard_url}
        clean = True
    except (UserError, StorageTrouble, KeyboardInterrupt):
        clean = True
        raise
    except ConnectionError as error:
        raise UserError(
            f"--address {address}: no Ray cluster answers ({error}); start one with ray up"
        ) from None
    finally:
        ray.shutdown()
        if logs is not None and clean:
            shutil.rmtree(logs, ignore_errors=True)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _connected(options: Mapping[str, Any]) -> Any:
    """`ray.init`, tried again where a node of our own did not come up in the 30 s that Ray 2.60 gives it,
    as on a machine with other work. What it left is ended first.

    Raises:
        UserError: it never came up.
    """
    for _ in range(STARTING_ATTEMPTS):
        try:
            return ray.init(**options)
        except Exception as error:
            if "timed out during startup" not in str(error):  # Ray raises a bare Exception
                raise
            ray.shutdown()
    raise UserError(
        f"Ray did not start on this machine in {STARTING_ATTEMPTS} attempts of 30 s; is it busy with other "
        "work, or short of memory? Try again later, or join a cluster with --address"
    )


def within_reach(resources: Mapping[str, float]) -> dict[str, float]:
    """A cluster's resources, the GPUs of machines that start on demand included.

    Such a cluster has no GPU at first, and hosts that ask for none would never make a machine start. Ray
    2.60 does not tell a driver what its autoscaler may do, so the head says it by a resource of its own.
    """
    gpus = max(resources.get("GPU", 0.0), resources.get(GPUS_TO_COME, 0.0))
    return {**resources, "GPU": gpus} if gpus else dict(resources)


def _check_answers(address: str) -> None:
    """Ray itself retries a dead address for minutes; a connection that is refused is known at once."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return  # "auto": Ray looks for a cluster on this machine and says so if there is none
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"--address {address}: no Ray cluster answers ({error}); start one with ray up"
        ) from None


def start_hosts(
    settings: HostSettings,
    capacity: Capacity,
    namespace: str,
    host_class: type = PackHost,
    say: Callable[[str], None] = lambda line: None,
) -> Fleet:
    """Start hosts and wait for the first to have loaded the model; the others join when they are ready.

    A host that dies while it loads is started again by Ray, and waited for again. One whose device is too
    small is ended, if there are others that may do.

    Args:
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
    facts = _first_ready(hosts, capacity, say)
    return Fleet(hosts, namespace, facts)


def _first_ready(
    hosts: dict[str, Any], capacity: Capacity, say: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Facts of the first host that is ready and of those that are soon after; hosts that are ended are taken
    out of `hosts`."""
    placed = {name: host.machine.remote() for name, host in hosts.items()}
    loading = {host.ready.remote(): (name, time.monotonic()) for name, host in hosts.items()}
    facts: dict[str, dict[str, Any]] = {}
    deaths, end = 0, time.monotonic() + RESTART_SECONDS
    while loading and deaths < LOADING_ATTEMPTS * len(hosts):
        done, _ = ray.wait(list(loading), timeout=GRACE_SECONDS if facts else NOTICE_SECONDS)
        if not done and facts:
            return facts
        if not done:
            if line := _waited_for(placed, capacity):
                say(line)
            continue
        name, asked = loading.pop(done[0])
        try:
            facts[name] = ray.get(done[0])
            continue
        except RayTaskError as error:
            others = [placed[each] for each, _ in loading.values()]
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


def _waited_for(placed: Mapping[str, Any], capacity: Capacity) -> str | None:
    """What hosts without a place wait for; None if all have theirs and only load."""
    _, waiting = ray.wait(list(placed.values()), num_returns=len(placed), timeout=0)
    if not waiting:
        return None
    kind, each = ("GPU", capacity.gpu_share) if capacity.gpus else ("CPU", 1)
    free, total = (found.get(kind, 0.0) for found in (ray.available_resources(), ray.cluster_resources()))
    return (
        f"{len(waiting)} of {len(placed)} hosts wait for {each:g} {kind} each: the cluster has {total:g}, of "
        f"which {free:g} {'is' if free == 1 else 'are'} free; they start when machines join or others end"
    )


def let_go(fleet: Fleet) -> None:
    """Have every host answer the trials that wait for it; they end then."""
    for host in fleet.hosts.values():
        host.let_go.remote()


def stop_hosts(fleet: Fleet) -> None:
    """Let every host finish its step and keep its running adapters, then end it."""
    with suppress(RayError):  # a host that does not answer is ended all the same
        ray.get([host.close.remote() for host in fleet.hosts.values()], timeout=20)
    for host in fleet.hosts.values():
        ray.kill(host)
