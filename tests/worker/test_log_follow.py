"""Following a trial's log: every event once and in order, and an end."""

import json
import signal
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from beliefmod.cli.app import app
from beliefmod.cli.logs import EVERY
from beliefmod.monitor.status import state_of
from beliefmod.worker.trial_log import ENDS, TrialLogs, follow, has_ended
from tests.cli.test_watching_cli import EXAMPLE
from tests.command import COMMAND

TRIAL = "42acb27435"


def event(number: int, name: str = "step") -> dict:
    return {"at": float(number), "event": name, "host": "h", "step": number}


@given(st.lists(st.integers(1, 5), max_size=8), st.sampled_from([*ENDS, "left", None]))
def test_every_event_comes_once_and_in_order_however_the_file_grows(growth, end):
    story = [event(number) for number in range(sum(growth))]
    story += [event(len(story), end)] if end else []
    lengths = [sum(growth[:looks]) for looks in range(len(growth) + 1)] + [len(story)]
    looks = 0

    def read():
        return story[: lengths[min(looks, len(lengths) - 1)]]

    def pause():
        nonlocal looks
        looks += 1

    shown = list(follow(read, lambda: looks >= len(lengths) and end not in ENDS, pause))
    assert shown == story
    assert looks == (len(lengths) - 1 if end in ENDS else len(lengths))


def test_what_was_written_before_the_run_ended_is_shown():
    story = [event(0)]

    def over():  # the last event and the end of the run come between two looks
        story.append(event(1))
        return True

    assert list(follow(lambda: [*story], over, lambda: None)) == [event(0), event(1)]


def test_a_trial_that_failed_and_runs_again_is_followed_to_its_second_end():
    story = [event(0), event(1, "failed"), event(2, "waiting")]
    files = iter([story, [*story, event(3, "finished")]])
    shown = list(follow(lambda: next(files), lambda: False, lambda: None))
    assert [each["event"] for each in shown] == ["step", "failed", "waiting", "finished"]
    assert has_ended(shown) and not has_ended(story) and not has_ended([])


@pytest.fixture
def running(folder):
    """A run whose host is at work, as its board says."""
    folder.write_bytes((EXAMPLE / "space.yaml").read_bytes(), "space.yaml")
    set_status(folder, "running")
    now = time.time()
    heartbeat = {"host": "h", "machine": "m", "started_at": now, "ready_at": now, "written_at": now}
    folder.write_json({**heartbeat, "closed": False, "trials": [], "waiting": 0}, "live", "h.json")
    return folder


def set_status(folder, status: str) -> None:
    began = {"session_started_at": "2026-11-22T22:44:05Z"}
    folder.write_json({"run_id": "run", "status": status, **began}, "manifest.json")


def test_a_log_is_printed_as_a_host_writes_it(running, monkeypatch):
    logs = TrialLogs(running, "host-0")
    story = iter(("waiting", "started", "trained", "finished"))

    def meanwhile(seconds):
        assert seconds == EVERY
        logs.note(TRIAL, next(story))
        logs.flush()

    monkeypatch.setattr(time, "sleep", meanwhile)
    done = CliRunner().invoke(app, ["logs", running.url, TRIAL, "--follow", "--json"])
    assert done.exit_code == 0, done.output
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == [
        "waiting",
        "started",
        "trained",
        "finished",
    ]
    assert done.stderr == f"trial {TRIAL} has not been given to a host yet\n"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("finished", "the run has finished; there is no more of trial"),
        ("interrupted", "the run was interrupted; go on with: beliefmod resume"),
        ("running", "the run has been silent for a minute"),
    ],
)
def test_it_ends_with_a_reason_where_nobody_writes(running, status, words):
    set_status(running, status)
    TrialLogs(running, "h").flush()
    running.write_bytes(json.dumps(event(1)).encode() + b"\n", "logs", f"{TRIAL}.jsonl")
    heartbeat = running.read_json("live", "h.json")
    running.write_json({**heartbeat, "written_at": time.time() - 100}, "live", "h.json")
    done = CliRunner().invoke(app, ["logs", running.url, TRIAL, "-f"])
    assert done.exit_code == 0 and done.stdout.endswith("h  step 1\n")
    assert words in done.stderr and len(done.stderr.splitlines()) == 1


def test_without_a_trial_it_says_what_to_do(running):
    done = CliRunner().invoke(app, ["logs", running.url, "--follow"])
    assert done.exit_code == 2
    assert "--follow: needs a TRIAL; beliefmod watch RUN follows the whole run" in done.stderr


def test_a_trial_that_the_run_does_not_know_is_not_waited_for(running):
    done = CliRunner().invoke(app, ["logs", running.url, "gravity-bose", "--follow"])
    assert done.exit_code == 2 and 'did you mean "gravity-base"' in done.stderr


def test_ctrl_c_ends_the_following_quietly(running):
    logs = TrialLogs(running, "h")
    logs.note(TRIAL, "started", rows=8, steps=10)
    logs.flush()
    line = [*COMMAND, "logs", running.url, TRIAL, "--follow"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().endswith("starts: 8 rows, 10 steps\n")
        assert state_of(running) == "running"
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest, errors) == (0, "", "")
