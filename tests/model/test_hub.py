"""One resolution: what a hub is asked, by one process and by many, and when it answers that it is busy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from beliefmod.errors import UserError
from beliefmod.model import hub as ours
from beliefmod.model.load import load_model
from beliefmod.model.source import find_source
from tests.fake_hub import FakeHub, fake_hub
from tests.hub_cache import FIRST, NAME, SECOND, add_version


@pytest.fixture
def hub(tmp_path, monkeypatch, model_folder) -> Iterator[FakeHub]:
    """A hub whose `main` is a first version, and an empty cache, for this process and those it starts."""
    with fake_hub() as hub:
        hub.versions[FIRST], hub.refs["main"] = model_folder("qwen3"), FIRST
        home = tmp_path / "home"
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            hub.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr(
            "huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE",
            hub.url + "/{repo_id}/resolve/{revision}/{filename}",
            raising=False,
        )
        for name, value in {
            "HF_HOME": str(home),
            "HF_ENDPOINT": hub.url,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "BELIEFMOD_CACHE": str(tmp_path / "cache"),
        }.items():
            monkeypatch.setenv(name, value)
        yield hub


@pytest.fixture
def waited(monkeypatch) -> list[float]:
    """Seconds that were waited for the hub; nothing is waited for here."""
    waits: list[float] = []
    monkeypatch.setattr("beliefmod.model.hub.time.sleep", waits.append)
    return waits


def fetched(hub: FakeHub) -> dict[str, int]:
    return {what: times for what, times in hub.asked.items() if what.startswith("file ")}


def test_a_name_is_resolved_once_and_what_is_here_is_not_asked_for(hub):
    source = find_source(NAME)
    assert source.commit == FIRST
    assert hub.asked["resolve main"] == 1 and hub.asked["list a1"] == 1
    assert fetched(hub)["file model.safetensors"] == 1 and set(fetched(hub).values()) == {1}
    hub.asked.clear()
    # as hosts do, which are given the commit
    assert load_model(NAME, FIRST, "none").name == NAME
    assert find_source(NAME, FIRST).folder == source.folder
    assert not hub.asked
    # a branch may have moved, which only the hub knows
    assert find_source(NAME).commit == FIRST
    assert dict(hub.asked) == {"resolve main": 1}


def test_a_commit_needs_no_resolution(hub):
    assert find_source(NAME, FIRST).commit == FIRST
    assert not [what for what in hub.asked if what.startswith("resolve")]


def test_a_busy_hub_is_asked_again(hub, waited):
    hub.refusals = 2
    assert find_source(NAME).commit == FIRST
    assert waited == list(ours.WAITS[:2]) and hub.asked["refused"] == 2


@pytest.mark.parametrize("spared", range(1, 8))
@pytest.mark.parametrize("status", [429, 503])
def test_a_hub_that_is_busy_in_the_midst_of_it_is_asked_again(hub, waited, spared, status):
    """Whatever it was asked for just then: the list of files, a file's size, or the file itself."""
    hub.spared, hub.refusals, hub.status = spared, 2, status
    assert find_source(NAME).commit == FIRST
    assert hub.asked["refused"] == 2
    assert load_model(NAME, FIRST, "none").name == NAME


@pytest.mark.parametrize(
    ("says", "waits"), [(7, 7), (100_000, ours.LONGEST_WAIT), ("Wed, 21 Oct", ours.WAITS[0])]
)
def test_as_long_as_it_says_is_waited(hub, waited, says, waits):
    hub.refusals, hub.retry_after = 1, says
    assert find_source(NAME).commit == FIRST and waited == [waits]


@pytest.mark.parametrize(("status", "spared"), [(429, 0), (503, 0), (503, 3)])
def test_a_hub_that_stays_busy_is_said(hub, waited, status, spared):
    hub.refusals, hub.status, hub.spared = -1, status, spared
    with pytest.raises(UserError) as caught:
        find_source(NAME)
    [problem] = caught.value.problems
    assert f"model {NAME} is not in the local cache, and the hub answered {status} each time" in problem
    assert "HF_HOME" in problem and "\n" not in problem
    # huggingface_hub itself waits too, up to 8 s, where it is a file that is refused
    assert [wait for wait in waited if spared == 0 or wait > 8] == list(
        ours.WAITS[-1:] if spared else ours.WAITS
    )


def test_what_is_here_serves_while_the_hub_is_busy(hub, waited, tmp_path, model_folder):
    add_version(tmp_path / "home", SECOND, model_folder("llama"), refs=("main",))
    hub.refusals = -1
    assert find_source(NAME).commit == SECOND and find_source(NAME, SECOND).commit == SECOND
    assert not waited


def start(count: int, revision: str) -> list[subprocess.Popen[str]]:
    code = (
        f"from beliefmod.model.source import find_source; print(find_source({NAME!r}, {revision!r}).commit)"
    )
    return [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]


def commits(processes: list[subprocess.Popen[str]]) -> list[str]:
    found = []
    for process in processes:
        out, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
        found.append(out.strip())
    return found


@pytest.mark.long
def test_many_hosts_of_a_machine_fetch_a_model_once(hub):
    hub.refusals, hub.retry_after = 1, 1
    assert commits(start(6, FIRST)) == [FIRST] * 6
    assert hub.asked["list a1"] == 1 and set(fetched(hub).values()) == {1}


def test_locks_that_the_dead_left_are_none(hub, tmp_path):
    """Ours and those of huggingface_hub: files that nobody holds any more."""
    ours_, theirs = (
        tmp_path / "cache" / "hub",
        tmp_path / "home" / "hub" / ".locks" / "models--tests--tiny-model",
    )
    for folder in (ours_, theirs):
        folder.mkdir(parents=True)
    (ours_ / "tests--tiny-model.lock").write_text("")
    for file in hub.files(FIRST):
        (theirs / f"{file.name}.lock").write_text("")
    # and one whose process was killed while it held it
    code = (
        "import fcntl, os, sys; from pathlib import Path; "
        f"f = open({str(ours_ / 'tests--tiny-model.lock')!r}, 'ab'); fcntl.flock(f, fcntl.LOCK_EX); "
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert find_source(NAME).commit == FIRST


def test_a_cache_that_cannot_be_written_goes_without_a_lock(hub, tmp_path, monkeypatch):
    Path(tmp_path / "file").write_text("")
    monkeypatch.setenv("BELIEFMOD_CACHE", os.fspath(tmp_path / "file" / "below"))
    assert find_source(NAME).commit == FIRST
