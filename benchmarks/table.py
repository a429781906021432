"""How every benchmark prints: one block that says when, on what and with what, then one table."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import psutil


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
