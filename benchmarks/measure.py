"""A function in a process of its own: wall time, CPU time and memory of it and of all that it starts."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    _cpu: dict[psutil.Process, float] = field(default_factory=dict)
    _kind: dict[psutil.Process, str] = field(default_factory=dict)

    def processes(self) -> list[psutil.Process]:
        """Those alive now."""
        try:
            return [self.root, *self.root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def look(self) -> None:
        """Take down every process's CPU time and kind."""
        for process in self.processes():
            with suppress(psutil.Error):
                times = process.cpu_times()
                self._cpu[process] = times.user + times.system
                if self._kind.get(process, RAY) == RAY:
                    self._kind[process] = self._kind_of(process)

    def _kind_of(self, process: psutil.Process) -> str:
        if process.pid == self.root.pid:
            return DRIVER
        title = " ".join(process.cmdline())
        return next((kind for mark, kind in TITLES.items() if mark in title), RAY)

    @property
    def cpu(self) -> dict[str, float]:
        """CPU seconds of all processes seen, by kind."""
        total = dict.fromkeys(KINDS, 0.0)
        for process, seconds in self._cpu.items():
            total[self._kind.get(process, RAY)] += seconds  # it ended before its name was read
        return total

    @property
    def started(self) -> Counter[str]:
        """Processes seen, by kind."""
        return Counter(self._kind.values())

    def memory(self) -> dict[str, int]:
        """Proportional set sizes now, bytes, by kind: what would be free without them."""
        total = dict.fromkeys(KINDS, 0)
        for process in self.processes():
            with suppress(psutil.Error):
                total[self._kind.get(process, RAY)] += process.memory_full_info().pss
        return total


@dataclass(frozen=True)
class Measured:
    """What a process took with all that it started.

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
    function: Callable[..., Any],
    *arguments: Any,
    log: Path,
    memory_seconds: float = 0.0,
    on_look: Callable[[float, Tree], None] = lambda moment, tree: None,
) -> tuple[Any, Measured]:
    """Call a module's function in a fresh process: what it returned, and what the process took.

    Args:
        arguments: plain values, for they go through JSON, as what it returns does.
        log: where the output goes; the result lies beside it.
        memory_seconds: how often memory is sampled, which takes some milliseconds per process; 0: not.
        on_look: called at every look with the seconds since the start.

    Raises:
        SystemExit: it failed; the end of its log is shown.
    """
    # by the module's own name: one that was started is `__main__` here
    spec, result = sys.modules[function.__module__].__spec__, log.with_suffix(".json")
    assert spec is not None
    words = [spec.name, function.__name__, json.dumps(arguments), str(result)]
    peak, sampled = 0, time.monotonic()
    with log.open("w") as output:
        started = time.perf_counter()
        command = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.measure", *words], cwd=ROOT, stdout=output, stderr=output
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
        raise SystemExit(
            f"{tail}\n{spec.name}.{function.__name__} failed with exit code {command.returncode}"
        )
    return json.loads(result.read_text()), Measured(wall, tree.cpu, tree.started, peak)


if __name__ == "__main__":
    module, name, given, answer = sys.argv[1:]
    returned = getattr(importlib.import_module(module), name)(*json.loads(given))
    Path(answer).write_text(json.dumps(returned))
