"""Wall time, CPU time and memory of a command with every process it starts."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
POLL_SECONDS = 0.25
KINDS: tuple[str, ...] = ("driver", "hosts", "trial processes", "Ray's own processes")
DRIVER, HOSTS, TRIALS, RAY = KINDS
# Ray gives a worker the name of what it runs; one that has run nothing yet counts as Ray's own
TITLES = {"ray::PackHost": HOSTS, "ray::TrivialHost": HOSTS, "ray::Belief": TRIALS, "ray::Implicit": TRIALS}


@dataclass
class Tree:
    """A process and its descendants, seen again and again; those that ended keep what they had used."""

    root: psutil.Process
    _cpu: dict[tuple[int, float], float] = field(default_factory=dict)
    _kind: dict[tuple[int, float], str] = field(default_factory=dict)

    def processes(self) -> list[psutil.Process]:
        """Those alive now."""
        try:
            return [self.root, *self.root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def look(self) -> None:
        """Take down every process's CPU time and kind."""
        for process in self.processes():
            try:
                times, which = process.cpu_times(), (process.pid, process.create_time())
                self._cpu[which] = times.user + times.system
                if self._kind.get(which, RAY) == RAY:
                    self._kind[which] = self._kind_of(process)
            except psutil.Error:
                continue

    def _kind_of(self, process: psutil.Process) -> str:
        if process.pid == self.root.pid:
            return DRIVER
        title = " ".join(process.cmdline())
        return next((kind for mark, kind in TITLES.items() if mark in title), RAY)

    @property
    def cpu(self) -> dict[str, float]:
        """CPU seconds of all processes seen, by kind."""
        total = dict.fromkeys(KINDS, 0.0)
        for which, seconds in self._cpu.items():
            total[self._kind.get(which, RAY)] += seconds  # it ended before its name was read
        return total

    @property
    def started(self) -> Counter[str]:
        """Processes seen, by kind."""
        return Counter(self._kind.values())

    def memory(self) -> dict[str, int]:
        """Proportional set sizes now, bytes, by kind: what would be free without them."""
        total = dict.fromkeys(KINDS, 0)
        for process in self.processes():
            try:
                kind = self._kind.get((process.pid, process.create_time()), RAY)
            except psutil.Error:
                continue
            total[kind] += proportional_set_size(process.pid)
        return total


def proportional_set_size(pid: int) -> int:
    """Bytes, shared pages divided among those who share them; 0 for a process that ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


@dataclass(frozen=True)
class Measured:
    """What a command took.

    Attributes:
        wall: seconds.
        cpu: CPU seconds by kind of process, each process up to when it was last seen.
        started: processes by kind.
        peak: largest sum of their proportional set sizes, bytes; 0 where memory was not sampled.
    """

    wall: float
    cpu: dict[str, float]
    started: Counter[str]
    peak: int = 0

    @property
    def all_cpu(self) -> float:
        """CPU seconds of all processes."""
        return sum(self.cpu.values())

    def told(self) -> str:
        """`driver 12, hosts 34 (2), ...`: CPU seconds, and how many processes where there can be many."""
        return ", ".join(
            f"{kind} {self.cpu[kind]:.0f}" + (f" ({self.started[kind]})" if kind in (HOSTS, TRIALS) else "")
            for kind in KINDS
        )


def measured(
    module: str,
    arguments: Sequence[str],
    log: Path,
    *,
    memory_seconds: float = 0.0,
    on_look: Callable[[float, Tree], None] = lambda moment, tree: None,
) -> Measured:
    """Run `python -m module arguments` in the checkout; its output goes to `log`.

    Args:
        memory_seconds: how often memory is sampled, which takes some milliseconds per process; 0: not.
        on_look: called at every look with the seconds since the start.

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
        try:
            while command.poll() is None:
                tree.look()
                on_look(time.perf_counter() - started, tree)
                if memory_seconds and time.monotonic() - sampled >= memory_seconds:
                    peak, sampled = max(peak, sum(tree.memory().values())), time.monotonic()
                time.sleep(POLL_SECONDS)
            wall = time.perf_counter() - started
        finally:
            if command.poll() is None:  # interrupted: what was started ends too
                command.terminate()
                command.wait()
    if command.returncode:
        tail = "\n".join(log.read_text().splitlines()[-30:])
        raise SystemExit(f"{tail}\npython -m {module} failed with exit code {command.returncode}")
    return Measured(wall, tree.cpu, tree.started, peak)
