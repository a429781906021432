"""What a pack tells of its trials while it works: their logs, and what somebody sees who looks in."""

from beliefmod.fleet.pack import Pack
from beliefmod.fleet.trial_log import TrialLogs, read_log
from tests.fleet.test_pack import Listener
from tests.small import make_lab, small_trial, write_belief


def test_every_trials_story_is_told(folder, tmp_path, monkeypatch):
    path = write_belief(tmp_path)
    lab, listener, seen = make_lab(slots=1, parking=2), Listener(), {}
    trunk, branch = small_trial(path, num_train_epochs=4), small_trial(path)
    vanished, broken = small_trial(str(tmp_path / "gone.yaml")), small_trial(path, seed=7)
    logs = TrialLogs(folder, "host-0")
    pack = Pack(lab, folder, listener, logs=logs)
    answer = lab.engine.generate

    def looked_at(*arguments, **options):
        seen.update((sight.trial_id, sight) for sight in pack.sights())
        return answer(*arguments, **options)

    monkeypatch.setattr(lab.engine, "generate", looked_at)
    pack.attach(trunk, [branch])
    pack.attach(vanished)
    listener.wait(3)

    def bug():
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(lab.engine, "train_step", bug)
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
    assert pack.sights() == [] and pack.waiting() == 0
