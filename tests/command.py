"""The command line as a user types it, for tests that start it for real."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

COMMAND = [sys.executable, "-m", "beliefmod"]
PLAIN = ("--no-dashboard", "--no-report", "--hosts", "1")
"""What a sweep need not do or start where nobody looks at it: seconds each."""
QUICK_BASE = {"base_storage": "none"}
"""For spaces of tests that NF4 does not matter to: bitsandbytes takes seconds to import."""


def beliefmod(*arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=timeout)


def only_run(runs: Path) -> Path:
    """The one run folder below."""
    [manifest] = runs.glob("*/manifest.json")
    return manifest.parent


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Every process that it has started, and those that they have."""
    return psutil.Process(process.pid).children(recursive=True)


def left_behind(processes: list[psutil.Process], seconds: float = 20) -> list[psutil.Process]:
    """Which of them are still there after so long."""
    return psutil.wait_procs(processes, timeout=seconds)[1]


def wait_until(
    condition: Callable[[], Any], seconds: float, complaint: str = "did not happen in time"
) -> None:
    """Raises AssertionError if the condition does not become true in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, complaint
        time.sleep(0.2)
