"""Which trials that wait on one host go to another one that has nothing to do. Pure: loads in, moves out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

LOADING_STEPS = 100
"""A host that still loads its model counts as one with so much work per slot: trials that could start
elsewhere do, and a few wait for it."""

MOVED = "moved"
"""State of a report by which a trial that has not begun goes back to its owner, to begin on another host."""


@dataclass(frozen=True)
class HostLoad:
    """What a host has ahead.

    Attributes:
        slots: trials that it trains side by side.
        free: of its slots, those that no trial has and none waits for.
        work: optimiser steps of all its trials, with a constant for questioning each.
        waiting: trials that need a slot and have not begun, with their part of the work.
    """

    slots: int
    free: int
    work: float
    waiting: Mapping[str, float] = field(default_factory=dict)

    @property
    def per_slot(self) -> float:
        """Work per slot, by which hosts of different sizes can be compared."""
        return self.work / self.slots


@dataclass(frozen=True)
class Move:
    """A trial that `source` is to give back, because `target` could begin it at once."""

    trial_id: str
    source: str
    target: str


def moves(loads: Mapping[str, HostLoad]) -> list[Move]:
    """The moves after which no slot is free for which a trial waits elsewhere that would end sooner there.

    A trial moves only if its new host has less work per slot with it than the old one has now. So no move
    makes the fullest host fuller, and none is taken back by the next call. The most work goes first, as it
    does on a host.

    Args:
        loads: of the hosts that have told theirs, by name.
    """
    now, found = dict(loads), []
    while move := _best_move(now):
        found.append(move)
        source, target = now[move.source], now[move.target]
        work = source.waiting[move.trial_id]
        rest = {name: each for name, each in source.waiting.items() if name != move.trial_id}
        now[move.source] = replace(source, work=source.work - work, waiting=rest)
        now[move.target] = replace(target, work=target.work + work, free=target.free - 1)
    return found


def _best_move(loads: Mapping[str, HostLoad]) -> Move | None:
    """The largest trial that may go to the emptiest host, from the fullest that has one; None if none may."""
    by_load = sorted(loads, key=lambda name: loads[name].per_slot)
    for target in (name for name in by_load if loads[name].free > 0 and not loads[name].waiting):
        there = loads[target]
        for source in reversed(by_load):
            most = loads[source].per_slot
            fits = [
                (work, trial_id)
                for trial_id, work in loads[source].waiting.items()
                if (there.work + work) / there.slots < most
            ]
            if fits:
                return Move(max(fits)[1], source, target)
    return None
