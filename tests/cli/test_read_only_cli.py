"""A sweep where much is against it at once.

A user without root, a root file system that cannot be written, no home, 64 MB of shared memory, a temporary
folder with a long path that cannot be made, proxies that lead nowhere, 256 open files, locale C, spaces and
umlauts in paths, one core, no network, and somebody else's Ray on the default ports.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.command import COMMAND, PLAIN, beliefmod, only_run
from tests.finished_run import small_space

BWRAP = shutil.which("bwrap")
SHARED_MEMORY = 64 * 2**20
CONFINED = (*(str(BWRAP), "--unshare-user", "--unshare-pid", "--as-pid-1", "--unshare-net"),
            *("--uid", "1000", "--gid", "1000"), *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
            *("--size", str(SHARED_MEMORY), "--tmpfs", "/dev/shm"))  # fmt: skip
ROOT = Path(__file__).parents[2]
NOWHERE = "http://127.0.0.1:9"
AGAINST_IT = {
    "HOME": "/nowhere",
    "LC_ALL": "C",
    "TMPDIR": f"/nowhere/{'x' * 100}",
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE),
}
# the other Ray is there before and must be afterwards, with the one job that asks it
SCRIPT = """
export RAY_USAGE_STATS_ENABLED=0
ray() { HOME=/tmp RAY_AUTH_MODE=disabled "$PYTHON" -m ray.scripts.scripts "$@"; }
small="--num-cpus=1 --num-gpus=0 --object-store-memory=80000000 --include-dashboard=false"
for attempt in 1 2 3; do # Ray gives a node 30 s, which a busy machine may not have
    ray start --head $small >&2 && break
    ray stop --force >&2
done
ulimit -n 256
env $AGAINST_IT taskset -c "$CORE" "$@" || exit
HOME=/tmp RAY_AUTH_MODE=disabled "$PYTHON" -c '
import ray
ray.init(address="127.0.0.1:6379", logging_level="error")
print("theirs:", ray.cluster_resources()["CPU"], "cores,", len(ray._private.state.jobs()), "job")'
"""
# with the first process of its namespace all others end, the other Ray's among them
FIRST = 'bash -c "$SCRIPT" bash "$@"; exit $?'
pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(autouse=True)
def _can_confine() -> None:
    if BWRAP is None or subprocess.run([*CONFINED, "true"], capture_output=True).returncode:
        pytest.skip("bubblewrap is not installed, or the kernel gives it no namespaces of its own")


def test_a_sweep_with_much_against_it(tmp_path: Path):
    (space := small_space(tmp_path, axes={})).chmod(0o644)
    (runs := tmp_path / "Läufe und Räume").mkdir()
    for place in (tmp_path, *tmp_path.parents[:3], runs):  # pytest keeps its folders to their owner
        os.chmod(place, 0o755 if place != runs else 0o777)
    within = f"/mnt/{runs.name}"
    settings = {
        "SCRIPT": SCRIPT,
        "PYTHONPATH": str(ROOT),
        "PYTHON": sys.executable,
        "CORE": str(min(os.sched_getaffinity(0))),
        "AGAINST_IT": " ".join(f"{name}={value}" for name, value in AGAINST_IT.items()),
    }
    confined = [
        *CONFINED,
        # the space lies below /tmp, of which the sweep gets one of its own
        *("--ro-bind", str(tmp_path), "/mnt", "--bind", str(runs), within, "--tmpfs", "/tmp"),
        *("--chdir", within, *(word for item in settings.items() for word in ("--setenv", *item))),
    ]
    space.write_text(space.read_text().replace(str(tmp_path), "/mnt"))
    sweep = [*COMMAND, "sweep", "--space", "/mnt/space.yaml", "--out", within, *PLAIN]
    done = subprocess.run(
        [*confined, "bash", "-c", FIRST, "bash", *sweep], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "theirs: 1.0 cores, 1 job" in done.stdout
    rows = pl.read_parquet(only_run(runs) / "trials.parquet")
    assert rows["status"].to_list() == ["finished"] * 3
    checked = beliefmod("verify", str(only_run(runs)))
    assert checked.returncode == 0, checked.stdout + checked.stderr
