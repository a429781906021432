"""Starts or joins a Ray cluster, and says what it has."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray._private.authentication.authentication_utils import is_token_auth_enabled
from ray._raylet import AuthenticationTokenLoader  # pyright: ignore[reportAttributeAccessIssue]
from ray.job_config import JobConfig

from beliefmod.capacity.granted import local_ray_resources
from beliefmod.errors import StorageTrouble, UserError
from beliefmod.fleet.cluster_address import check_address, no_answer
from beliefmod.fleet.ray_node import OBJECT_STORE_BYTES
from beliefmod.fleet.socket_folder import can_be_written, usable_temp_dir

if TYPE_CHECKING:
    from psutil import Process

# what Tune prints on its own is replaced by our progress; set for the session only, never at import
TUNE_QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ctrl-C is ours (fleet/shutdown.py)
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
GPUS_TO_COME = "gpus_to_come"
"""The head's resource that counts the GPUs of all machines which may start (cluster.yaml)."""
STARTING_ATTEMPTS = 3
TOKEN_SOURCES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@contextmanager
def session(address: str | None, namespace: str, dashboard: bool) -> Iterator[dict[str, Any]]:
    """A connection to Ray: a local instance of its own (None or "local"), or the cluster at `address`; closed
    at the end.

    Yields:
        the resources that the cluster has or may grow to, and where its dashboard is, in words:
        `{"CPU": 2.0, "dashboard": "http://127.0.0.1:8265"}`; "" without one.

    Raises:
        UserError: no cluster answers at the address.
    """
    address = None if address == "local" else address
    if address is not None:
        check_address(address)
    logs, clean = None, False  # after an error of ours Ray's logs are evidence, else they are rubbish
    token = own_token(os.environ, Path.home()) if address is None else {}
    before = {name: os.environ.get(name) for name in {**TUNE_QUIET, **token}}
    os.environ.update({name: value for name, value in TUNE_QUIET.items() if name not in os.environ} | token)
    if token:  # Ray remembers the one of an earlier session of this process
        AuthenticationTokenLoader.instance().reset_cache()
    levels = {name: logging.getLogger(name).level for name in ("ray", "ray.tune")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    options: dict[str, Any] = {"namespace": namespace, "logging_level": "critical", "log_to_driver": False}
    # Ray's dashboard shows it at the job, whose name is its command
    options["job_config"] = JobConfig(metadata={"beliefmod_run": namespace})
    if address is None:
        options |= {
            "address": "local",
            "include_dashboard": dashboard,
            "object_store_memory": OBJECT_STORE_BYTES,
        }
        options |= local_ray_resources()
        if elsewhere := usable_temp_dir():
            options["_temp_dir"] = elsewhere
    else:
        options["address"] = address
    try:
        context = _connected(options)
        if address is None:
            logs = context.address_info["session_dir"]
        yield {
            **within_reach(ray.cluster_resources()),
            "dashboard": _dashboard(context.dashboard_url, kept=not token),
        }
        clean = True
    except (UserError, StorageTrouble, KeyboardInterrupt):
        clean = True
        raise
    except ConnectionError as error:
        raise no_answer(str(address), error) from None
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
        if token:  # nor may the next session get this one
            AuthenticationTokenLoader.instance().reset_cache()


def _dashboard(address: str | None, kept: bool) -> str:
    """Where a browser finds the dashboard, and where its user the token that it asks for, if it does.

    Args:
        address: host:port, without a dashboard none. kept: whether the token is where `ray` finds it.
    """
    if not address:
        return ""
    if not is_token_auth_enabled():
        return f"http://{address}"
    token = (
        "its token: ray get-auth-token"
        if kept
        else "its token is not kept; set RAY_AUTH_TOKEN to one of yours"
    )
    return f"http://{address} ({token})"


def own_token(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """What to add to the environment before Ray starts: nothing where a token is given or can be kept.

    Ray 2.60 writes `~/.ray/auth_token`, and ends with a traceback if it cannot. A new one then holds for this
    session alone.
    """
    kept = home / ".ray" / "auth_token"
    if any(environ.get(name) for name in TOKEN_SOURCES) or os.access(kept, os.R_OK):
        return {}
    if can_be_written(kept.parent):
        return {}
    return {TOKEN_SOURCES[0]: secrets.token_hex(32)}


def _connected(options: Mapping[str, Any]) -> Any:
    """`ray.init`, tried again where a node of our own did not come up in the 30 s that Ray 2.60 gives it,
    as on a machine with other work. The processes that such an attempt leaves, which Ray ends only with
    ours, are ended first: the next one would compete with them.

    Raises:
        UserError: it never came up.
    """
    from psutil import Process

    before = set(Process().children(recursive=True))
    for _ in range(STARTING_ATTEMPTS):
        try:
            return ray.init(**options)
        except Exception as error:
            if "timed out during startup" not in str(error):  # Ray raises a bare Exception
                raise
            ray.shutdown()
            _end(set(Process().children(recursive=True)) - before)
    raise UserError(
        f"Ray did not start on this machine in {STARTING_ATTEMPTS} attempts of 30 s; is it busy with other "
        "work, or short of memory? Try again later, or join a cluster with --address"
    )


def _end(processes: Iterable[Process]) -> None:
    """Kill processes and wait until they are gone, 5 s at most."""
    from psutil import NoSuchProcess, wait_procs

    processes = list(processes)
    for process in processes:
        with suppress(NoSuchProcess):
            process.kill()
    wait_procs(processes, timeout=5)


def within_reach(resources: Mapping[str, float]) -> dict[str, float]:
    """A cluster's resources, the GPUs of machines that start on demand included.

    Such a cluster has no GPU at first, and hosts that ask for none would never make a machine start. Ray
    2.60 does not tell a driver what its autoscaler may do, so the head says it by a resource of its own.
    """
    gpus = max(resources.get("GPU", 0.0), resources.get(GPUS_TO_COME, 0.0))
    return {**resources, "GPU": gpus} if gpus else dict(resources)
