"""Which host a trial goes to, with Ray's calls replaced by plain ones."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorUnavailableError

from beliefmod.errors import UserError
from beliefmod.fleet import hosts as module
from beliefmod.fleet.hosts import Fleet, Hosts, pick_capability

LOST = ActorUnavailableError("it is being started again", None)


@dataclass(eq=False)
class Reference:
    """What a call gives back until its answer is there."""

    host: Host
    value: Any


class Host:
    """A host that answers at once. late: never in time. lost: it is being started again."""

    def __init__(
        self, backlog: int = 0, trials: tuple[str, ...] = (), late: bool = False, lost: bool = False
    ):
        self.calls: list[str] = []
        self.late, self.lost = late, lost
        answers = {
            "holds": lambda trial: trial in trials,
            "backlog": lambda: backlog,
            "knows": lambda trial: trial == "ended",
            "stop": lambda trial: None,
            "pick_capability": lambda: None,
        }
        for name, answer in answers.items():
            setattr(self, name, SimpleNamespace(remote=self._method(name, answer)))

    def _method(self, name, answer):
        def remote(*arguments):
            self.calls.append(name)
            return Reference(self, answer(*arguments))

        return remote


@pytest.fixture
def fleet(monkeypatch):
    looked_up: list[str] = []

    def make(**there: Host) -> tuple[Hosts, list[str]]:
        def get_actor(name, namespace):
            looked_up.append(name)
            if name not in there:
                raise ValueError(name)
            return there[name]

        monkeypatch.setattr(module.ray, "get_actor", get_actor)
        return Hosts([*there, "gone"], "run"), looked_up

    def wait(references, num_returns, timeout):
        ready = [one for one in references if not one.host.late]
        return ready, [one for one in references if one.host.late]

    def get(reference, timeout=None):
        if reference.host.lost:
            raise LOST
        return reference.value

    monkeypatch.setattr(module.ray, "wait", wait)
    monkeypatch.setattr(module.ray, "get", get)
    return make


def test_the_least_busy_of_those_that_answer(fleet):
    there = {"a": Host(5), "b": Host(3), "c": Host(0, late=True), "d": Host(1, lost=True)}
    hosts, _ = fleet(**there)
    assert hosts.for_trial("t") is there["b"]


def test_who_has_no_machine_yet_is_not_asked_every_time(fleet, monkeypatch):
    there = {"a": Host(5), "b": Host(3, late=True)}
    hosts, _ = fleet(**there)
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    for _ in range(3):
        assert hosts.for_trial("t") is there["a"]
    assert len(there["b"].calls) == 1 and len(there["a"].calls) == 6
    there["b"].late = False
    assert hosts.for_trial("t") is there["a"]
    clock[0] = module.SILENT_SECONDS
    assert hosts.for_trial("t") is there["b"]
    # nobody answers: all are asked again at once
    for host in there.values():
        host.late = True
    with pytest.raises(ActorUnavailableError):
        hosts.for_trial("t")
    there["b"].late = False
    assert hosts.for_trial("t") is there["b"]


def test_the_one_that_has_the_trial_however_busy(fleet):
    there = {"a": Host(0), "b": Host(900, ("t",))}
    hosts, _ = fleet(**there)
    assert hosts.for_trial("t") is there["b"]
    assert "backlog" not in there["a"].calls


def test_none_answers(fleet):
    with pytest.raises(ActorUnavailableError, match="no host is up"):
        fleet(a=Host(lost=True))[0].for_trial("t")
    with pytest.raises(ActorUnavailableError, match="no host is up"):
        fleet()[0].for_trial("t")


def test_hosts_are_looked_up_once_and_a_missing_one_again(fleet):
    hosts, looked_up = fleet(a=Host(), b=Host())
    for _ in range(3):
        hosts.for_trial("t")
    assert sorted(set(looked_up)) == ["a", "b", "gone"]
    assert looked_up.count("a") == looked_up.count("b") == 1 and looked_up.count("gone") > 1


def test_one_host_is_asked_for_the_end_of_a_trial(fleet):
    there = {"a": Host(lost=True), "b": Host(), "c": Host(0, ("running",))}
    hosts, _ = fleet(**there)
    assert hosts.know("running") and hosts.know("ended") and not hosts.know("new")
    assert "knows" not in there["c"].calls


def test_all_are_told_to_stop_a_trial(fleet):
    there = {"a": Host(), "b": Host(late=True)}
    fleet(**there)[0].stop("t")
    assert all(host.calls == ["stop"] for host in there.values())


def test_one_host_picks_the_general_questions_and_another_one_if_it_dies(fleet, monkeypatch):
    fleet()
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    first, second = Host(lost=True), Host()
    pick_capability(Fleet({"a": second, "b": first}, "run", {"b": {}}, {}))
    assert (first.calls, second.calls) == (["pick_capability"], ["pick_capability"])
    pick_capability(Fleet({"a": second, "b": first}, "run", {"a": {}}, {}))
    assert (first.calls, second.calls) == (["pick_capability"], ["pick_capability"] * 2)
    with pytest.raises(UserError, match="no host could ask the model its first questions"):
        pick_capability(Fleet({"b": first}, "run", {"b": {}}, {}))
