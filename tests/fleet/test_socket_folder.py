"""Where Ray's sockets go when the temporary folder's path is long."""

import os
import tempfile
from pathlib import Path

import pytest
import ray

from beliefmod.errors import UserError
from beliefmod.fleet.cluster import session
from beliefmod.fleet.socket_folder import MOST_BYTES, OF_SESSION, short_temp_dir


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
    monkeypatch.setenv("TMPDIR", "/" + "x" * (MOST_BYTES - OF_SESSION - len("/ray") - 1))
    assert short_temp_dir() is None
    monkeypatch.setenv("TMPDIR", "/" + "x" * (MOST_BYTES - OF_SESSION - len("/ray")))
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        assert short_temp_dir(Path(short)) == f"{short}/ray-{os.getuid()}"
        assert short_temp_dir(Path(short)) == f"{short}/ray-{os.getuid()}"  # also when it is there already


def test_nowhere_to_go_is_one_sentence(long_folder, tmp_path):
    with pytest.raises(UserError, match=r"too long for Ray's sockets.*set RAY_TMPDIR to a folder of at most"):
        short_temp_dir(tmp_path / "absent")


@pytest.mark.long
@pytest.mark.slow
def test_ray_starts_all_the_same(long_folder):
    with session(None, "long-path", dashboard=False) as cluster:
        assert cluster["CPU"] >= 1
        assert ray.get(ray.remote(num_cpus=0)(lambda: os.getpid()).remote()) != os.getpid()
