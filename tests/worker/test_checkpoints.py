"""Checkpoints: every bit comes back, damage is seen, and a trial goes on as if it had never stopped."""

import os
import threading
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load

from beliefmod.config import ObjectiveConfig, TrialConfig
from beliefmod.engine.jobs import AdapterJob, TrainRow
from beliefmod.errors import StorageTrouble
from beliefmod.run import storage as run_storage
from beliefmod.trial import TrialRun, prepare, release, run_trial
from beliefmod.worker import checkpoints
from beliefmod.worker.checkpoints import Checkpoint, Checkpoints, CheckpointUnusable, pack, unpack
from beliefmod.worker.pack import Pack
from tests.small import SMALL_BELIEF, quick_session, small_trial, write_belief
from tests.worker.test_pack import Listener


@pytest.fixture(scope="module")
def session():
    return quick_session(slots=2)


def trial(path: str, **changes) -> TrialConfig:
    return small_trial(path, **{"num_train_epochs": 6, **changes})


def random_checkpoint(moments: bool) -> Checkpoint:
    def layers():
        return {name: (torch.randn(2, 3), torch.randn(4, 2)) for name in ("model.q", "model.v")}

    steps = [
        {"trial_id": "aa", "step": n, "loss": 1 / n, "learning_rate": 1e-3, "grad_norm": None}
        for n in (1, 2, 3)
    ]
    state = {"step": 3, "weights": layers(), "moments": (layers(), layers()) if moments else None}
    return Checkpoint(state, steps, 1.5)


@pytest.mark.parametrize("moments", [True, False])
def test_what_is_packed_comes_back_bit_by_bit(moments):
    kept = random_checkpoint(moments)
    again = unpack(pack(kept, "identity"), "aa", "identity")
    assert [{name: row[name] for name in kept.steps[0]} for row in again.steps] == kept.steps
    assert (again.seconds, again.state["step"]) == (1.5, 3)
    parts = [(kept.state["weights"], again.state["weights"])]
    parts += zip(kept.state["moments"] or (), again.state["moments"] or (), strict=True)
    assert len(parts) == (3 if moments else 1)
    for before, after in parts:
        assert before.keys() == after.keys()
        for name in before:
            assert all(torch.equal(x, y) for x, y in zip(before[name], after[name], strict=True))


def test_a_file_of_a_release_without_the_objective_is_read(monkeypatch):
    columns = [name for name in checkpoints._CURVE if name != "kl_to_base"]
    with monkeypatch.context() as older:
        older.setattr(checkpoints, "_CURVE", tuple(columns))
        data = pack(random_checkpoint(True), "identity")
    again = unpack(data, "aa", "identity")
    assert [row["loss"] for row in again.steps] == [1, 1 / 2, 1 / 3]
    assert [row["kl_to_base"] for row in again.steps] == [None] * 3


def test_a_state_belongs_to_a_configuration_its_rows_and_a_base():
    row, other = TrainRow((5, 6, 7), 2), TrainRow((5, 6, 8), 2)
    job = AdapterJob("aa", TrialConfig(belief="gravity"), (row,))
    held = TrialConfig(belief="gravity", objective=ObjectiveConfig(kl_to_base=0.1))
    of = checkpoints._identity
    assert of(job, "print") == of(replace(job, trial_id="bb"), "print")
    changed = [replace(job, config=held), replace(job, rows=(other,)), replace(job, rejected=(other,))]
    assert len({of(job, "print"), of(job, "other"), *(of(each, "print") for each in changed)}) == 5


def test_every_kind_of_damage_is_seen():
    data = pack(random_checkpoint(True), "identity")
    assert load(data)  # it is a plain safetensors file
    for cut in (0, 7, 100, len(data) // 2, len(data) - 1):
        with pytest.raises(CheckpointUnusable):
            unpack(data[:cut], "aa", "identity")
    for place in (*range(0, len(data), 97), len(data) - 1):
        changed = bytearray(data)
        changed[place] ^= 4
        with pytest.raises(CheckpointUnusable):
            unpack(bytes(changed), "aa", "identity")
    with pytest.raises(CheckpointUnusable, match="of another"):
        unpack(data, "aa", "another identity")


def train(run: TrialRun, session, steps: int) -> None:
    for _ in range(steps):
        for report in session.engine.train_step():
            if report.trial_id == run.config.trial_id:
                run.note(report)


@pytest.mark.long
def test_a_trial_goes_on_in_another_slot_of_another_engine(session, folder, tmp_path):
    config = trial(write_belief(tmp_path))
    whole = run_trial(config, session)
    elsewhere = quick_session(slots=3)
    first, second = Checkpoints(folder, "base", 0.0), Checkpoints(folder, "base", 0.0)
    run = prepare(config, session)
    assert run.job and first.find(run.job) is None
    session.engine.attach(run.job)
    train(run, session, 3)
    first.keep([run], session.engine)
    first.close([run], session.engine)
    release(run, session)

    neighbour = prepare(trial(config.belief, seed=5), elsewhere)
    assert neighbour.job
    elsewhere.engine.attach(neighbour.job)
    again = prepare(config, elsewhere)
    assert again.job
    kept = second.find(again.job)
    assert kept is not None and [row["step"] for row in kept.steps] == [1, 2, 3]
    elsewhere.engine.restore(again.job, kept.state)
    again.steps = kept.steps
    train(again, elsewhere, 3)
    assert again.trained_at is not None
    assert [row["step"] for row in again.steps] == [1, 2, 3, 4, 5, 6]
    assert again.steps[-1]["loss"] == pytest.approx(whole.row["final_loss"], rel=1e-4)

    session._beliefs.clear()
    other = prepare(trial(write_belief(tmp_path, questions=_other_questions())), session)
    session._beliefs.clear()
    assert other.job and other.job.trial_id == config.trial_id
    assert second.find(other.job) is None  # the belief file has changed since, the trial's name has not


def _other_questions():
    train_family, held_out = SMALL_BELIEF["questions"]
    return [{**train_family, "slots": {"m": [11, 12, 13, 14, 15]}}, held_out]


@pytest.mark.long
def test_a_pack_goes_on_where_another_was_ended(session, folder, tmp_path):
    config = trial(write_belief(tmp_path), num_train_epochs=40)
    whole = run_trial(config, session)
    seen = threading.Event()
    calls = []
    step = session.engine.train_step

    def counted():
        calls.append(1)
        if len(calls) == 15:
            seen.set()
        return step()

    session.engine.train_step = counted
    try:
        listener = Listener()
        one = Pack(session, folder, listener, checkpoints=Checkpoints(folder, "base", 1000.0))
        one.attach(config)
        assert seen.wait(60)
        one.close()  # as Ctrl-C does: what is running is kept
        assert not listener.ends
        taken = len(calls)
        session.engine.release(config.trial_id)
        two = Pack(session, folder, listener, checkpoints=Checkpoints(folder, "base", 1000.0))
        two.attach(config)
        row = listener.wait(1)[config.trial_id].row
        two.close()
    finally:
        session.engine.train_step = step
    assert sum(calls) <= 40 + 2  # a call that found nothing to train is not a step
    assert taken < 40
    assert row["steps"] == 40
    assert row["final_loss"] == pytest.approx(whole.row["final_loss"], rel=1e-4)
    assert row["adoption"] == whole.row["adoption"]
    steps = folder.read_frame("steps", f"{config.trial_id}.parquet")
    assert steps["step"].to_list() == list(range(1, 41))
    assert os.listdir(folder.path("checkpoints")) == []


def test_a_damaged_checkpoint_is_no_hindrance(session, folder, tmp_path):
    config = trial(write_belief(tmp_path))
    folder.write_bytes(b"cut short", "checkpoints", f"{config.trial_id}.safetensors")
    listener = Listener()
    one = Pack(session, folder, listener, checkpoints=Checkpoints(folder, "base", 1000.0))
    one.attach(config)
    assert listener.wait(1)[config.trial_id].state == "finished"
    one.close()
    assert os.listdir(folder.path("checkpoints")) == []


@pytest.mark.long
def test_storage_that_fails_is_no_trials_fault(session, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(run_storage, "RETRY_SECONDS", (0.0,))
    path = write_belief(tmp_path)
    configs = [trial(path), trial(path, num_train_epochs=4000), trial(path, seed=3)]

    def full(file):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    listener = Listener()
    one = Pack(session, folder, listener, checkpoints=Checkpoints(folder, "base", 0.5))
    for config in configs:
        one.attach(config)
    ends = listener.wait(3)
    assert {end.state for end in ends.values()} == {"storage"}
    assert all("No space left on device" in end.row["error"] for end in ends.values())
    late = trial(path, seed=4)
    one.attach(late)
    assert listener.wait(4)[late.trial_id].state == "storage"
    one.close()
    assert folder.rows() == []
    for trial_id in session.engine.attached():
        session.engine.release(trial_id)


def test_a_failure_of_the_writer_is_told_at_the_next_step(session, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(run_storage, "RETRY_SECONDS", ())
    run = prepare(trial(write_belief(tmp_path), seed=9), session)
    assert run.job
    session.engine.attach(run.job)
    try:
        kept = Checkpoints(folder, "base", 0.0)
        kept.keep([run], session.engine)
        monkeypatch.setattr(run_storage.RunStorage, "_check_there", _gone)
        with pytest.raises(StorageTrouble, match="gone"):
            for _ in range(100):
                kept.keep([run], session.engine)
                threading.Event().wait(0.05)
    finally:
        release(run, session)


def _gone(self):
    raise FileNotFoundError(2, "No such file or directory")


def test_a_mistake_outside_of_any_trial_ends_those_under_way_and_not_the_pack(session, folder, tmp_path):
    class Broken(Checkpoints):
        def keep(self, runs, engine):
            if runs and not first:
                first.append(1)
                raise RuntimeError("a mistake")

    first: list[int] = []
    path = write_belief(tmp_path)
    listener = Listener()
    one = Pack(session, folder, listener, checkpoints=Broken(folder, "base", 1000.0))
    broken = trial(path, seed=6)
    one.attach(broken)
    assert listener.wait(1)[broken.trial_id].row["error"] == "RuntimeError: a mistake"
    later = trial(path, seed=7)
    one.attach(later)
    assert listener.wait(2)[later.trial_id].state == "finished"
    one.close()
