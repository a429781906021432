"""What `beliefmod doctor` sees around the program: compiled files, limits, Ray's folder, other Rays."""

from __future__ import annotations

import importlib.util
import os
import resource
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from beliefmod.cli.finding import Finding, either
from beliefmod.errors import UserError

LARGE = ("torch", "transformers", "ray", "peft", "accelerate", "bitsandbytes", "polars")
"""Libraries whose modules take long to compile."""
OURS = ("beliefmod", "analysis", "interp")
LEAST_FILES = 256
"""Open files, with which a small sweep has been run."""
SHARED_MEMORY = Path("/dev/shm")
MIB = 2**20


def bytecode(packages: Sequence[str] = (*LARGE, *OURS)) -> Iterator[Finding]:
    """Whether modules are compiled, or will be once. Where neither is so every process, of which a sweep
    starts a dozen, compiles all that it imports."""
    tops = [top for name in packages if (top := _folder_of(name)) is not None]
    counts = [_modules(top) for top in tops]
    compiled, total = (sum(numbers) for numbers in zip(*counts, strict=True)) if counts else (0, 0)
    found = f"{compiled:,} of {total:,} modules of ours and of the large libraries are compiled"
    lacking = [top for top, (have, all_) in zip(tops, counts, strict=True) if have < all_ / 2]
    shut = [top for top in lacking if not os.access(top, os.W_OK)]
    why = "PYTHONDONTWRITEBYTECODE is set" if sys.dont_write_bytecode else ""
    why = why or (f"{shut[0]} cannot be written" if shut else "")
    if not lacking or not why:
        rest = "; the others will be when they are imported first" if lacking else ""
        yield Finding("ok", "bytecode", found + rest)
        return
    yield Finding(
        "warn",
        "bytecode",
        f"{found}, and {why}: every process compiles what it imports anew",
        "once, as whoever may write there: env -u PYTHONDONTWRITEBYTECODE "
        f"{sys.executable} -m compileall -q -j 0 {' '.join(sorted({str(top) for top in lacking}))}",
    )


def _folder_of(package: str) -> Path | None:
    """Where a package lies, without importing it; None if it is not installed."""
    spec = importlib.util.find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _modules(top: Path) -> tuple[int, int]:
    """How many modules below a folder are compiled, and how many there are."""
    compiled = total = 0
    for folder, _, files in os.walk(top):
        sources = [os.path.join(folder, name) for name in files if name.endswith(".py")]
        if sources:
            cache = os.path.dirname(importlib.util.cache_from_source(sources[0]))
            there = set(os.listdir(cache)) if os.path.isdir(cache) else set()
            total += len(sources)
            compiled += sum(os.path.basename(importlib.util.cache_from_source(s)) in there for s in sources)
    return compiled, total


def limits(shared_memory: Path = SHARED_MEMORY) -> Iterator[Finding]:
    """How many files may be open, and how much shared memory there is."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"{files:,} at most"
    fix = f"ulimit -n {4096 if most == resource.RLIM_INFINITY else min(most, 4096)}"
    few = files != resource.RLIM_INFINITY and files < LEAST_FILES
    yield either(
        not few, "open files", text, f"{text}; {LEAST_FILES} are enough for a small sweep", fix, "warn"
    )
    if shared_memory.is_dir():
        from beliefmod.fleet.ray_node import OBJECT_STORE_BYTES

        free = shutil.disk_usage(shared_memory).free
        text = f"{free / MIB:,.0f} MiB free in {shared_memory}"
        if free < OBJECT_STORE_BYTES:
            text += f"; Ray keeps its {OBJECT_STORE_BYTES // MIB} MiB in its temporary folder instead"
        yield Finding("ok", "shared memory", text)


def ray_folder(environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Where Ray keeps its session and its token."""
    from ray._common.utils import get_default_ray_temp_dir

    from beliefmod.fleet.cluster import own_token
    from beliefmod.fleet.socket_folder import usable_temp_dir

    own = get_default_ray_temp_dir()
    try:
        instead = usable_temp_dir()
    except UserError as error:
        yield Finding("fail", "temporary folder", str(error), "export RAY_TMPDIR=/tmp")
    else:
        text = own if instead is None else f"{instead}, for {own} has too long a path or cannot be written"
        yield Finding("ok", "temporary folder", text)
    if own_token(environ, Path.home()):
        text = f"{Path.home()} cannot be written, so Ray's token is made anew for every sweep and not kept"
        yield Finding("ok", "home", text)


def clusters(environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """The cluster that sweeps would join, and Rays of others on this machine."""
    import psutil

    if address := environ.get("RAY_ADDRESS"):
        from beliefmod.fleet.cluster_address import check_address

        try:
            if address != "local":
                check_address(address)
            yield Finding("ok", "RAY_ADDRESS", f"{address}: sweeps join that cluster")
        except UserError as error:
            yield Finding("fail", "RAY_ADDRESS", str(error), "unset RAY_ADDRESS, or start that cluster")
    heads = [
        f"process {process.pid} of {process.info['username']}"
        for process in psutil.process_iter(["name", "username"])
        if process.info["name"] == "gcs_server"
    ]
    if heads:
        text = f"running here already ({', '.join(heads)}); a sweep starts one of its own beside it"
        yield Finding("ok", "other Rays", text)
