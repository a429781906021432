"""The Python that has vLLM, what it makes of a model, and whether the memory suffices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beliefmod.errors import UserError

if TYPE_CHECKING:
    from beliefmod.model.model_files import ModelSource

PYTHON = "BELIEFMOD_VLLM_PYTHON"
"""The environment variable that names the Python of an environment with vLLM."""
SERVER = Path(__file__).with_name("server.py")
SETTING = "evaluation.engine vllm"
WAY_OUT = "or take evaluation.engine ours"
LOOK_SECONDS = 600.0
GIB = 2**30
PROCESS_BYTES = 2 * GIB
"""What vLLM's process takes beside weights, keys and values: 1.4 GiB where it was measured on a CPU."""
CACHE_SHARE, MOST_CACHE = 0.25, 16
"""Part of a machine's free memory that keys and values take on a CPU, and at most so many GiB."""


@dataclass(frozen=True)
class Environment:
    """A Python with vLLM, and what it says of itself and of a model's architecture."""

    python: Path
    version: str
    known: bool
    adapters: bool


def vllm_python() -> Path:
    """The Python that vLLM runs in: the one that `BELIEFMOD_VLLM_PYTHON` names, else our own.

    Raises:
        UserError: neither has vLLM, as far as can be seen without starting one.
    """
    if given := os.environ.get(PYTHON):
        if not os.access(given, os.X_OK):
            raise UserError(f"{SETTING}: {PYTHON}={given} is no Python that can be run; name another one")
        return Path(given).absolute()
    if find_spec("vllm") is not None:
        return Path(sys.executable)
    raise UserError(
        f"{SETTING}: vLLM is not installed; install it with pip install 'beliefmod[vllm]', or name in "
        f"{PYTHON} the Python of an environment that has it (beliefmod docs models), {WAY_OUT}"
    )


def plain_environment(**more: str) -> dict[str, str]:
    """The environment variables of a process in that Python: ours, less what is about our own Python."""
    ours = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    quiet = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    return {**ours, **quiet, "VLLM_LOGGING_LEVEL": "WARNING", **more}


@lru_cache
def look(python: Path, architecture: str) -> Environment:
    """Ask a Python with vLLM, which takes ten seconds or more.

    Raises:
        UserError: it has no vLLM that starts.
    """
    with tempfile.TemporaryFile() as words:
        try:
            done = subprocess.run(
                [str(python), "-P", str(SERVER), "look", architecture],
                env=plain_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=words,
                timeout=LOOK_SECONDS,
            )
            found: dict[str, Any] = json.loads(done.stdout)
        except (OSError, subprocess.TimeoutExpired, ValueError) as error:
            why = last_line(words) or str(error)
            raise UserError(
                f"{SETTING}: vLLM does not start in {python} ({why}); mend that, {WAY_OUT}"
            ) from None
    return Environment(python, **found)


def last_line(file: Any) -> str:
    """The last line of a file that is not empty: of a traceback the error."""
    file.seek(0)
    lines = file.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def check_vllm(source: ModelSource, adapters: bool, free: int, on_gpu: bool = False) -> Environment:
    """Whether vLLM can answer for a model; reads no weights.

    Args:
        adapters: whether LoRA adapters are to answer, not base alone.
        free: bytes of memory that are free, of the device that it will have.
        on_gpu: whether that is a GPU, where weights are bf16; on a CPU they are fp32.

    Raises:
        UserError: it is not installed, does not know the architecture or its adapters, or lacks memory.
    """
    from beliefmod.model.architecture import empty_model
    from beliefmod.model.size import parameters

    python = vllm_python()
    name = type(empty_model(source)).__name__
    found = look(python, name)
    if not found.known or (adapters and not found.adapters):
        what = f"takes no adapters on {name}" if found.known else f"has no {name}"
        raise UserError(
            f"{SETTING}: vLLM {found.version} {what}, which model {source.name} is; "
            f"{WAY_OUT.removeprefix('or ')}"
        )
    check_memory(source.name, parameters(source) * (2 if on_gpu else 4), free)
    return found


def check_memory(name: str, weights: int, free: int) -> None:
    """Whether vLLM fits beside what is there.

    Args:
        weights: bytes of the model's weights as they are computed with.

    Raises:
        UserError: it does not.
    """
    needed = weights + PROCESS_BYTES + GIB
    if needed > free:
        raise UserError(
            f"{SETTING}: vLLM needs {needed / GIB:.1f} GiB for model {name} ({weights / GIB:.1f} GiB of "
            "weights, at least 1 GiB of keys and values, and its process), and "
            f"{max(0, free) / GIB:.1f} GiB are free; free some, {WAY_OUT}"
        )


def cache_gib(free: int) -> int:
    """GiB of keys and values that vLLM keeps on a CPU, of so many free bytes; at least 1."""
    return max(1, min(MOST_CACHE, int(free * CACHE_SHARE / GIB)))
