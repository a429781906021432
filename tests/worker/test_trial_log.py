"""A trial's story: written in the background, gone on with elsewhere, read back."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from beliefmod.errors import StorageTrouble
from beliefmod.worker.trial_log import TrialLogs, logged, read_log, sentence


def events(folder, trial_id: str) -> list[str]:
    return [event["event"] for event in read_log(folder, trial_id)]


def test_events_are_kept_in_order_and_nothing_is_written_before_a_flush(folder):
    logs = TrialLogs(folder, "host-0")
    logs.note("a", "waiting")
    logs.note("a", "started", rows=8, steps=10)
    logs.note("b", "waiting")
    assert logged(folder) == []
    logs.flush()
    assert logged(folder) == ["a", "b"]
    assert events(folder, "a") == ["waiting", "started"]
    told = read_log(folder, "a")[1]
    assert (told["host"], told["rows"], told["steps"]) == ("host-0", 8, 10)
    assert read_log(folder, "unknown") == []


def test_a_second_flush_adds_and_an_idle_one_writes_nothing(folder, monkeypatch):
    logs = TrialLogs(folder, "host-0")
    logs.note("a", "waiting")
    logs.flush()
    logs.note("a", "failed", error="why", traceback="Traceback ...\nline")
    logs.flush()
    assert events(folder, "a") == ["waiting", "failed"]
    assert read_log(folder, "a")[1]["traceback"] == "Traceback ...\nline"
    monkeypatch.setattr(folder, "write_bytes", lambda *_: pytest.fail("nothing is new"))
    logs.flush()


def test_another_host_and_the_same_one_again_go_on_in_the_file(folder):
    first = TrialLogs(folder, "host-0")
    first.note("a", "started")
    first.note("a", "failed", error="why")
    first.flush()
    second = TrialLogs(folder, "host-1")
    second.note("a", "resumed", step=3)
    second.note("a", "finished")
    second.flush()
    first.note("a", "waiting")  # it had been forgotten after its end
    first.flush()
    assert [event["host"][-1] for event in read_log(folder, "a")] == ["0", "0", "1", "1", "0"]
    assert first._lines.keys() == {"a"} and second._lines == {}


def test_steps_are_noted_ever_more_rarely(folder):
    logs = TrialLogs(folder, "host-0")
    for second in range(86_400):
        logs.note_step("a", second + 1, 0.5, now=1000.0 + second)
    logs.flush()
    steps = [event["step"] for event in read_log(folder, "a")]
    assert steps[:3] == [1, 11, 21]
    assert 50 < len(steps) < 120


def test_storage_that_fails_for_a_while_loses_no_event(folder, monkeypatch):
    logs, write, broken = TrialLogs(folder, "host-0"), folder.write_bytes, [True]

    def sometimes(*arguments):
        if broken[0]:
            raise StorageTrouble("full")
        write(*arguments)

    monkeypatch.setattr(folder, "write_bytes", sometimes)
    logs.note("a", "started")
    logs.note("b", "finished")
    logs.flush()
    logs.note("a", "trained")
    broken[0] = False
    logs.flush()
    assert events(folder, "a") == ["started", "trained"]
    assert events(folder, "b") == ["finished"]


def test_noting_while_flushing_loses_nothing(folder):
    logs = TrialLogs(folder, "host-0")
    with ThreadPoolExecutor(2) as pool:
        noting = pool.submit(lambda: [logs.note("a", "step", step=i) for i in range(500)])
        while not noting.done():
            logs.flush()
    logs.flush()
    assert [event["step"] for event in read_log(folder, "a")] == list(range(500))


def test_damaged_lines_are_left_out(folder):
    folder.write_bytes(
        b'{"at": 1.0, "event": "started"}\n{"at": 2.0, "ev\n[1]\n{"event": "x"}\n', "logs", "a.jsonl"
    )
    assert events(folder, "a") == ["started"]


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"event": "started", "rows": 8, "steps": 10}, "starts: 8 rows, 10 steps"),
        ({"event": "step", "step": 40, "loss": 0.12345}, "step 40: loss 0.1235"),
        ({"event": "step", "step": 40}, "step 40"),
        ({"event": "branched", "trunk": "t", "step": 9}, "leaves the run of trial t at step 9"),
        (
            {"event": "finished", "adoption": 0.852, "degradation": 0.0161},
            "finished, adoption 85.2 %, D 0.016",
        ),
        ({"event": "finished"}, "finished"),
        ({"event": "failed", "error": "why"}, "failed: why"),
        ({"event": "of a later version"}, "of a later version"),
    ],
)
def test_sentences(event, told):
    assert sentence(event) == told
