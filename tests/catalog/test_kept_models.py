"""The cache: a folder is there as a whole or not at all, whatever ends the work and whoever wants it."""

import errno
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from beliefmod.catalog.kept_models import (
    RECORD,
    cache_folder,
    check_room,
    damaged_file,
    fault_of,
    keep,
    record_of,
)
from beliefmod.errors import UserError
from tests.command import wait_until


def quiet(line: str) -> None:
    pass


def make(half: Path) -> dict[str, str]:
    (half / "weights").write_bytes(b"abc")
    return {"name": "tiny"}


def test_a_kept_folder_says_what_it_is_and_is_made_once(tmp_path):
    place, made = tmp_path / "cache" / "one", []
    for _ in range(2):
        keep(place, "model x", lambda half: made.append(half) or make(half), quiet)
    record = record_of(place)
    assert record is not None and record["name"] == "tiny" and len(made) == 1
    assert record["files"]["weights"]["bytes"] == 3
    assert record["files"]["weights"]["sha256"].startswith("ba7816bf")  # sha256 of abc, FIPS 180-2
    assert {path.name for path in place.parent.iterdir()} == {"one", "one.lock"}


def test_who_shares_the_cache_can_read_what_is_kept(tmp_path):
    def private(partial: Path) -> dict[str, str]:  # as the safetensors library writes
        facts = make(partial)
        (partial / "weights").chmod(0o600)
        return facts

    keep(tmp_path / "one", "model x", private, quiet)
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o755
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in (tmp_path / "one").iterdir())


@pytest.mark.parametrize("spoil", ["shorter", "gone", "no record", "no json"])
def test_a_damaged_folder_counts_as_none_and_is_made_again(tmp_path, spoil):
    place = tmp_path / "one"
    keep(place, "model x", make, quiet)
    if spoil == "shorter":
        (place / "weights").write_bytes(b"ab")
    elif spoil == "gone":
        (place / "weights").unlink()
    elif spoil == "no record":
        (place / RECORD).unlink()
    else:
        (place / RECORD).write_text("{")
    assert record_of(place) is None
    assert (
        fault_of(place)
        == {
            "shorter": "has 2 bytes of weights where 3 belong",
            "gone": "lacks weights",
            "no record": "has no kept.json, which is written last",
            "no json": "has a kept.json that is damaged",
        }[spoil]
    )
    assert fault_of(tmp_path / "two") is None, "what is not there has no fault"
    keep(place, "model x", make, quiet)
    assert record_of(place) and (place / "weights").read_bytes() == b"abc"


def test_content_of_the_right_size_that_is_not_what_was_recorded_is_named(tmp_path):
    place = tmp_path / "one"
    assert damaged_file(place) is None
    keep(place, "model x", make, quiet)
    assert damaged_file(place) is None
    (place / "weights").write_bytes(b"abd")
    assert record_of(place) is not None and damaged_file(place) == "weights"


def fails(error: BaseException):
    def half_way(half: Path) -> dict[str, str]:
        make(half)
        raise error

    return half_way


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full); free some"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full); free some"),
        (PermissionError(errno.EACCES, "Permission denied"), "cannot be written (Permission denied)"),
    ],
)
def test_a_disk_that_fails_is_one_sentence_and_leaves_nothing(tmp_path, error, says):
    with pytest.raises(UserError) as caught:
        keep(tmp_path / "one", "model x", fails(error), quiet)
    [problem] = caught.value.problems
    assert says in problem and problem.startswith("model x: ") and "BELIEFMOD_CACHE" in problem
    assert {path.name for path in tmp_path.iterdir()} == {"one.lock"}


def test_ctrl_c_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        keep(tmp_path / "one", "model x", fails(KeyboardInterrupt()), quiet)
    assert {path.name for path in tmp_path.iterdir()} == {"one.lock"}


def test_too_little_room_is_said_before_the_work(tmp_path):
    check_room(tmp_path, "model x", 1)
    with pytest.raises(UserError, match=r"MB are free and 10,000,000,000,000 are needed\); free some"):
        check_room(tmp_path, "model x", 10**13)


def slow(place: Path, log: Path, seconds: float) -> None:
    """What another process does: make the folder slowly."""

    def work(half: Path) -> dict[str, str]:
        with log.open("a") as file:
            file.write("begun\n")
        made = make(half)
        time.sleep(seconds)
        return made

    keep(place, "model x", work, quiet)


def started(*arguments) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=slow, args=arguments)
    process.start()
    return process


def test_who_wants_the_same_waits_and_makes_nothing(tmp_path):
    place, log, said = tmp_path / "one", tmp_path / "log", []
    other = started(place, log, 1.0)
    wait_until(log.exists, 20)
    keep(place, "model x", fails(AssertionError("made twice")), said.append)
    other.join()
    assert log.read_text() == "begun\n" and record_of(place)
    assert said == ["model x: waiting for another process that is at it"]


def test_what_a_killed_process_left_is_never_used_and_is_removed(tmp_path):
    place, log = tmp_path / "one", tmp_path / "log"
    other = started(place, log, 60)
    wait_until(lambda: list(tmp_path.glob("one.*.part/weights")), 20)
    assert other.pid is not None
    os.kill(other.pid, signal.SIGKILL)
    other.join()
    assert record_of(place) is None and list(tmp_path.glob("*.part"))
    keep(place, "model x", make, quiet)
    assert record_of(place) and not list(tmp_path.glob("*.part"))


def test_the_folder_is_named_by_the_environment_or_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("BELIEFMOD_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("BELIEFMOD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "beliefmod"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "beliefmod"
