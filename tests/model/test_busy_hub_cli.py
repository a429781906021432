"""A model of a hub that is busy, through the command line, in processes of their own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from beliefmod.bundled import weights_dir
from tests.command import COMMAND
from tests.fake_hub import FakeHub, fake_hub
from tests.finished_run import small_space
from tests.hub_cache import FIRST, NAME

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture
def hub(tmp_path) -> Iterator[tuple[FakeHub, Callable[[], subprocess.CompletedProcess[str]]]]:
    """A hub with one version of a model, and a dry run of a sweep on it that starts with an empty cache."""
    space = small_space(tmp_path, axes={})
    with fake_hub() as hub:
        hub.versions[FIRST], hub.refs["main"], hub.retry_after = Path(weights_dir()), FIRST, 1
        environment = {
            **os.environ,
            "HF_HOME": str(tmp_path / "home"),
            "HF_ENDPOINT": hub.url,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "BELIEFMOD_CACHE": str(tmp_path / "cache"),
        }

        def plan() -> subprocess.CompletedProcess[str]:
            command = [*COMMAND, "sweep", "--space", str(space), "--model", NAME, "--dry-run", "--no-sample"]
            return subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)

        yield hub, plan


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("spared", [0, 4])
def test_a_hub_that_is_busy_for_a_while_is_asked_again(status, spared, hub, tmp_path):
    """From the first request on, and in the middle of the files; beside locks of processes that are gone."""
    hub, plan = hub
    hub.status, hub.refusals, hub.spared = status, 2, spared
    for lock in (
        tmp_path / "cache" / "hub" / f"{NAME.replace('/', '--')}.lock",
        tmp_path / "home" / "hub" / ".locks" / f"models--{NAME.replace('/', '--')}" / "stale.lock",
    ):
        lock.parent.mkdir(parents=True)
        lock.write_text("a process that died")
    done = plan()
    assert done.returncode == 0, done.stderr
    assert f"model             {NAME} at {FIRST}" in done.stdout and hub.asked["refused"] == 2
    files = {times for what, times in hub.asked.items() if what.startswith("file ")}
    assert files and max(files) <= 2


@pytest.mark.parametrize("status", [429, 503])
def test_a_hub_that_stays_busy_is_one_sentence(status, hub):
    hub, plan = hub
    hub.status, hub.refusals = status, -1
    done = plan()
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert f"model {NAME} is not in the local cache, and the hub answered {status} each time" in done.stderr
    assert f"run `hf download {NAME}`" in done.stderr
