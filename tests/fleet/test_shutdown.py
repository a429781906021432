"""Shutdown, in processes of its own: once is orderly, twice is at once, and nothing is left."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from beliefmod.errors import StorageTrouble
from beliefmod.fleet.shutdown import STORAGE, Shutdown

PROGRAM = """
import subprocess, sys, time
from beliefmod.fleet.shutdown import Shutdown
shutdown = Shutdown("go on with: beliefmod resume RUN")
child = subprocess.Popen(["sh", "-c", "sleep 300 & sleep 300"])
def say(word):
    print(word, flush=True)
"""


def run(body: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM + textwrap.dedent(body)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def end(process: subprocess.Popen[str]) -> None:
    """Whatever the test left of the process and its children."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def heard(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == word


def members(group: int) -> int:
    found = subprocess.run(["pgrep", "-g", str(group)], capture_output=True, text=True)
    return len(found.stdout.split())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_twice_ends_at_once_with_every_child(number):
    process = run("""
        with shutdown.handling_signals():
            try:
                say("ready")
                time.sleep(60)
            except KeyboardInterrupt:
                say("once")
                time.sleep(60)
    """)
    try:
        heard(process, "ready")
        assert members(process.pid) >= 2
        process.send_signal(number)
        heard(process, "once")
        process.send_signal(number)
        started = time.monotonic()
        _, err = process.communicate(timeout=20)
        assert time.monotonic() - started < 10
        assert process.returncode == 130
        assert "go on with: beliefmod resume RUN" in err
        assert "Traceback" not in err
        assert members(process.pid) == 0
    finally:
        end(process)


def test_inside_fit_once_is_a_reason_to_stop_and_no_exception():
    process = run("""
        with shutdown.handling_signals(), shutdown.during_fit(lambda: say("let go")):
            say("ready")
            while not shutdown.stop_all():
                time.sleep(0.05)
            assert shutdown.stop_all() and shutdown.interrupted
            say("stopped")
        child.kill()
    """)
    try:
        heard(process, "ready")
        process.send_signal(signal.SIGINT)
        for word in ("let go", "stopped"):  # let go once, not at every question
            heard(process, word)
        assert process.wait(timeout=20) == 0
    finally:
        end(process)


def test_held_back_once_and_then_told():
    process = run("""
        with shutdown.handling_signals():
            try:
                with shutdown.holding_interrupts():
                    say("ready")
                    time.sleep(1)
                    say("whole")
            except KeyboardInterrupt:
                say("told")
        child.kill()
    """)
    try:
        heard(process, "ready")
        process.send_signal(signal.SIGINT)
        for word in ("whole", "told"):
            heard(process, word)
        assert process.wait(timeout=20) == 0
    finally:
        end(process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_held_back_for_takes_no_signal_away(number):
    """`ray.init` puts a handler of its own in the place of ours."""
    process = run(f"""
        import signal
        with shutdown.handling_signals():
            with shutdown.holding_interrupts():
                signal.signal({int(number)}, lambda *_: sys.exit(15))
            try:
                say("ready")
                time.sleep(60)
            except KeyboardInterrupt:
                say("told")
        child.kill()
    """)
    try:
        heard(process, "ready")
        process.send_signal(number)
        heard(process, "told")
        assert process.wait(timeout=20) == 0
    finally:
        end(process)


def test_storage_trouble_of_a_trial_stops_everything():
    shutdown = Shutdown()
    assert shutdown("aa", {"status": "training"}) is False
    assert not shutdown.stop_all()
    shutdown.check()
    assert (
        shutdown("aa", {"status": STORAGE, "error_message": "runs/a: cannot be written (it is gone)"})
        is False
    )
    assert shutdown.stop_all()
    with pytest.raises(StorageTrouble, match="it is gone"):
        shutdown.check()
