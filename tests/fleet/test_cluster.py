"""Ray that does not come up at once."""

import subprocess

import pytest
import ray

from beliefmod.errors import UserError
from beliefmod.fleet.cluster import STARTING_ATTEMPTS, _dashboard, session

LATE = "The current node timed out during startup. This could happen because some of the raylet failed"


class Starts:
    """Stands for ray.init: raises what it is given, one by one, then answers. Each time it fails it leaves a
    process."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.calls, self.left = list(errors), 0, []

    def __call__(self, **options):
        self.calls += 1
        if self.errors:
            self.left.append(subprocess.Popen(["sleep", "60"]))
            raise self.errors.pop(0)
        return type("Context", (), {"address_info": {"session_dir": "/nowhere"}, "dashboard_url": ""})


def enter(monkeypatch, starts: Starts) -> dict:
    monkeypatch.setattr(ray, "init", starts)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    with session(None, "name", dashboard=False) as cluster:
        return cluster


def test_a_node_that_is_late_is_started_again(monkeypatch):
    starts = Starts(*[Exception(LATE)] * (STARTING_ATTEMPTS - 1))
    assert enter(monkeypatch, starts)["CPU"] == 2.0
    assert starts.calls == STARTING_ATTEMPTS


def test_what_a_late_node_left_is_ended_and_nothing_else(monkeypatch):
    other = subprocess.Popen(["sleep", "60"])
    starts = Starts(Exception(LATE))
    enter(monkeypatch, starts)
    [left] = starts.left
    assert left.poll() is not None
    assert other.poll() is None
    other.kill()
    other.wait()


def test_a_node_that_never_comes_up_is_one_sentence(monkeypatch):
    with pytest.raises(UserError, match=r"Ray did not start .* busy with other work"):
        enter(monkeypatch, Starts(*[Exception(LATE)] * 9))


def test_other_errors_are_not_tried_again(monkeypatch):
    starts = Starts(RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        enter(monkeypatch, starts)
    assert starts.calls == 1


@pytest.mark.parametrize(
    ("asks", "kept", "words"),
    [
        (False, True, "http://127.0.0.1:8265"),
        (True, True, "http://127.0.0.1:8265 (its token: ray get-auth-token)"),
        (True, False, "http://127.0.0.1:8265 (its token is not kept; set RAY_AUTH_TOKEN to one of yours)"),
    ],
)
def test_where_the_dashboard_is_comes_with_how_to_get_its_token(monkeypatch, asks, kept, words):
    monkeypatch.setattr("beliefmod.fleet.cluster.is_token_auth_enabled", lambda: asks)
    assert _dashboard("127.0.0.1:8265", kept) == words
    assert _dashboard("", kept) == _dashboard(None, kept) == ""


def test_ray_is_started_here_though_another_one_could_be_joined(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    given: dict = {}
    start = Starts()
    monkeypatch.setattr(ray, "init", lambda **options: given.update(options) or start(**options))
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    for address in (None, "local"):
        with session(address, "name", dashboard=False):
            assert given.pop("address") == "local"
