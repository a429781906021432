"""Starts or joins a Ray cluster and puts hosts on it."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from beliefmod.errors import StorageTrouble, UserError
from beliefmod.fleet.host import HostSettings, PackHost
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
LOADING_ATTEMPTS = 5
RESTART_SECONDS = 120.0


@dataclass(frozen=True)
class Fleet:
    """The hosts of one sweep.

    Attributes:
        names: the hosts' actor names, by which trials find them.
        facts: what each ready host loaded.
    """

    hosts: list[Any]
    names: list[str]
    namespace: str
    facts: dict[str, Any]


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
    if address is None:
        # tensors never pass through Ray's object store, so a small one saves memory
        options |= {"address": "local", "include_dashboard": dashboard, "object_store_memory": 128 * 2**20}
    else:
        options["address"] = address
    try:
        context: Any = ray.init(**options)
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
    settings: HostSettings, count: int, gpus: bool, namespace: str, host_class: type = PackHost
) -> Fleet:
    """Start hosts and wait for the first to have loaded the model; the others join when they are ready.

    A host that dies while it loads is started again by Ray, and waited for again.

    Raises:
        UserError: the model cannot be loaded, or the self-test fails.
        StorageTrouble: the run folder cannot be used from there.
    """
    resources: dict[str, Any] = {"num_gpus": 1, "num_cpus": 1} if gpus else {"num_cpus": 1}
    actor_class: Any = ray.remote(host_class)
    names = [f"beliefmod-host-{index}" for index in range(count)]
    hosts = [
        actor_class.options(name=name, max_restarts=-1, max_concurrency=1000, **resources).remote(settings)
        for name in names
    ]
    return Fleet(hosts, names, namespace, _first_ready(hosts))


def _first_ready(hosts: list[Any]) -> dict[str, Any]:
    loading = {host.ready.remote(): (host, time.monotonic()) for host in hosts}
    deaths, end = 0, time.monotonic() + RESTART_SECONDS
    while deaths < LOADING_ATTEMPTS * len(hosts):
        done, _ = ray.wait(list(loading), num_returns=1)
        host, asked = loading.pop(done[0])
        try:
            facts: Any = ray.get(done[0])
            return facts
        except RayTaskError as error:
            if isinstance(error.cause, (UserError, StorageTrouble)):
                raise error.cause from None
            if not isinstance(error, HOST_LOST):
                raise
        except HOST_LOST:
            pass
        now = time.monotonic()
        # one that is lost as soon as it is asked is still being restarted, perhaps on another machine
        if now - asked > 2.0 or now > end:
            deaths, end = deaths + 1, now + RESTART_SECONDS
        time.sleep(1)
        loading[host.ready.remote()] = (host, time.monotonic())
    raise UserError(
        f"no host could load the model: each was ended from outside {LOADING_ATTEMPTS} times (out of "
        "memory?); give fewer with --hosts 1, or a machine with more memory"
    )


def let_go(fleet: Fleet) -> None:
    """Have every host answer the trials that wait for it; they end then."""
    for host in fleet.hosts:
        host.let_go.remote()


def stop_hosts(fleet: Fleet) -> None:
    """Let every host finish its step and keep its running adapters, then end it."""
    with suppress(RayError):  # a host that does not answer is ended all the same
        ray.get([host.close.remote() for host in fleet.hosts], timeout=20)
    for host in fleet.hosts:
        ray.kill(host)
