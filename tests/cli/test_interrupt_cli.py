"""Ctrl-C and SIGTERM from the command line: what is kept, what is said, and that nothing runs on."""

import json
import os
import signal
import subprocess
import time

import polars as pl
import pytest

from tests.command import (
    COMMAND,
    PLAIN,
    QUICK_BASE,
    descendants,
    left_behind,
    only_run,
    wait_until,
)
from tests.finished_run import small_space

pytestmark = pytest.mark.slow


@pytest.mark.long
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_ends_cleanly(tmp_path, sent):
    space = small_space(tmp_path, **QUICK_BASE, axes={"num_train_epochs": [2, 3, 4000]})
    sweep = subprocess.Popen(
        [*COMMAND, "sweep", "--space", str(space), "--out", str(tmp_path / "runs"), *PLAIN, "--hosts", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
    )  # fmt: skip
    try:
        wait_until(lambda: len(list((tmp_path / "runs").glob("*/rows/*.json"))) >= 4, 120)
        started = descendants(sweep)
        assert len(started) > 4
        sweep.send_signal(sent)
        out, err = sweep.communicate(timeout=90)
    finally:
        sweep.kill()
    assert sweep.returncode == 130, err
    assert "Traceback" not in err
    assert "4 finished, 0 failed, 1 not run" in out
    run = only_run(tmp_path / "runs")
    assert f"beliefmod resume {run}" in err
    assert json.loads((run / "manifest.json").read_text())["status"] == "interrupted"
    assert pl.read_parquet(run / "trials.parquet").height == 4
    assert not left_behind(started)


@pytest.mark.parametrize("later", [0.0, 2.0])
def test_an_interrupt_while_ray_is_imported_or_starts_is_as_clean(tmp_path, later):
    runs = tmp_path / "runs"
    sweep = subprocess.Popen(
        [*COMMAND, "sweep", "--space", str(small_space(tmp_path, **QUICK_BASE)), "--out", str(runs), *PLAIN],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: list(runs.glob("*/manifest.json")), 60)
        time.sleep(later)
        sweep.send_signal(signal.SIGINT)
        _, err = sweep.communicate(timeout=90)
    finally:
        sweep.kill()
    # CPython ends by the signal itself, which shells show as 130, if it came while a module that was being
    # imported ran `exec` (dataclasses do), even though the exception was handled
    assert sweep.returncode in (130, -signal.SIGINT), err
    assert "Traceback" not in err
    assert f"beliefmod resume {only_run(runs)}" in err
