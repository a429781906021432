"""What a user meets when things go wrong: a full disk, two Ctrl-C, damaged files, two sweeps at once."""

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import polars as pl
import psutil
import pytest

from tests.chaos.chaos import differences, leftovers, table
from tests.command import COMMAND, PLAIN, QUICK_BASE, descendants, left_behind, only_run, wait_until
from tests.small import write_belief

pytestmark = [pytest.mark.slow, pytest.mark.long]
STARTED: list[subprocess.Popen[str]] = []
SMALL = (*PLAIN, "--slots", "2")


def write_space(folder: Path, epochs: list[int], name: str = "hard") -> Path:
    folder.mkdir(exist_ok=True)
    space = {
        "name": name,
        "beliefs": [write_belief(folder)],
        "axes": {"num_train_epochs": epochs},
        "fixed": {"data.num_examples": 4, "lora.r": 4, "learning_rate": 1e-3, "lr_scheduler_type": "linear"},
        "controls": "none",
        **QUICK_BASE,
        "evaluation": {"max_new_tokens": 48, "trained_probes": 2, "margin_probes": 2},
    }
    path = folder / "space.yaml"
    path.write_text(json.dumps(space))
    return path


def start(*arguments: str) -> subprocess.Popen[str]:
    """As a terminal does: in a process group of its own, with Ctrl-C not ignored."""
    process = subprocess.Popen(
        [*COMMAND, *arguments, *SMALL], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    STARTED.append(process)
    return process


def finish(process: subprocess.Popen[str], seconds: float = 300) -> tuple[str, str]:
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert "Traceback" not in err, err
    return out, err


def rows(runs: Path) -> list[dict]:
    return [row for manifest in runs.glob("*/manifest.json") for row in rows_of(manifest.parent)]


def rows_of(run: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in run.glob("rows/*.json")]


@pytest.fixture(autouse=True)
def nothing_runs_on():
    """A test that fails must not leave its sweeps behind."""
    yield
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            for one in descendants(process):
                one.kill()
            process.kill()


@pytest.fixture
def disk(tmp_path):
    """A disk of 16 MB of its own, to be filled and locked."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here ({done.stderr.strip()})")
    yield place
    while place.is_mount():
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def read_only(disk: Path) -> None:
    """Lay a read-only view over the disk: one that is written to cannot be made read-only itself."""
    subprocess.run(["mount", "--bind", str(disk), str(disk)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(disk)], check=True)


def test_a_full_and_a_read_only_disk_stop_the_sweep_with_one_sentence_and_lose_nothing(tmp_path, disk):
    runs = disk / "runs"
    space = write_space(tmp_path / "space", [3, 4, 800])
    sweep = start("sweep", "--space", str(space), "--out", str(runs), "--checkpoint-every", "0.5")
    wait_until(lambda: len(rows(runs)) >= 2, 180, "no rows")
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            pass
    _, err = finish(sweep)
    run = only_run(runs)
    assert sweep.returncode == 1, err
    said = (
        f"{run}: cannot be written (No space left on device); finished trials are kept: put the folder right"
    )
    assert [line for line in err.splitlines() if said in line and f"beliefmod resume {run}" in line], err
    assert {row["status"] for row in rows(runs)} == {"finished"}
    (disk / "ballast").unlink()
    kept = len(rows(runs))

    sweep = start("resume", str(run), "--checkpoint-every", "0.5")
    wait_until(lambda: (run / ".lock").exists() and list(run.glob("checkpoints/*")), 180, "no checkpoint")
    read_only(disk)
    _, err = finish(sweep)
    assert sweep.returncode == 1, err
    assert "cannot be written (Read-only file system)" in err
    again = start("resume", str(run))
    _, err = finish(again)
    assert again.returncode == 1
    assert "cannot be written (Read-only file system)" in err
    subprocess.run(["umount", "--lazy", str(disk)], check=True)
    assert {row["status"] for row in rows(runs)} == {"finished"}
    assert kept <= len(rows(runs)) < 5

    last = start("resume", str(run))
    out, err = finish(last)
    assert last.returncode == 0, err
    assert "5 finished, 0 failed, 0 not run" in out
    assert leftovers(run) == []


def test_ctrl_c_twice_ends_at_once_and_resume_goes_on_with_damaged_files(tmp_path):
    runs = tmp_path / "runs"
    space = write_space(tmp_path / "space", [3, 4, 500])
    sweep = start("sweep", "--space", str(space), "--out", str(runs), "--checkpoint-every", "0.5")
    wait_until(lambda: len(rows(runs)) >= 3, 180, "no rows")
    wait_until(lambda: list(runs.glob("*/checkpoints/*.safetensors")), 60, "no checkpoint")
    started = descendants(sweep)
    assert len(started) > 4
    os.killpg(sweep.pid, signal.SIGINT)  # to everyone, as a terminal does
    os.killpg(sweep.pid, signal.SIGINT)
    time.sleep(0.3)
    if sweep.poll() is None:  # two at the same moment may arrive as one
        os.killpg(sweep.pid, signal.SIGINT)
    pressed = time.monotonic()
    _, err = finish(sweep, 30)
    assert time.monotonic() - pressed < 10
    assert sweep.returncode == 130, err
    run = only_run(runs)
    assert f"beliefmod resume {run}" in err
    assert not left_behind(list(started))

    ended = sorted((run / "rows").iterdir())
    tables = [run / "probes" / f"{path.stem}.parquet" for path in ended]
    tables[0].write_bytes(tables[0].read_bytes()[:100])
    ended[1].write_text(ended[1].read_text()[:50])
    (run / "rows" / "x.json.00000000.tmp").write_text("{")
    for path in (run / "tune").glob("*.json"):
        path.write_text("{")
    (run / "tune" / "tuner.pkl").write_bytes(b"")
    resumed = start("resume", str(run))
    # the lock of the sweep that was ended at once is still there
    wait_until(lambda: str(resumed.pid) in (run / ".lock").read_text(), 60, "no lock")
    second = subprocess.run([*COMMAND, "resume", str(run)], capture_output=True, text=True, timeout=60)
    assert second.returncode == 2
    assert f"another beliefmod (process {resumed.pid} on " in second.stderr
    out, err = finish(resumed)
    assert resumed.returncode == 0, err
    assert f"damaged files, so they run again: trials {tables[0].stem}, {ended[1].stem}" in err
    assert "5 finished, 0 failed, 0 not run" in out
    assert leftovers(run) == []
    steps = pl.concat([pl.read_parquet(path) for path in (run / "steps").glob("*.parquet")])
    assert sorted(steps.group_by("trial_id").len()["len"]) == [3, 4, 500]


def test_two_sweeps_at_once_do_not_see_each_other(tmp_path):
    spaces = [write_space(tmp_path / name, [2, 3], "same") for name in ("one", "other")]
    runs = tmp_path / "runs"
    sweeps = [start("sweep", "--space", str(space), "--out", str(runs)) for space in spaces]
    started: set[psutil.Process] = set()
    while any(sweep.poll() is None for sweep in sweeps):
        for sweep in sweeps:
            with suppress(psutil.NoSuchProcess):
                started |= set(descendants(sweep))
        time.sleep(1)
    for sweep in sweeps:
        out, err = finish(sweep)
        assert sweep.returncode == 0, err
        assert "4 finished, 0 failed, 0 not run" in out
    one, other = (path.parent for path in runs.glob("*/manifest.json"))
    assert {row["belief"] for run in (one, other) for row in rows_of(run)} == {"small"}
    assert not {row["trial_id"] for row in rows_of(one)} & {row["trial_id"] for row in rows_of(other)}
    by_epochs = [
        table(run).sort("num_train_epochs", "arm").with_columns(trial_id=pl.lit("x")) for run in (one, other)
    ]
    assert differences(*by_epochs) == []
    assert len(started) > 8
    assert not left_behind(list(started))
    assert leftovers(one) + leftovers(other) == []
