"""Where Ray's sockets go when the temporary folder's path is long, or nothing can be written there."""

import os
import tempfile
from pathlib import Path

import pytest
import ray

from beliefmod.errors import UserError
from beliefmod.fleet.cluster import session
from beliefmod.fleet.socket_folder import MOST_BYTES, OF_SESSION, can_be_written, usable_temp_dir


@pytest.fixture
def long_folder(tmp_path, monkeypatch) -> Path:
    """The temporary folder of this process and of what it starts, too long by one character."""
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    name = "x" * (MOST_BYTES - OF_SESSION - len("/ray") - len(str(tmp_path)))
    folder = tmp_path / name if len(name) > 1 else tmp_path
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_a_short_temporary_folder_is_rays_own_business(monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr("beliefmod.fleet.socket_folder.can_be_written", lambda folder: True)
    monkeypatch.setenv("TMPDIR", "/" + "x" * (MOST_BYTES - OF_SESSION - len("/ray") - 1))
    assert usable_temp_dir() is None
    monkeypatch.setenv("TMPDIR", "/" + "x" * (MOST_BYTES - OF_SESSION - len("/ray")))
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        assert usable_temp_dir(Path(short)) == f"{short}/ray-{os.getuid()}"
        assert usable_temp_dir(Path(short)) == f"{short}/ray-{os.getuid()}"  # also when it is there already


def test_nowhere_to_go_is_one_sentence(long_folder, tmp_path):
    with pytest.raises(
        UserError, match=r"too long for Ray's sockets.*set RAY_TMPDIR to .*, of at most \d+ char"
    ):
        usable_temp_dir(tmp_path / "absent")


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
@pytest.mark.parametrize("place", ["/proc/1/fdinfo", "/dev/null/below"])
def test_a_temporary_folder_that_cannot_be_written_is_replaced(monkeypatch, variable, place):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(variable, place)
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        assert usable_temp_dir(Path(short)) == f"{short}/ray-{os.getuid()}"
        with pytest.raises(UserError, match=rf"{place}/ray cannot be written .*set RAY_TMPDIR"):
            usable_temp_dir(Path(short) / "absent")


def test_a_folder_is_judged_by_the_first_above_it_that_is_there(tmp_path, monkeypatch):
    assert can_be_written(tmp_path) and can_be_written(tmp_path / "to" / "come")
    (tmp_path / "file").touch()
    assert not can_be_written(tmp_path / "file") and not can_be_written(tmp_path / "file" / "below")
    # root may enter everything, so the kernel's answer to others is given here
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path))
    assert not can_be_written(tmp_path / "to" / "come")


@pytest.mark.long
@pytest.mark.slow
def test_ray_starts_all_the_same(long_folder):
    with session(None, "long-path", dashboard=False) as cluster:
        assert cluster["CPU"] >= 1
        assert ray.get(ray.remote(num_cpus=0)(lambda: os.getpid()).remote()) != os.getpid()
