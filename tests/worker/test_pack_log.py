"""What a pack tells of its trials while it works: their logs, and what somebody sees who looks in."""

from beliefmod.worker.pack import Pack
from beliefmod.worker.trial_log import TrialLogs, read_log
from tests.small import quick_session, small_trial, write_belief
from tests.worker.test_pack import Listener


def test_every_trials_story_is_told(folder, tmp_path, monkeypatch):
    path = write_belief(tmp_path)
    session, listener, seen = quick_session(slots=1, parking=2), Listener(), {}
    trunk, branch = small_trial(path, num_train_epochs=4), small_trial(path)
    vanished, broken = small_trial(str(tmp_path / "gone.yaml")), small_trial(path, seed=7)
    logs = TrialLogs(folder, "host-0")
    pack = Pack(session, folder, listener, logs=logs)
    answer = session.engine.generate

    def looked_at(*arguments, **options):
        seen.update((snapshot.trial_id, snapshot) for snapshot in pack.snapshots())
        return answer(*arguments, **options)

    monkeypatch.setattr(session.engine, "generate", looked_at)
    pack.attach(trunk, [branch])
    pack.attach(vanished)
    listener.wait(3)

    def bug():
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(session.engine, "train_step", bug)
    pack.attach(broken)
    listener.wait(4)
    pack.close()
    logs.flush()

    def told(config):
        return [event["event"] for event in read_log(folder, config.trial_id) if event["event"] != "step"]

    assert told(trunk) == [
        "waiting",
        "preparing",
        "started",
        "trained",
        "parked",
        "questioning",
        "finished",
    ]
    assert told(branch) == ["branched", "questioning", "finished"]
    [left] = [event for event in read_log(folder, branch.trial_id) if event["event"] == "branched"]
    assert (left["trunk"], left["step"]) == (trunk.trial_id, 2)
    assert told(vanished) == ["waiting", "preparing", "failed"]
    assert "traceback" not in read_log(folder, vanished.trial_id)[-1]  # a sentence is enough
    failed = read_log(folder, broken.trial_id)[-1]
    assert failed["error"] == "ZeroDivisionError: a bug of ours"
    assert "in bug" in failed["traceback"]
    assert {seen[trunk.trial_id].state, seen[branch.trial_id].state} <= {"training", "questioning"}
    asked = seen[branch.trial_id]
    assert (asked.state, asked.step, asked.total_steps) == ("questioning", 2, 2)
    assert pack.snapshots() == [] and pack.queue.waiting() == 0
