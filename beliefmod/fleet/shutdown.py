"""What ends a sweep before its trials have: Ctrl-C, SIGTERM, or storage that fails.

Once: trials end where they are, rows and checkpoints are kept. Twice: everything ends at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ray import tune

from beliefmod.errors import StorageTrouble, UserError
from beliefmod.fleet.tune_memory import NotPickled

STORAGE = "storage"
"""Status that a trial reports when its host can no longer write to the run folder."""


class Shutdown(NotPickled, tune.Stopper):
    """Also Tune's stopper: inside `fit` an interrupt is no exception but a reason to stop, so that Tune ends
    in order; anywhere else it is the usual KeyboardInterrupt.

    Attributes:
        interrupted: by Ctrl-C or SIGTERM.
        trouble: why the run folder can no longer be written.
        refusal: why no host may work any more.
    """

    def __init__(self, exit_message: str = "") -> None:
        self.interrupted = False
        self.trouble: str | None = None
        self.refusal: str | None = None
        self._exit_message = exit_message
        self._in_fit = False
        self._release: Callable[[], None] | None = None
        self._held: list[int] | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Called by Tune at every report; whether to stop that trial."""
        if result.get("status") == STORAGE:
            self.trouble = self.trouble or str(result.get("error_message"))
        return False

    def stop_all(self) -> bool:
        """Called by Tune all the time; whether to stop everything."""
        if self._begun and self._release is not None:
            release, self._release = self._release, None
            release()
        return self._begun

    @property
    def _begun(self) -> bool:
        return self.interrupted or self.trouble is not None or self.refusal is not None

    def refuse(self, sentence: str) -> None:
        """No host is left that may work; from any thread."""
        self.refusal = self.refusal or sentence

    @contextmanager
    def during_fit(self, release: Callable[[], None]) -> Iterator[None]:
        """While Tune runs. `release` is called once when a shutdown begins; it makes hosts answer those who
        wait, for Tune would wait ten seconds for a trial that waits for its host."""
        self._in_fit, self._release = True, release
        try:
            yield
        finally:
            self._in_fit, self._release = False, None

    def check(self) -> None:
        """Raises StorageTrouble if that is why the sweep was stopped, UserError if its hosts were refused."""
        if self.trouble is not None:
            raise StorageTrouble(self.trouble)
        if self.refusal is not None:
            raise UserError(self.refusal)

    @contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Take Ctrl-C and SIGTERM (a job stop, a spot notice) until the block is done."""
        if threading.current_thread() is not threading.main_thread():
            yield  # whoever owns the main thread handles signals
            return
        before = self._take_signals()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def holding_interrupts(self) -> Iterator[None]:
        """Hold the first interrupt back while Ray starts: Ray 2.60 crashes (SIGSEGV) if that is interrupted.

        Signals are taken again at the end, for `ray.init` puts its own handler of SIGTERM in their place.
        """
        self._held = []
        handled = signal.getsignal(signal.SIGTERM) == self._on_signal
        try:
            yield
        finally:
            held, self._held = self._held, None
            if handled:
                self._take_signals()
        if held:
            raise KeyboardInterrupt

    def _take_signals(self) -> dict[int, Any]:
        """Returns who had them before: handlers by signal number."""
        return {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}

    def _on_signal(self, number: int, frame: Any) -> None:
        if self.interrupted:
            end_at_once(self._exit_message)
        self.interrupted = True
        if self._held is not None:
            self._held.append(number)
        elif not self._in_fit:
            raise KeyboardInterrupt


def end_at_once(exit_message: str) -> None:
    """Kill every process that this one has started, write the message to stderr, end with exit code 130."""
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
    os.write(2, f"{show_cursor}\n{exit_message}\n".encode())
    os._exit(130)
