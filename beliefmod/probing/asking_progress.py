"""How far a host has come with the questions that it asks, so that somebody can say what is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """What a host has asked since it started, in subjects: an arm with all its questions is one.

    Attributes:
        seconds: spent on it, those of what is under way included.
        written: subjects whose answers the model wrote. Answers that were known from earlier take no time.
        references: untrained arms whose answers are known, written or not.
        under_way: of the trials that are being questioned now and have not ended, the part that is answered.
    """

    seconds: float = 0.0
    written: float = 0.0
    references: float = 0.0
    under_way: float = 0.0


class AskingProgress:
    """Counts questions and answers; told by who asks, looked at from any thread.

    Args:
        clock: in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = self._written = self._references = 0.0
        self._since: float | None = None
        self._subjects = self._put = self._answered = self._wrote = self._ended = 0
        self._of_references = False

    @contextmanager
    def timed(self) -> Iterator[None]:
        """The time of a block is spent on asking."""
        self._since = self._clock()
        try:
            yield
        finally:
            self._seconds, self._since = self._seconds + self._clock() - self._since, None

    @contextmanager
    def subjects(self, count: int, references: bool = False) -> Iterator[None]:
        """While so many subjects are asked together.

        Args:
            references: whether they are untrained arms; else trials, each of which ends by itself.
        """
        self._subjects, self._of_references = count, references
        self._put = self._answered = self._wrote = self._ended = 0
        try:
            yield
        finally:
            found = self._now()
            self._written, self._references = found.written, found.references
            self._subjects = 0

    def put(self) -> None:
        """A question is asked."""
        self._put += 1

    def answered(self, count: int) -> None:
        """So many have their answers."""
        self._answered += count

    def wrote(self, count: int) -> None:
        """So many answers were written by the model, rather than known."""
        self._wrote += count

    def ended(self) -> None:
        """A trial has its last answer."""
        self._ended += 1

    def look(self) -> Asked:
        """How it stands now."""
        return self._now()

    def _now(self) -> Asked:
        since = self._since
        seconds = self._seconds + (self._clock() - since if since is not None else 0.0)
        done = self._subjects * min(1.0, self._answered / max(1, self._put))
        written = self._subjects * min(1.0, self._wrote / max(1, self._put))
        references = done if self._of_references else 0.0
        under_way = 0.0 if self._of_references else max(0.0, done - self._ended)
        return Asked(seconds, self._written + written, self._references + references, under_way)
