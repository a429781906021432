"""Locks where there are some, and file systems that have none."""

from __future__ import annotations

import errno
import fcntl
import os

import pytest

from beliefmod.catalog.kept_models import holding_lock
from beliefmod.run.lock import sole_driver
from beliefmod.run.seal.ledger import append, chain_of
from beliefmod.user_files.file_lock import lock_exclusively

# what flock(2), NFS without lockd, overlays in user space and Lustre without -o flock answer
NONE = ("ENOLCK", "EOPNOTSUPP", "ENOTSUP", "ENOSYS", "EINVAL")


def test_two_cannot_hold_it_and_closing_lets_go(tmp_path):
    with open(tmp_path / "file", "wb") as one, open(tmp_path / "file", "rb") as other:
        assert lock_exclusively(one, wait=False)
        with pytest.raises(BlockingIOError):
            lock_exclusively(other, wait=False)
        one.close()
        assert lock_exclusively(other)


@pytest.fixture(params=NONE)
def no_locks(request, monkeypatch) -> None:
    number = getattr(errno, request.param)

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_runs_seals_and_the_cache_work_on_a_file_system_without_locks(no_locks, folder, tmp_path):
    with sole_driver(folder):
        append(folder, [{"kind": "plan"}], begin=True)
        append(folder, [{"kind": "report"}])
    assert [entry["kind"] for entry in chain_of(folder).entries] == ["plan", "report"]
    with holding_lock(tmp_path / "model", "model", print) as locked:
        assert not locked


def test_other_trouble_is_not_taken_for_a_lack_of_locks(monkeypatch, tmp_path):
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with open(tmp_path / "file", "wb") as file, pytest.raises(OSError, match="Input/output"):
        lock_exclusively(file)
