"""The lock of a run folder, against other processes."""

import os
import subprocess
import sys

import pytest

from beliefmod.errors import StorageTrouble, UserError
from beliefmod.run.folder import RunFolder
from beliefmod.run.lock import LOCK, sole_driver

HOLD = """
import sys
from beliefmod.run.folder import RunFolder
from beliefmod.run.lock import sole_driver
with sole_driver(RunFolder(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_driver_is_told_who_the_first_is(folder):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, folder.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout and first.stdout.readline() == "held\n"
        try:
            told = rf"process {first.pid} on .*; wait for it"
            with pytest.raises(UserError, match=told), sole_driver(folder):
                raise AssertionError("must not be entered")
        finally:
            first.kill()
        first.wait()
        with sole_driver(folder):  # a driver that was killed holds nothing
            pass
    assert os.listdir(folder.root) == []


def test_the_lock_is_free_again_after_an_error(folder):
    with pytest.raises(KeyError), sole_driver(folder):
        raise KeyError
    with sole_driver(folder), pytest.raises(UserError, match="another beliefmod"), sole_driver(folder):
        raise AssertionError("must not be entered")
    with sole_driver(folder):
        assert os.listdir(folder.root) == [LOCK]


def test_a_folder_that_is_gone_is_storage_trouble(tmp_path):
    with pytest.raises(StorageTrouble, match="gone"), sole_driver(RunFolder(str(tmp_path / "gone"))):
        raise AssertionError("must not be entered")


def test_a_bucket_has_no_lock():
    folder = RunFolder("memory://runs/locked")
    with sole_driver(folder), sole_driver(folder):
        assert not folder.exists(".lock")
