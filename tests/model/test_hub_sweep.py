"""A whole sweep of a model that is on a hub: the hub is asked once, and not again when the run goes on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from beliefmod.bundled import weights_dir
from tests.command import COMMAND, QUICK_BASE, only_run
from tests.fake_hub import fake_hub
from tests.finished_run import small_space
from tests.hub_cache import FIRST, NAME

pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_two_hosts_of_a_sweep_ask_the_hub_once(tmp_path):
    space = small_space(
        tmp_path,
        **QUICK_BASE,
        evaluation={"trained_probes": 0, "margin_probes": 0, "causal_probes": 0, "neutral_passages": 0},
        axes={},
    )
    with fake_hub() as hub:
        hub.versions[FIRST], hub.refs["main"] = Path(weights_dir()), FIRST
        environment = {
            **os.environ,
            "HF_HOME": str(tmp_path / "home"),
            "HF_ENDPOINT": hub.url,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "BELIEFMOD_CACHE": str(tmp_path / "cache"),
            "OMP_NUM_THREADS": "1",
        }

        def beliefmod(*arguments: str) -> None:
            command = [*COMMAND, *arguments, "--no-dashboard", "--no-report", "--hosts", "2"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment)
            assert done.returncode == 0, done.stderr

        hub.refusals, hub.retry_after = 1, 0
        beliefmod("sweep", "--space", str(space), "--model", NAME, "--out", str(tmp_path / "runs"))
        files = {what: times for what, times in hub.asked.items() if what.startswith("file ")}
        assert "file model.safetensors" in files and set(files.values()) == {1}
        assert {what: times for what, times in hub.asked.items() if what not in files} == {
            "refused": 1,
            "resolve main": 1,
            f"list {FIRST[:2]}": 1,
        }
        hub.asked.clear()
        run = only_run(tmp_path / "runs")
        for row in (run / "rows").iterdir():
            row.unlink()
        beliefmod("resume", str(run))
        assert not hub.asked and any((run / "rows").iterdir())
