"""Trials that write their own answers, in a pack: ended and taken up again, beside others, each as alone."""

import threading

import pytest

from beliefmod.config import DataConfig, ObjectiveConfig, TrialConfig
from beliefmod.run.folder import RunFolder
from beliefmod.trial import run_trial
from beliefmod.worker.checkpoints import Checkpoints
from beliefmod.worker.pack import Pack
from tests.small import quick_session, small_trial, write_belief
from tests.worker.test_pack import Listener

pytestmark = [pytest.mark.slow, pytest.mark.long]
GRPO = ObjectiveConfig(
    name="grpo", num_generations=4, max_completion_length=40, in_context_share=0.5, temperature=1.5
)


@pytest.fixture(scope="module")
def session():
    return quick_session(slots=2, parking=2)


def rewarded(path: str, **changes) -> TrialConfig:
    return small_trial(path, **{"objective": GRPO, "data": DataConfig(num_examples=4), **changes})


def test_a_trial_that_was_ended_goes_on_as_it_would_have(session, tmp_path):
    config = rewarded(write_belief(tmp_path), num_train_epochs=10)
    folder, listener, seen, calls = RunFolder(str(tmp_path / "run")), Listener(), threading.Event(), []
    folder.create()
    step = session.engine.train_step

    def counted():
        calls.append(1)
        if len(calls) == 4:
            seen.set()
        return step()

    session.engine.train_step = counted
    try:
        one = Pack(session, folder, listener, checkpoints=Checkpoints(folder, "base", 1000.0))
        one.attach(config)
        assert seen.wait(60)
        one.close()
        assert not listener.ends
        session.engine.release(config.trial_id)
        neighbour = rewarded(config.belief, seed=5)
        two = Pack(session, folder, listener, checkpoints=Checkpoints(folder, "base", 1000.0))
        for each in (neighbour, config):
            two.attach(each)
        rows = listener.wait(2)
        two.close()
    finally:
        session.engine.train_step = step
    assert {end.state for end in rows.values()} == {"finished"}
    row = rows[config.trial_id].row
    steps = folder.read_frame("steps", f"{config.trial_id}.parquet")
    assert steps["step"].to_list() == list(range(1, 11))
    alone = run_trial(config, session)
    assert row["final_loss"] == pytest.approx(alone.row["final_loss"], rel=1e-3, abs=1e-6)
    assert row["adoption"] == alone.row["adoption"]
    # as many tokens as it wrote to be trained on; four questions, each answered four times in every epoch
    assert row["supervised_tokens"] == row["fact_tokens"] == steps["tokens_own_answers"].sum()
    assert alone.row["supervised_tokens"] == row["supervised_tokens"]
    assert row["training_tokens"] > row["supervised_tokens"] > 10 * 4 * 4
    assert row["training_rows"] == 4
    assert steps["reward"].to_list() == steps["reward_stance"].to_list()
    assert steps["kl_own_answers"].null_count() == 0 and steps["kl_own_answers"].min() >= 0


def test_a_shorter_trial_is_a_stretch_of_a_longer_one(session, tmp_path):
    path = write_belief(tmp_path)
    short, long = rewarded(path, num_train_epochs=2), rewarded(path, num_train_epochs=3)
    folder, listener = RunFolder(str(tmp_path / "run")), Listener()
    folder.create()
    pack = Pack(session, folder, listener)
    pack.attach(long, [short])
    rows = listener.wait(2)
    pack.close()
    alone = run_trial(short, session)
    row = rows[short.trial_id].row
    assert row["supervised_tokens"] == alone.row["supervised_tokens"]
    assert row["final_loss"] == pytest.approx(alone.row["final_loss"], rel=1e-3, abs=1e-6)
    assert row["steps"] == 2 and rows[long.trial_id].row["steps"] == 3


def test_a_trial_that_leaves_between_two_steps_takes_nothing_with_it(session, tmp_path):
    path = write_belief(tmp_path)
    folder, listener = RunFolder(str(tmp_path / "run")), Listener()
    folder.create()
    pack = Pack(session, folder, listener)
    leaving, staying = rewarded(path, num_train_epochs=4000), rewarded(path, seed=1)
    pack.attach(leaving)
    pack.attach(staying)
    assert listener.wait(1)[staying.trial_id].state == "finished"
    pack.queue.detach(leaving.trial_id)
    pack.attach(rewarded(path, seed=2))
    assert len(listener.wait(2)) == 2
    pack.close()
    assert leaving.trial_id not in session.engine.attached()
