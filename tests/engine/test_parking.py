"""Parking and prefix sharing in the engine, against each trial trained alone with peft."""

import copy
import dataclasses

import pytest
import torch

from beliefmod.engine import jobs
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import AdapterJob, DriftRequest, GenerateRequest, ScoreRequest
from tests.engine.conftest import as_loaded, make_job, tiny_model
from tests.engine.oracle import peft_names, relative_l2, train_alone
from tests.engine.test_slots import assert_same, weights_of


def shorter(job: AdapterJob, epochs: int) -> AdapterJob:
    config = job.config.model_copy(update={"num_train_epochs": epochs})
    return dataclasses.replace(job, trial_id=f"{job.trial_id}{epochs}", config=config)


def family_run(engine: Engine, trunk: AdapterJob, branches: list[AdapterJob]):
    """Train the trunk and park each branch at its last step; losses of the trunk."""
    engine.attach(trunk)
    start = peft_names(engine.state_dict(trunk.trial_id)["weights"])
    losses = []
    while True:
        reports = [r for r in engine.train_step() if r.trial_id == trunk.trial_id]
        if not reports:
            return start, losses
        losses += [r.loss for r in reports]
        for branch in branches:
            if branch.config.num_train_epochs * 3 == reports[-1].step:  # nine rows are three batches
                engine.park(trunk.trial_id, branch.trial_id)


@pytest.mark.parametrize("schedule", ["constant", "constant_with_warmup"])
def test_branches_equal_separate_runs_with_peft_fp64(schedule, double_norms):
    warmup = 0 if schedule == "constant" else 5  # longer than the shortest branch
    trunk = make_job(
        "a",
        seed=1,
        rows=9,
        rank=4,
        num_train_epochs=6,
        learning_rate=3e-3,
        weight_decay=0.1,
        lr_scheduler_type=schedule,
        warmup_steps=warmup,
    )
    branches = [shorter(trunk, 1), shorter(trunk, 4)]
    model = tiny_model(dtype=torch.float64)
    base = copy.deepcopy(model)
    engine = Engine(as_loaded(model), 2, 16, parking=2)
    engine.attach(make_job("other", seed=5, rank=16, rows=4, num_train_epochs=9, learning_rate=1e-2))
    start, losses = family_run(engine, trunk, branches)
    for job in (*branches, trunk):
        alone = train_alone(base, job, start)
        assert losses[: len(alone.losses)] == pytest.approx(alone.losses, rel=1e-9)
        state = engine.state_dict(job.trial_id)
        assert state["step"] == len(alone.losses)
        assert relative_l2(peft_names(state["weights"]), alone) < 1e-9


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_parked_adapters_answer_score_and_drift_as_they_did_in_their_slot(dtype):
    engine = Engine(as_loaded(tiny_model(dtype=dtype)), 2, 8, parking=2)
    engine.drafts = None  # there are texts to draft from the second time, and bf16 rounds otherwise then
    engine.attach(make_job("x", seed=1, rank=3, num_train_epochs=3, learning_rate=3e-2))
    engine.attach(make_job("y", seed=2, rank=8, num_train_epochs=3, learning_rate=3e-2))
    while engine.train_step():
        pass

    def asked(names):
        prompts = [(5, 6, 7), (8, 9, 10, 11)]
        questions = [(name, prompt) for name in names for prompt in prompts]
        return (
            engine.generate([GenerateRequest(name, prompt) for name, prompt in questions], 8),
            engine.score([ScoreRequest(name, prompt, (12, 13)) for name, prompt in questions]),
            engine.drift([DriftRequest(name, prompt, (12, 13)) for name, prompt in questions]),
        )

    before, weights = asked(["x", "y"]), weights_of(engine, "x")
    engine.park("x")
    engine.park("y", "z")
    assert engine.attached() == ("y", "x", "z")
    assert (engine.free_slots(), engine.parking_room()) == (1, 0)
    assert_same(weights_of(engine, "x"), weights)
    texts, scores, drifts = asked(["x", "z"])
    assert texts == before[0]
    assert scores == pytest.approx(before[1], rel=1e-5)
    assert drifts == before[2]
    assert any(result.kl > 0 for result in drifts)
    # the slot that x left holds nothing of it and serves the next trial
    assert not engine.pack.theta[0].any()
    engine.attach(make_job("next", seed=3))
    while engine.train_step():
        pass
    assert_same(weights_of(engine, "x"), weights)
    engine.release("x")
    engine.release("z")
    assert engine.parking_room() == 2
    assert not engine.pack.theta[2:].any()


def test_parking_takes_no_gradients_and_moves_no_trial_that_trains():
    engine = Engine(as_loaded(tiny_model()), 1, 4, parking=1)
    assert engine.pack.grad.shape[0] == 1 and engine.pack.theta.shape[0] == 2
    engine.attach(make_job("a", num_train_epochs=2))
    with pytest.raises(jobs.EngineError, match="steps left"):
        engine.park("a")
    with pytest.raises(jobs.UnknownAdapter):
        engine.park("nobody")
    engine.train_step()
    engine.park("a", "early")
    early = weights_of(engine, "early")
    with pytest.raises(jobs.DuplicateTrial):
        engine.park("a", "early")
    while engine.train_step():
        pass
    assert_same(weights_of(engine, "early"), early)
    final = weights_of(engine, "a")
    with pytest.raises(jobs.NoFreeSlot, match="1 parking places"):
        engine.park("a")
    assert_same(weights_of(engine, "a"), final)
    with pytest.raises(jobs.EngineError, match="already parked"):
        engine.park("early")
    engine.release("early")
    engine.park("a")
    assert_same(weights_of(engine, "a"), final)
    assert engine.free_slots() == 1


def test_a_parked_adapter_is_saved_like_any_other(tmp_path):
    engine = Engine(as_loaded(tiny_model()), 1, 4, parking=1)
    engine.attach(make_job("a", num_train_epochs=2, learning_rate=1e-2))
    engine.train_step()
    engine.park("a", "early")
    early = weights_of(engine, "early")
    engine.save_adapter("early", tmp_path / "adapter")
    engine.release("a")
    engine.load_adapter(tmp_path / "adapter", "back")
    assert_same(weights_of(engine, "back"), early)


def test_a_trunk_that_blows_up_leaves_its_branch_whole():
    job = make_job("a", seed=1, num_train_epochs=4, learning_rate=1e-2)
    engine = Engine(as_loaded(tiny_model()), 1, 4, parking=1)
    engine.attach(job)
    engine.train_step()
    engine.park("a", "early")
    early = weights_of(engine, "early")
    engine.pack.theta[0].fill_(float("nan"))
    [report] = engine.train_step()
    assert report.error
    with pytest.raises(jobs.AdapterUnusable):
        engine.park("a")
    assert_same(weights_of(engine, "early"), early)
    assert all(len(c.token_ids) for c in engine.generate([GenerateRequest("early", (5, 6))], 3))


def test_the_state_of_a_parked_trial_comes_back_trained():
    job = make_job("a", seed=3, num_train_epochs=2, learning_rate=1e-2)
    engine = Engine(as_loaded(tiny_model()), 1, 4, parking=1)
    engine.attach(job)
    while engine.train_step():
        pass
    engine.park("a")
    state = engine.state_dict("a")
    assert state["moments"] is None
    other = Engine(as_loaded(tiny_model()), 2, 8)
    other.restore(job, state)
    assert other.train_step() == []
    assert_same(weights_of(other, "a"), weights_of(engine, "a"))
    with pytest.raises(jobs.EngineError, match="no training at a step"):
        other.restore(shorter(job, 3), state)
    assert other.attached() == ("a",)
