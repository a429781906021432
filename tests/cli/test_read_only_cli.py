"""A sweep as a container runs it: a user without root, a root file system that cannot be written, no home."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest

from tests.command import COMMAND, PLAIN, beliefmod, only_run
from tests.finished_run import small_space

BWRAP = shutil.which("bwrap")
CONFINED = (*(str(BWRAP), "--unshare-user", "--unshare-pid", "--uid", "1000", "--gid", "1000"),
            *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/dev/shm"))  # fmt: skip
ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(autouse=True)
def _can_confine() -> None:
    if BWRAP is None or subprocess.run([*CONFINED, "true"], capture_output=True).returncode:
        pytest.skip("bubblewrap is not installed, or the kernel gives it no namespaces of its own")


def test_a_sweep_writes_nowhere_but_into_its_run_folder_and_tmp(tmp_path: Path):
    (space := small_space(tmp_path, axes={})).chmod(0o644)
    (runs := tmp_path / "runs").mkdir()
    for place in (tmp_path, *tmp_path.parents[:3], runs):  # pytest keeps its folders to their owner
        os.chmod(place, 0o755 if place != runs else 0o777)
    confined = [
        *CONFINED,
        # the space lies below /tmp, of which the sweep gets one of its own
        *("--ro-bind", str(tmp_path), "/mnt", "--bind", str(runs), "/mnt/runs", "--tmpfs", "/tmp"),
        *("--chdir", "/mnt/runs", "--setenv", "HOME", "/nowhere", "--setenv", "PYTHONPATH", str(ROOT)),
    ]
    text = space.read_text().replace(str(tmp_path), "/mnt")
    space.write_text(text)
    done = subprocess.run(
        [*confined, *COMMAND, "sweep", "--space", "/mnt/space.yaml", "--out", "/mnt/runs", *PLAIN],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    rows = pl.read_parquet(only_run(runs) / "trials.parquet")
    assert rows["status"].to_list() == ["finished"] * 3
    checked = beliefmod("verify", str(only_run(runs)))
    assert checked.returncode == 0, checked.stdout + checked.stderr
