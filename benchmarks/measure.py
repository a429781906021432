"""Wall time, CPU time and memory of a command with every process it starts."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Measured:
    """What a command took.

    Attributes:
        wall: seconds.
        cpu: CPU seconds of all its processes, each up to when it was last seen.
        peak: largest sum of their proportional set sizes, bytes; 0 where memory was not sampled.
    """

    wall: float
    cpu: float
    peak: int


@dataclass
class Tree:
    """A process and its descendants, seen again and again; those that ended keep what they had used."""

    root: psutil.Process
    _cpu: dict[tuple[int, float], float] = field(default_factory=dict)

    def processes(self) -> list[psutil.Process]:
        """Those alive now."""
        try:
            return [self.root, *self.root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def look(self) -> None:
        """Take down every process's CPU time."""
        for process in self.processes():
            try:
                times = process.cpu_times()
                self._cpu[process.pid, process.create_time()] = times.user + times.system
            except psutil.NoSuchProcess:
                continue

    @property
    def cpu(self) -> float:
        """CPU seconds of all processes seen."""
        return sum(self._cpu.values())

    def memory(self) -> int:
        """Sum of proportional set sizes now, bytes: what would be free without them."""
        return sum(proportional_set_size(process) for process in self.processes())


def proportional_set_size(process: psutil.Process) -> int:
    """Bytes, shared pages divided among those who share them; 0 for a process that ended."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def measured(module: str, arguments: Sequence[str], log: Path, memory_seconds: float = 0.0) -> Measured:
    """Run `python -m module arguments` in the checkout; its output goes to `log`.

    Args:
        memory_seconds: how often memory is sampled, which takes some milliseconds per process; 0: not.

    Raises:
        SystemExit: it failed; the end of its log is shown.
    """
    peak, sampled = 0, time.monotonic()
    with log.open("w") as output:
        started = time.perf_counter()
        command = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], cwd=ROOT, stdout=output, stderr=output
        )
        tree = Tree(psutil.Process(command.pid))
        while command.poll() is None:
            tree.look()
            if memory_seconds and time.monotonic() - sampled >= memory_seconds:
                peak, sampled = max(peak, tree.memory()), time.monotonic()
            time.sleep(POLL_SECONDS)
        wall = time.perf_counter() - started
    if command.returncode:
        tail = "\n".join(log.read_text().splitlines()[-30:])
        raise SystemExit(
            f"{tail}\npython -m {module} failed (exit code {command.returncode}); its log: {log}"
        )
    return Measured(wall, tree.cpu, peak)
