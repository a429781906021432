"""What every benchmark has: its command line, a folder, a clock, medians, and one way to print a table."""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from beliefmod.fleet.sweep import Outcome
    from beliefmod.run.folder import RunFolder
    from beliefmod.space import Space


def command_line(
    description: str | None, repeats: int, what: str = "alternating rounds"
) -> argparse.ArgumentParser:
    """A parser that shows the benchmark's docstring as it is written and knows `--repeats`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=repeats, help=f"{what}; medians are printed")
    return parser


def work_folder(parent: Path | None = None) -> TemporaryDirectory[str]:
    """A folder that is gone when the benchmark is."""
    return TemporaryDirectory(prefix="beliefmod-bench-", dir=parent)


def one_thread() -> None:
    """On a CPU, whose threads would be timed too."""
    import torch

    if not torch.cuda.is_available():
        torch.set_num_threads(1)


def milliseconds(job: Callable[[], object], times: int = 1) -> float:
    """Milliseconds per call: CPU time of this process, or wall time where there is a GPU to wait for."""
    import torch

    cuda = torch.cuda.is_available()
    clock = time.perf_counter if cuda else time.process_time
    wait = torch.cuda.synchronize if cuda else lambda: None
    wait()
    start = clock()
    for _ in range(times):
        job()
    wait()
    return (clock() - start) / times * 1000


def alternate(sides: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """What every side measured in its rounds: all sides once, then all again."""
    rounds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, side in sides.items():
            rounds[name].append(side())
    return rounds


def medians(rounds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The median of every candidate's rounds."""
    return {name: statistics.median(values) for name, values in rounds.items()}


def new_run(space: Space, out: Path, **more: Any) -> RunFolder:
    """A run folder with a manifest, and `more` in that."""
    from beliefmod.run.folder import MANIFEST, RunFolder
    from beliefmod.run.manifest import new_manifest

    folder = RunFolder(str(out))
    folder.create()
    started_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    folder.write_json({**new_manifest(out.name, space, started_at), **more}, MANIFEST)
    return folder


def sweep(space: Space, out: Path, **options: Any) -> Outcome:
    """What `beliefmod sweep` does on this machine, without its report, into a new folder."""
    from beliefmod.capacity.resources import Capacity
    from beliefmod.fleet.sweep import run_sweep

    alone: dict[str, Any] = {"address": None, "capacity": Capacity(), "dashboard": False, "quiet": True}
    return run_sweep(space, new_run(space, out), **alone, **options)


def print_table(
    title: str,
    notes: Sequence[str],
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    libraries: Sequence[str],
) -> None:
    """Print a benchmark's result as Markdown; the first column is aligned left, the others right."""
    print(f"\n## {time.strftime('%Y-%m-%d %H:%M')} {title}\n")
    print(f"{machine()}; {versions(libraries)}.")
    for note in notes:
        print(note)
    print()
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    table.insert(1, ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])])
    for row in table:
        cells = [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print(f"| {' | '.join(cells)} |")
    print()


def machine() -> str:
    """Processor, cores, memory, load, and the GPU if PyTorch sees one."""
    memory = psutil.virtual_memory().total / 2**30
    parts = [f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, load {os.getloadavg()[0]:.1f}"]
    if gpu := _gpu():
        parts.append(gpu)
    return ", ".join(parts)


def _processor() -> str:
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""


def versions(libraries: Sequence[str]) -> str:
    """`Python 3.11.7, torch 2.13.0`."""
    return ", ".join(
        [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in libraries)]
    )
