"""Runs that several tests read; written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.report.write import ReportPaths, write_report
from tests.analysis.synthetic import grid, write_run

SMALL = list(grid(examples=(10, 50), epochs=(3, 10), rates=(2e-4, 5e-3)))


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two beliefs, 16 configurations each, all arms, one failed trial."""
    return write_run(tmp_path_factory.mktemp("runs") / "EXP-small", configs=SMALL)


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four configurations with three seeds each."""
    configs = list(grid(examples=(10,), epochs=(3, 10), rates=(2e-4,)))
    return write_run(tmp_path_factory.mktemp("runs") / "EXP-seeds", seeds=(0, 1, 2), configs=configs)


@pytest.fixture(scope="session")
def written(run: Path, tmp_path_factory: pytest.TempPathFactory) -> ReportPaths:
    """The report of `run`, in a folder of its own."""
    return write_report(run, tmp_path_factory.mktemp("report"))
