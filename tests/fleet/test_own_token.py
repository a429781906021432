"""Ray's token where the home cannot be written."""

import os

import pytest
import ray

from beliefmod.fleet.cluster import own_token, session


def test_a_home_that_can_be_written_is_rays_own_business(tmp_path):
    assert own_token({}, tmp_path) == own_token({}, tmp_path / "to" / "come") == {}
    assert own_token({"RAY_AUTH_TOKEN": "a" * 64}, tmp_path / "file") == {}


def test_no_home_gets_a_new_token_each_time_unless_one_is_there(tmp_path):
    (tmp_path / "file").write_text("")
    one, other = (own_token({}, tmp_path / "file")["RAY_AUTH_TOKEN"] for _ in range(2))
    assert len(one) == 64 and one != other
    assert own_token({"RAY_AUTH_TOKEN_PATH": "/somewhere"}, tmp_path / "file") == {}


@pytest.mark.long
@pytest.mark.slow
def test_ray_starts_without_a_home(monkeypatch):
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    with session(None, "no-home", dashboard=False):
        assert ray.get(ray.remote(num_cpus=0)(lambda: len(os.environ["RAY_AUTH_TOKEN"])).remote()) == 64
    assert "RAY_AUTH_TOKEN" not in os.environ
