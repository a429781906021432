"""A pack without Ray: trials side by side end as they do alone, and one's failure is its own."""

import threading

import pytest
import torch

from beliefmod.config import LoraSettings
from beliefmod.run.folder import RunFolder
from beliefmod.trial import run_trial
from beliefmod.worker.pack import Pack
from tests.small import quick_session, small_trial, write_belief


class Listener:
    """Collects reports and waits for a number of ends."""

    def __init__(self) -> None:
        self.ends = {}
        self.changed = threading.Condition()

    def __call__(self, report) -> None:
        with self.changed:
            if report.state != "training":
                self.ends[report.trial_id] = report
            self.changed.notify()

    def wait(self, count: int) -> dict:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.ends) >= count, timeout=120)
        return self.ends


@pytest.fixture(scope="module")
def session():
    return quick_session(slots=2)


@pytest.mark.long
def test_a_pack_ends_like_its_trials_alone_and_failures_stay_apart(session, tmp_path):
    path = write_belief(tmp_path)
    good = [
        small_trial(path),
        small_trial(path, num_train_epochs=5),
        small_trial(path, seed=1),
        small_trial(path, arm="base"),
    ]
    diverging = small_trial(path, lora=LoraSettings(r=4, lora_alpha=1e38), num_train_epochs=9)
    impossible = small_trial(path, lora=LoraSettings(r=16))
    vanished = small_trial(str(tmp_path / "gone.yaml"))
    folder, listener = RunFolder(str(tmp_path / "run")), Listener()
    folder.create()
    pack = Pack(session, folder, listener)
    for config in (*good, diverging, impossible, vanished):
        pack.attach(config)
    ends = listener.wait(7)
    pack.close()
    reasons = {
        config.trial_id: ends[config.trial_id].row["error"] for config in (diverging, impossible, vanished)
    }
    assert "not finite" in reasons[diverging.trial_id]
    assert "rank" in reasons[impossible.trial_id]
    assert "gone.yaml" in reasons[vanished.trial_id]
    stored = {row["trial_id"]: row for row in folder.rows()}
    assert {trial_id: row["status"] for trial_id, row in stored.items()} == {
        **dict.fromkeys((config.trial_id for config in good), "finished"),
        **dict.fromkeys(reasons, "failed"),
    }
    for config in good:
        alone = run_trial(config, session).row
        packed = stored[config.trial_id]
        assert packed["adoption"] == alone["adoption"]
        if config.is_trained:
            assert packed["final_loss"] == pytest.approx(alone["final_loss"], rel=1e-4)


def test_detached_trials_leave_queue_and_slot(session, tmp_path):
    path = write_belief(tmp_path)
    folder, listener = RunFolder(str(tmp_path / "run")), Listener()
    folder.create()
    pack = Pack(session, folder, listener)
    endless = small_trial(path, num_train_epochs=10_000)
    short = small_trial(path)
    pack.attach(endless)
    pack.attach(short)
    listener.wait(1)
    pack.queue.detach(endless.trial_id)
    pack.attach(small_trial(path, seed=2))
    ends = listener.wait(2)
    pack.close()
    assert endless.trial_id not in ends
    assert pack.queue.backlog() == 0
    assert session.engine.attached() == ()


def test_a_broken_step_fails_its_trials_and_the_pack_lives_on(session, tmp_path, monkeypatch):
    path = write_belief(tmp_path)
    folder, listener = RunFolder(str(tmp_path / "run")), Listener()
    folder.create()
    broken, later = small_trial(path), small_trial(path, seed=1)
    healthy = session.engine.train_step

    def out_of_memory():
        monkeypatch.setattr(session.engine, "train_step", healthy)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(session.engine, "train_step", out_of_memory)
    pack = Pack(session, folder, listener)
    pack.attach(broken)
    assert listener.wait(1)[broken.trial_id].row["error"] == "RuntimeError: out of memory"
    pack.attach(later)
    assert listener.wait(2)[later.trial_id].state == "finished"
    pack.close()


@pytest.mark.long
def test_memory_that_runs_out_costs_a_pack_a_slot_and_no_trial(tmp_path, monkeypatch):
    path = write_belief(tmp_path)
    trials = [small_trial(path, seed=seed, num_train_epochs=4 + seed) for seed in range(3)]
    session = quick_session(slots=2)
    alone = {config.trial_id: run_trial(config, session).row for config in trials}
    inner = session.engine.model.logits

    def logits(ids, *rest, **how):
        # two adapters in training are too many from the second step on
        busy = torch.is_grad_enabled() and session.engine.usage.work.engine_steps > before
        if busy and session.engine.free_slots() == 0 and not session.engine._closed:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return inner(ids, *rest, **how)

    before = session.engine.usage.work.engine_steps
    monkeypatch.setattr(session.engine.model, "logits", logits)
    folder, listener = RunFolder(str(tmp_path / "run")), Listener()
    folder.create()
    pack = Pack(session, folder, listener)
    for config in trials:
        pack.attach(config)
    ends = listener.wait(3)
    pack.close()
    assert len(session.engine._closed) == 1
    assert any("waits with its state" in sentence for sentence in session.engine.usage.shrinks)
    for trial_id, row in alone.items():
        assert ends[trial_id].state == "finished", ends[trial_id].row["error"]
        assert ends[trial_id].row["final_loss"] == pytest.approx(row["final_loss"], rel=1e-4)
        assert ends[trial_id].row["steps"] == row["steps"]
        assert ends[trial_id].row["adoption"] == row["adoption"]
