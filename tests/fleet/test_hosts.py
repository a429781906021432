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
from beliefmod.fleet.rebalancing import rebalance
from beliefmod.worker.balance import HostLoad

LOST = ActorUnavailableError("it is being started again", None)


@dataclass(eq=False)
class Reference:
    """What a call gives back until its answer is there."""

    host: Host
    call: str
    value: Any

    @property
    def comes(self) -> bool:
        return not self.host.late and not (self.host.slow and self.call != "machine")


class Host:
    """A host that answers at once. late: it has no machine yet. slow: it has one, but answers too late.
    lost: it is being started again."""

    def __init__(
        self,
        backlog: int = 0,
        trials: tuple[str, ...] = (),
        late: bool = False,
        lost: bool = False,
        slow: bool = False,
    ):
        self.calls: list[str] = []
        self.late, self.lost, self.slow, self.backlog_now = late, lost, slow, backlog
        self.answers = {
            "machine": lambda: "here",
            "holds": lambda trial: trial in trials,
            "backlog": lambda: self.backlog_now,
            "knows": lambda trial: trial == "ended",
            "stop": lambda trial: None,
            "pick_capability": lambda: None,
            "load": lambda: None,
            "give_back": lambda trial, to: False,
        }
        for name in self.answers:
            setattr(self, name, SimpleNamespace(remote=self._method(name)))

    def _method(self, name):
        def remote(*arguments):
            self.calls.append(name)
            return Reference(self, name, self.answers[name](*arguments))

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
        ready = [one for one in references if one.comes]
        return ready, [one for one in references if not one.comes]

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


def test_who_has_no_machine_yet_is_asked_when_it_has_one(fleet):
    there = {"a": Host(5), "b": Host(3, late=True)}
    hosts, _ = fleet(**there)
    for _ in range(3):
        assert hosts.for_trial("t") is there["a"]
    assert there["b"].calls == ["machine"]
    there["b"].late = False
    assert hosts.for_trial("t") is there["b"]


def test_a_slow_host_counts_with_what_it_said_last_and_what_was_sent_there(fleet):
    there = {"a": Host(50), "b": Host(30)}
    hosts, _ = fleet(**there)
    assert hosts.for_trial("t", 15) is there["b"]
    there["b"].slow = True
    assert hosts.for_trial("u", 15) is there["b"], "45 are fewer than 50"
    assert hosts.for_trial("v", 15) is there["a"], "60 are more"
    there["b"].slow, there["b"].backlog_now = False, 1
    assert hosts.for_trial("w", 15) is there["b"], "what it says itself counts"


def test_a_host_that_never_said_counts_as_one_that_loads_and_is_not_left_idle(fleet):
    there = {"a": Host(0), "b": Host(slow=True)}
    hosts, _ = fleet(**there)
    chosen = []
    for trial in range(6):
        chosen.append("a" if hosts.for_trial(str(trial), 40) is there["a"] else "b")
        there["a"].backlog_now += 40 * (chosen[-1] == "a")
    assert chosen == ["a", "a", "a", "b", "a", "b"]


def test_what_a_host_that_died_had_ahead_is_forgotten(fleet):
    there = {"a": Host(90), "b": Host(5)}
    hosts, _ = fleet(**there)
    assert hosts.for_trial("t") is there["b"]
    there["b"].lost = True
    assert hosts.for_trial("t") is there["a"]
    there["b"].lost, there["b"].slow = False, True
    assert hosts.for_trial("t") is there["a"], "it loads again"


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


def test_moves_are_asked_for_of_hosts_that_tell_their_load(fleet):
    fleet()
    full = HostLoad(slots=2, free=0, work=160, waiting={"t": 40, "u": 40})
    there = {"a": Host(), "b": Host(), "c": Host(slow=True), "d": Host(late=True), "e": Host(lost=True)}
    there["a"].answers |= {"load": lambda: full, "give_back": lambda trial, to: trial == "u" and to == "b"}
    there["b"].answers |= {"load": lambda: HostLoad(slots=2, free=2, work=0)}
    places = {name: host.machine.remote() for name, host in there.items()}
    assert rebalance(Fleet(there, "run", {}, places)) == 1  # type: ignore[arg-type]
    assert [each.calls[1:] for each in there.values()] == [
        ["load", "give_back", "give_back"], ["load"], ["load"], [], ["load"]
    ]  # fmt: skip


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
