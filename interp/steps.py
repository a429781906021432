"""How far a piece of work is, said at most every few seconds, on a terminal as in a log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from interp.types import Say

SECONDS = 10.0
"""Least time between two lines."""
Told = Callable[[float], None]
"""Takes how many steps were done since the last call; parts of a step count too."""


def untold(done: float) -> None:
    """For work whose progress nobody wants to hear of."""


@dataclass
class Steps:
    """Counts the steps of a piece of work; says now and then how many are done, how long the others may take.

    Attributes:
        title: what the lines begin with.
        total: steps of the whole.
        what: what a step is, in the plural.
        clock: seconds.
    """

    say: Say
    title: str
    total: float
    what: str
    clock: Callable[[], float] = time.monotonic
    _done: float = 0.0
    _began: float = field(default=0.0, init=False)
    _said: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._began = self._said = self.clock()

    def __call__(self, done: float) -> None:
        """So many more steps are done."""
        self._done += done
        now = self.clock()
        if now - self._said < SECONDS or self._done >= self.total:
            return
        self._said, left = now, (now - self._began) / self._done * (self.total - self._done)
        self.say(f"{self.title}: {self._done:.0f} of {self.total:.0f} {self.what}, about {left:.0f} s left")
