"""A real sweep, steered while it runs: a trial stopped, one added, and both apart from what was planned."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import polars as pl
import pytest

from beliefmod.monitor.status import stored_space
from beliefmod.run.folder import RunFolder
from tests.command import COMMAND, PLAIN, QUICK_BASE, beliefmod, only_run, wait_until
from tests.small import write_belief


@pytest.mark.slow
@pytest.mark.long
def test_a_trial_is_stopped_and_one_added_while_the_sweep_runs(tmp_path: Path):
    space = tmp_path / "space.yaml"
    content = {
        "name": "steered",
        "beliefs": [write_belief(tmp_path)],
        "points": [
            {"num_train_epochs": 4, "learning_rate": 1e-3},
            {"num_train_epochs": 9000, "learning_rate": 2e-3},
        ],
        "fixed": {"data.num_examples": 4, "lora.r": 4},
        "controls": "none",
        "evaluation": {"max_new_tokens": 64, "trained_probes": 2, "margin_probes": 2},
        **QUICK_BASE,
    }
    space.write_text(json.dumps(content))
    command = ["sweep", "--space", str(space), "--out", str(tmp_path / "runs"), *PLAIN]
    with subprocess.Popen([*COMMAND, *command], stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: list((tmp_path / "runs").glob("*/live/*.json")), 120, "no host")
            run = str(only_run(tmp_path / "runs"))
            short, endless = [c for c in stored_space(RunFolder(run)).trials() if c.arm == "lora"]
            added = beliefmod("clone", run, short.trial_id, "--set", "learning_rate=5e-4")
            stopped = beliefmod("stop", run, endless.label)
            told = process.communicate(timeout=240)[1]
        finally:
            process.kill()
    assert (process.returncode, added.returncode, stopped.returncode) == (0, 0, 0), told + stopped.stderr
    assert f"trial {endless.trial_id}): stopped by hand" in told
    clone = added.stdout.strip()
    rows = {row["trial_id"]: row for row in pl.read_parquet(f"{run}/trials.parquet").to_dicts()}
    assert [rows[name]["status"] for name in (short.trial_id, endless.trial_id, clone)] == [
        "finished", "stopped", "finished"
    ]  # fmt: skip
    assert rows[endless.trial_id]["steps"] < endless.total_steps
    assert rows[endless.trial_id]["by_hand"].startswith("stopped by hand (")
    assert rows[clone]["by_hand"].endswith(f"trial {short.trial_id} with learning_rate=5e-4")
    assert rows[clone]["learning_rate"] == 5e-4 and rows[short.trial_id]["by_hand"] is None
    verified = beliefmod("verify", run)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "added by hand, so not as planned" in verified.stdout + verified.stderr
    assert not list((Path(run) / "requests").glob("*.json"))
