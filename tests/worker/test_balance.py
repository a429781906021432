"""Moves between hosts: what holds for any loads, and the case in which it was missed."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from beliefmod.worker.balance import HostLoad, Move, moves

Loads = dict[str, HostLoad]


@st.composite
def any_loads(draw) -> Loads:
    found, number = {}, 0
    for host in range(draw(st.integers(0, 5))):
        slots = draw(st.integers(1, 6))
        works = draw(st.lists(st.integers(1, 300), max_size=8))
        waiting = {f"t{number + place}": float(work) for place, work in enumerate(works)}
        number += len(works)
        begun = draw(st.integers(0, 500))
        free = draw(st.integers(0, slots)) if not waiting else 0
        found[f"host-{host}"] = HostLoad(slots, free, begun + sum(works), waiting)
    return found


def after(loads: Loads, made: list[Move]) -> Loads:
    """The loads once every move is made and whoever moved has begun."""
    now = dict(loads)
    for move in made:
        source, target = now[move.source], now[move.target]
        work = source.waiting[move.trial_id]
        rest = {name: each for name, each in source.waiting.items() if name != move.trial_id}
        now[move.source] = replace(source, work=source.work - work, waiting=rest)
        now[move.target] = replace(target, work=target.work + work, free=target.free - 1)
    return now


@given(any_loads())
def test_what_moves_waited_and_finds_a_free_slot(loads: Loads):
    made = moves(loads)
    assert len({move.trial_id for move in made}) == len(made)
    for name, load in loads.items():
        assert {move.trial_id for move in made if move.source == name} <= set(load.waiting)
        assert sum(move.target == name for move in made) <= load.free
        assert not (load.waiting and any(move.target == name for move in made))


@given(any_loads())
def test_the_fullest_host_gets_no_fuller_and_no_work_is_lost(loads: Loads):
    later = after(loads, moves(loads))
    most = [max((load.per_slot for load in each.values()), default=0.0) for each in (loads, later)]
    assert most[1] <= most[0]
    assert sum(load.work for load in later.values()) == sum(load.work for load in loads.values())


@given(any_loads())
def test_nothing_goes_back_and_no_host_is_idle_that_could_help(loads: Loads):
    later = after(loads, moves(loads))
    assert moves(later) == []
    for idle in (load for load in later.values() if load.free and not load.waiting):
        for other in later.values():
            for work in other.waiting.values():
                assert (idle.work + work) / idle.slots >= other.per_slot


def test_six_trials_on_one_of_two_hosts():
    """Two slots each: two train, four wait, and the other host did nothing to the end."""
    full = HostLoad(2, 0, 6 * 60, {f"t{number}": 60 for number in range(4)})
    assert moves({"a": full, "b": HostLoad(2, 2, 0)}) == [Move("t3", "a", "b"), Move("t2", "a", "b")]


def test_a_trial_that_would_end_no_sooner_stays():
    assert moves({"a": HostLoad(4, 0, 100, {"t": 60}), "b": HostLoad(1, 1, 0)}) == []
    assert moves({"a": HostLoad(1, 0, 100, {"t": 60}), "b": HostLoad(1, 1, 0)}) == [Move("t", "a", "b")]
    assert moves({"a": HostLoad(1, 0, 100, {"t": 60}), "b": HostLoad(1, 0, 0)}) == []
