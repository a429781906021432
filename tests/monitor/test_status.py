"""How a run stands, from hand-made rows and heartbeats with hand-computed counts and times."""

import json
from dataclasses import replace

import pytest
import yaml

from beliefmod.capacity.limit import Machine, Model
from beliefmod.capacity.resources import QUESTIONING_STEPS
from beliefmod.config import TrialConfig
from beliefmod.engine.usage import Work
from beliefmod.errors import UserError
from beliefmod.monitor.heartbeat import Heartbeat, read_heartbeats
from beliefmod.monitor.status import QUIET_SECONDS, START_SECONDS, Watcher, status
from beliefmod.space import SpaceFile
from beliefmod.worker.queue import TrialSnapshot
from tests.test_imports import loaded_after

BEGAN = 1_800_000_000.0  # 2027-01-15T08:00:00Z
STAMP = "2027-01-15T08:0%d:00Z"
TRIALS = [TrialConfig(belief="gravity", seed=seed) for seed in range(5)]
IDS = [config.trial_id for config in TRIALS]
STEPS = TRIALS[0].total_steps
RUNNING = {"status": "running", "started_at": STAMP % 0, "session_started_at": STAMP % 0, "wall_seconds": 0.0}


def heartbeat(written: float = 100.0, trials=(), host: str = "beliefmod-host-0", **changes):
    found = {
        "host": host,
        "machine": "m",
        "device": "cpu",
        "started_at": BEGAN,
        "ready_at": BEGAN + 20.0,
        "written_at": BEGAN + written,
        "closed": False,
        "slots": 4,
        "occupied": len(trials),
        "waiting": 0,
        "tokens_per_second": {"train": 10.0},
        "fraction": 0.5,
        "trials": [
            {"trial_id": t, "state": "training", "step": n, "total_steps": STEPS, "loss": 0.5, "seconds": 9.0}
            for t, n in trials
        ],
    }
    return {**found, **changes}


def row(trial_id: str, state: str = "finished", minute: int = 1, **changes):
    return {"trial_id": trial_id, "status": state, "finished_at": STAMP % minute, "steps": STEPS, **changes}


def test_counts_add_up_and_name_what_runs_and_what_failed():
    rows = [row(IDS[0]), row(IDS[1], "failed", error="loss is not finite")]
    now = status("run", TRIALS, 2, RUNNING, rows, [heartbeat(trials=[(IDS[2], 3)])], BEGAN + 103)
    assert now.state == "running"
    assert now.counts == {"waiting": 4, "running": 1, "finished": 1, "failed": 1, "stopped": 0}
    assert sum(now.counts.values()) == now.total == 7
    [one] = now.running
    assert (one.label, one.step, one.loss, one.host) == (TRIALS[2].label, 3, 0.5, "beliefmod-host-0")
    [failure] = now.failures
    assert (failure.label, failure.error) == (TRIALS[1].label, "loss is not finite")
    assert now.hosts[0].quiet_seconds == pytest.approx(3.0)
    assert now.seconds == pytest.approx(103.0)


def test_time_left_is_at_the_pace_of_this_session():
    # one trial ended in an earlier session; of the other four this one did one and a half, in 80 s
    rows = [row(IDS[0], finished_at="2027-01-14T08:00:00Z"), row(IDS[1])]
    half = STEPS // 2
    now = status("run", TRIALS, 0, RUNNING, rows, [heartbeat(trials=[(IDS[2], half)])], BEGAN + 100)
    each = STEPS + QUESTIONING_STEPS
    done = each + half
    assert now.seconds_left == pytest.approx(80.0 * (4 * each - done) / done)
    assert status("run", TRIALS, 0, RUNNING, rows, [], BEGAN + 100).seconds_left is None


def test_time_left_is_taken_from_what_hosts_say_of_their_questions():
    """Of four trials one has ended, and half of another one's questions are answered: 60 s went into 1.5."""
    rows = [row(IDS[0], finished_at="2027-01-14T08:00:00Z"), row(IDS[1])]
    asked = {"seconds": 60.0, "written": 1.5, "references": 0.0, "under_way": 0.5}
    now = status(
        "run", TRIALS, 0, RUNNING, rows, [heartbeat(trials=[(IDS[2], STEPS)], asked=asked)], BEGAN + 100
    )
    assert now.seconds_left == pytest.approx((80 - 60) / (2 * STEPS) * 2 * STEPS + 40.0 * 2.5)
    older = [heartbeat(trials=[(IDS[2], STEPS)], asked={"pages": 3})]
    assert status("run", TRIALS, 0, RUNNING, rows, older, BEGAN + 100).seconds_left is not None


def test_a_failed_trial_that_runs_again_is_running():
    now = status(
        "run", TRIALS, 0, RUNNING, [row(IDS[0], "failed")], [heartbeat(trials=[(IDS[0], 1)])], BEGAN + 101
    )
    assert (now.counts["failed"], now.counts["running"], now.failures) == (0, 1, [])


@pytest.mark.parametrize(
    ("manifest", "heartbeats", "seconds", "state"),
    [
        (RUNNING, [], 10, "starting"),
        (RUNNING, [], START_SECONDS + 1, "no sign of life"),
        (RUNNING, [heartbeat(100)], 103, "running"),
        (RUNNING, [heartbeat(100)], 101 + QUIET_SECONDS, "no sign of life"),
        (
            RUNNING,
            [heartbeat(100, closed=True)],
            103,
            "running",
        ),  # the table and the report are being written
        (RUNNING, [heartbeat(100, closed=True)], 101 + QUIET_SECONDS, "no sign of life"),
        ({**RUNNING, "status": "finished"}, [], 10_000, "finished"),
        ({**RUNNING, "status": "interrupted"}, [heartbeat(100, closed=True)], 103, "interrupted"),
        # gone on with: the heartbeats are the earlier session's
        ({**RUNNING, "session_started_at": STAMP % 9}, [heartbeat(100)], 545, "starting"),
    ],
)
def test_state(manifest, heartbeats, seconds, state):
    assert status("run", TRIALS, 0, manifest, [], heartbeats, BEGAN + seconds).state == state


def test_seconds_count_every_session_once():
    earlier = {**RUNNING, "wall_seconds": 50.0}
    assert status("run", TRIALS, 0, earlier, [], [heartbeat(100)], BEGAN + 101).seconds == pytest.approx(
        151.0
    )
    dead = status("run", TRIALS, 0, earlier, [], [heartbeat(100)], BEGAN + 101 + QUIET_SECONDS)
    assert dead.seconds == pytest.approx(150.0)
    ended = {**earlier, "status": "interrupted", "wall_seconds": 150.0}
    assert status("run", TRIALS, 0, ended, [], [heartbeat(100)], BEGAN + 999).seconds == pytest.approx(150.0)


@pytest.mark.parametrize("jump", [-86_400, -3600, 3600, 86_400])
def test_a_clock_that_jumps_makes_no_time_negative(jump):
    """Hosts began before it and write after it; who looks has their clock, or one that has not jumped."""
    rows = [row(IDS[0]), row(IDS[1], "failed", error="x")]
    beats = [heartbeat(100 + jump, trials=[(IDS[2], 3)])]
    for seconds in (100, 100 + jump, 103 + jump):
        now = status("run", TRIALS, 0, RUNNING, rows, beats, BEGAN + seconds)
        assert now.seconds >= 0 and (now.seconds_left or 0) >= 0
        assert all(host.quiet_seconds >= 0 for host in now.hosts)
        assert now.state == ("no sign of life" if seconds - 100 - jump > QUIET_SECONDS else "running")


MODEL = Model(1000, 100, 2, 8, 4, False, 64)
MACHINE = Machine(1, 1e6, 1e6, 4, 1000)


def test_a_board_is_written_read_and_counts_tokens_per_second(folder):
    work, shown = Work(), []
    looks = [TrialSnapshot("t", "training", 3, 9, 0.25, 1.5), TrialSnapshot("u", "trained", 9, 9, 0.1, 2.0)]
    times = iter((5.0, 15.0, 25.0, 35.0, 45.0))
    one = Heartbeat(
        folder, "host-0", "cpu", BEGAN, MACHINE, MODEL, work, 4, lambda: (looks, 2), shown.append,
        ready_at=BEGAN + 10, clock=lambda: next(times),
    )  # fmt: skip
    work.tokens, work.generated_tokens = 500, 100
    first = one.state()
    assert first["tokens_per_second"] == {"train": 50.0, "write": 10.0, "read": 0.0}
    assert (first["occupied"], first["waiting"], first["slots"]) == (1, 2, 4)
    assert one.state()["tokens_per_second"]["train"] == 0.0
    one.write()
    [found] = read_heartbeats(folder)
    assert found == shown[0] and found["trials"][0] == vars(looks[0])
    one.write(closed=True)
    one.write()  # of a thread that was under way
    assert read_heartbeats(folder)[0]["closed"] and read_heartbeats(folder)[0]["trials"] == []


def test_boards_of_earlier_sessions_and_damaged_ones_are_left_out(folder):
    folder.write_json(heartbeat(host="a", started_at=1.0), "live", "a.json")
    folder.write_json(heartbeat(host="b"), "live", "b.json")
    folder.write_bytes(b'{"host": "c"', "live", "c.json")
    folder.write_json({"host": "d"}, "live", "d.json")
    assert [found["host"] for found in read_heartbeats(folder)] == ["b"]


def make_run(folder, **manifest):
    spec = SpaceFile(name="s", beliefs=("gravity",), seeds=(0, 1), controls="none")
    folder.write_bytes(yaml.safe_dump(spec.model_dump(mode="json")).encode(), "space.yaml")
    folder.write_json({**RUNNING, **manifest}, "manifest.json")
    return [TrialConfig(belief="gravity", seed=seed).trial_id for seed in (0, 1)]


def test_a_watcher_reads_a_row_once_and_again_when_it_changes(folder, monkeypatch):
    ids = make_run(folder)
    watcher, fetched = Watcher(folder), []
    read = folder.read_many
    monkeypatch.setattr(folder, "read_many", lambda paths: fetched.extend(paths) or read(paths))
    assert watcher.look(BEGAN).counts["waiting"] == 4
    folder.write_bytes(json.dumps(row(ids[0], "failed", error="x")).encode(), "rows", f"{ids[0]}.json")
    assert watcher.look(BEGAN).counts["failed"] == 1
    assert watcher.look(BEGAN).counts["failed"] == 1 and len(fetched) == 1
    folder.write_bytes(json.dumps(row(ids[0])).encode(), "rows", f"{ids[0]}.json")
    folder.write_bytes(b'{"trial_id"', "rows", f"{ids[1]}.json")
    now = watcher.look(BEGAN)
    assert (now.counts["failed"], now.counts["finished"]) == (0, 1) and len(fetched) == 3
    folder.delete("rows", f"{ids[0]}.json")
    assert watcher.look(BEGAN).counts["finished"] == 0


def test_a_space_that_cannot_be_read_is_a_sentence(folder):
    make_run(folder)
    folder.write_bytes(b"name: x\nunknown: 1\n", "space.yaml")
    with pytest.raises(UserError, match=r"space\.yaml: cannot be read .*another version"):
        Watcher(folder)


def test_plain_values_go_into_json():
    now = status("run", TRIALS, 0, RUNNING, [row(IDS[0])], [heartbeat(trials=[(IDS[2], 3)])], BEGAN + 103)
    assert json.loads(json.dumps(now.as_dict()))["running"][0]["label"] == TRIALS[2].label
    assert "rows" not in now.as_dict() and replace(now, rows=()).rows == ()


def test_looking_needs_neither_ray_nor_torch():
    loaded = loaded_after("import beliefmod.monitor.status, beliefmod.worker.trial_log")
    assert not {"ray", "torch", "transformers", "optuna"} & loaded
