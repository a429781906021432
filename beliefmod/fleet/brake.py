"""What ends a sweep before its trials have: Ctrl-C, a polite kill, or storage that fails.

Once: trials end where they are, rows and checkpoints are kept. Twice: everything ends at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ray import tune

from beliefmod.errors import StorageTrouble

STORAGE = "storage"
"""Status that a trial reports when its host can no longer write to the run folder."""


class Brake(tune.Stopper):
    """Also Tune's stopper: inside `fit` an interrupt is no exception but a reason to stop, so that Tune ends
    in order; anywhere else it is the usual KeyboardInterrupt.

    Attributes:
        interrupted: by Ctrl-C or SIGTERM.
        trouble: why the run folder can no longer be written.
    """

    def __init__(self, last_words: str = "") -> None:
        self.interrupted = False
        self.trouble: str | None = None
        self._last_words = last_words
        self._in_fit = False
        self._let_go: Callable[[], None] | None = None
        self._held: list[int] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles stoppers with its own state, which we never restore from."""
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Called by Tune at every report; whether to stop that trial."""
        if result.get("status") == STORAGE:
            self.trouble = self.trouble or str(result.get("error_message"))
        return False

    def stop_all(self) -> bool:
        """Called by Tune all the time; whether to stop everything."""
        if self._pulled and self._let_go is not None:
            let_go, self._let_go = self._let_go, None
            let_go()
        return self._pulled

    @property
    def _pulled(self) -> bool:
        return self.interrupted or self.trouble is not None

    @contextmanager
    def during_fit(self, let_go: Callable[[], None]) -> Iterator[None]:
        """While Tune runs. `let_go` is called once when the brake is pulled; it makes hosts answer those who
        wait, for Tune would wait ten seconds for a trial that waits for its host."""
        self._in_fit, self._let_go = True, let_go
        try:
            yield
        finally:
            self._in_fit, self._let_go = False, None

    def check(self) -> None:
        """Raises StorageTrouble if that is why the sweep was stopped."""
        if self.trouble is not None:
            raise StorageTrouble(self.trouble)

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Take Ctrl-C and SIGTERM (a job stop, a spot notice) until the block is done."""
        before = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                before[number] = signal.signal(number, self._on_signal)
        except ValueError:  # not the main thread: whoever owns it handles signals
            yield
            return
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the first interrupt back until the block is done: Ray 2.60 crashes (SIGSEGV) if its start is
        interrupted."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
        if held:
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: Any) -> None:
        if self.interrupted:
            end_at_once(self._last_words)
        self.interrupted = True
        if self._held is not None:
            self._held.append(number)
        elif not self._in_fit:
            raise KeyboardInterrupt


def end_at_once(last_words: str) -> None:
    """Kill every process that this one has started, say how to go on, and end with exit code 130."""
    import psutil

    me = psutil.Process()
    while started := me.children(recursive=True):
        for process in started:  # parents come first, so none is left to start another
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(started, timeout=5)
    show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""
    os.write(2, f"{show_cursor}\n{last_words}\n".encode())
    os._exit(130)
