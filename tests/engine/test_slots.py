"""Joining, leaving, failing and coming back."""

import copy
import dataclasses

import pytest
import torch

from beliefmod.engine import jobs
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import GenerateRequest, ScoreRequest, TrainRow
from tests.engine.conftest import as_loaded, make_job, tiny_model


def make_engine(slots=2, max_rank=4) -> Engine:
    return Engine(as_loaded(tiny_model()), slots, max_rank)


def weights_of(engine: Engine, trial_id: str) -> dict[str, torch.Tensor]:
    pairs = engine.state_dict(trial_id)["weights"]
    return {f"{name}.{kind}": t for name, pair in pairs.items() for kind, t in zip("AB", pair, strict=True)}


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


def test_initial_weights_are_pefts_distribution_and_depend_on_seed_and_layer_alone():
    engine = make_engine(slots=3)
    engine.attach(make_job("x", seed=7))
    engine.attach(make_job("y", seed=8))
    engine.attach(make_job("z", seed=7, rows=3, learning_rate=1e-2))
    x, y, z = (weights_of(engine, name) for name in "xyz")
    assert_same(x, z)
    assert not torch.equal(x["model.layers.0.mlp.up_proj.A"], y["model.layers.0.mlp.up_proj.A"])
    assert not torch.equal(x["model.layers.0.mlp.up_proj.A"], x["model.layers.1.mlp.up_proj.A"])
    for name, tensor in x.items():
        if name.endswith(".B"):
            assert not tensor.any()
        else:
            bound = tensor.shape[1] ** -0.5
            assert 0.8 * bound < tensor.abs().max() <= bound
    # what PEFT itself draws has the same bound
    reference = torch.nn.Linear(32, 400, bias=False)
    torch.nn.init.kaiming_uniform_(reference.weight, a=5**0.5)
    assert reference.weight.abs().max().item() == pytest.approx(32**-0.5, rel=0.01)


def test_a_slot_that_is_finished_stays_as_it_is_while_others_train():
    engine = make_engine()
    engine.attach(make_job("short", seed=1, rows=4, num_train_epochs=2, learning_rate=1e-2, weight_decay=0.1))
    engine.attach(make_job("long", seed=2, rows=4, num_train_epochs=6, learning_rate=1e-2))
    assert [r.trial_id for r in engine.train_step()] == ["short", "long"]
    assert [r.finished for r in engine.train_step()] == [True, False]
    at_the_end = weights_of(engine, "short")
    assert any(t.any() for n, t in at_the_end.items() if n.endswith(".B"))
    for _ in range(4):
        assert [r.trial_id for r in engine.train_step()] == ["long"]
    assert engine.train_step() == []
    assert_same(weights_of(engine, "short"), at_the_end)


def test_what_a_slot_does_not_use_stays_exactly_zero():
    engine = make_engine(slots=1, max_rank=8)
    engine.attach(
        make_job(
            "a",
            rank=3,
            targets=("q_proj", "down_proj"),
            learning_rate=1e-2,
            weight_decay=0.1,
            num_train_epochs=3,
        )
    )
    while engine.train_step():
        pass
    used = sum(a.numel() + b.numel() for a, b in engine.state_dict("a")["weights"].values())
    assert 0 < int(engine.pack.theta.count_nonzero()) <= used < engine.pack.theta.numel()


@pytest.mark.parametrize("what", ["loss", "update"])
def test_a_trial_whose_numbers_blow_up_fails_alone(what):
    model = tiny_model()
    engine, clean = Engine(as_loaded(copy.deepcopy(model)), 2, 4), Engine(as_loaded(model), 2, 4)
    good = make_job("good", seed=2, num_train_epochs=4, learning_rate=1e-3)
    # an absurd rate sends the weights to inf by itself; a poisoned adapter gives a NaN loss at once
    bad = make_job("bad", seed=1, num_train_epochs=4, learning_rate=10.0, alpha=1e30)
    calm = make_job("bad", seed=1, num_train_epochs=4, learning_rate=1e-3)
    engine.attach(bad)
    engine.attach(good)
    clean.attach(calm)
    clean.attach(good)
    if what == "loss":
        engine.pack.theta[0].fill_(float("nan"))
    failed, mine, theirs = [], [], []
    while reports := engine.train_step():
        failed += [r for r in reports if r.error]
        mine += [r for r in reports if r.trial_id == "good"]
    while reports := clean.train_step():
        theirs += [r for r in reports if r.trial_id == "good"]
    assert len(failed) == 1 and failed[0].trial_id == "bad" and failed[0].finished
    assert "not finite" in (failed[0].error or "")
    assert failed[0].loss is None or failed[0].grad_norm is None
    assert len(mine) == len(theirs) == 8
    assert [r.loss for r in mine] == pytest.approx([r.loss for r in theirs], rel=1e-5)
    for name, tensor in weights_of(engine, "good").items():
        torch.testing.assert_close(tensor, weights_of(clean, "good")[name], rtol=1e-3, atol=1e-6)
    # the slot holds nothing of the failed trial, not even moments, and serves the next one
    assert not engine.pack.theta[0].any() and not engine.pack.grad[0].any()
    with pytest.raises(jobs.AdapterUnusable, match="not finite"):
        engine.generate([GenerateRequest("bad", (5, 6))], 2)
    assert engine.free_slots() == 0
    engine.release("bad")
    engine.attach(calm)
    while reports := engine.train_step():
        assert all(r.error is None and r.trial_id == "bad" for r in reports)
    for name, tensor in weights_of(engine, "bad").items():
        torch.testing.assert_close(tensor, weights_of(clean, "bad")[name], rtol=1e-3, atol=1e-6)


def test_a_restored_trial_goes_on_as_if_never_interrupted():
    job = make_job("a", seed=3, rows=7, num_train_epochs=5, learning_rate=3e-3, lr_scheduler_type="cosine")
    straight = make_engine(slots=1)
    straight.attach(job)
    expected = [r for _ in range(10) for r in straight.train_step()]
    first = make_engine(slots=1)
    first.attach(job)
    reports = [r for _ in range(4) for r in first.train_step()]
    state = first.state_dict("a")
    second = make_engine(slots=3, max_rank=16)
    second.attach(make_job("other", seed=9))
    second.restore(job, state)
    second.release("other")
    while step := second.train_step():
        reports += step
    assert [r.step for r in reports] == [r.step for r in expected]
    assert [r.loss for r in reports] == pytest.approx([r.loss for r in expected], rel=1e-6)
    for name, tensor in weights_of(second, "a").items():
        torch.testing.assert_close(tensor, weights_of(straight, "a")[name], rtol=1e-5, atol=1e-7)


def test_a_state_is_a_copy_at_every_rank():
    """Of one row, transposed, torch's `contiguous` is no copy."""
    engine = make_engine(slots=2)
    for rank, trial_id in ((1, "x"), (4, "y")):
        engine.attach(make_job(trial_id, rank=rank, learning_rate=1e-2))
        engine.train_step()
        before = weights_of(engine, trial_id)
        kept = {name: tensor.clone() for name, tensor in before.items()}
        engine.train_step()
        assert_same(before, kept)
        name = "model.layers.1.mlp.up_proj.B"
        assert not torch.equal(weights_of(engine, trial_id)[name], kept[name])


def test_the_data_order_is_the_trials_own():
    engine = make_engine()
    engine.attach(make_job("a", seed=3, rows=9, num_train_epochs=2))
    engine.attach(make_job("b", seed=4, rows=3, num_train_epochs=2))
    engine.train_step()
    first = engine.train_step()[0].loss
    alone = make_engine()
    alone.attach(make_job("a", seed=3, rows=9, num_train_epochs=2))
    alone.train_step()
    assert alone.train_step()[0].loss == pytest.approx(first, rel=1e-5)


def test_what_cannot_be_done_is_refused_and_changes_nothing():
    engine = make_engine(slots=2, max_rank=4)
    with pytest.raises(jobs.ImpossibleRank, match="rank 5"):
        engine.attach(make_job("a", rank=5))
    no_rank = make_job("a")
    lora = no_rank.config.lora.model_copy(update={"r": 0})
    with pytest.raises(jobs.ImpossibleRank, match="rank 0"):
        engine.attach(dataclasses.replace(no_rank, config=no_rank.config.model_copy(update={"lora": lora})))
    with pytest.raises(jobs.RowTooLong, match="129 tokens"):
        engine.attach(dataclasses.replace(make_job("a"), rows=(TrainRow((5,) * 129, 3),)))
    with pytest.raises(jobs.NoRows):
        engine.attach(dataclasses.replace(make_job("a"), rows=()))
    lora = no_rank.config.lora.model_copy(update={"target_modules": ("q_proj", "no_such_layer")})
    with pytest.raises(jobs.UnknownTarget, match="no_such_layer"):
        engine.attach(dataclasses.replace(no_rank, config=no_rank.config.model_copy(update={"lora": lora})))
    assert engine.free_slots() == 2 and engine.train_step() == []
    engine.attach(make_job("a"))
    with pytest.raises(jobs.DuplicateTrial):
        engine.attach(make_job("a"))
    engine.attach(make_job("b"))
    with pytest.raises(jobs.NoFreeSlot):
        engine.attach(make_job("c"))
    assert engine.attached() == ("a", "b")
    with pytest.raises(jobs.UnknownAdapter, match="nobody"):
        engine.release("nobody")
    with pytest.raises(jobs.UnknownAdapter):
        engine.generate([GenerateRequest("nobody", (5,))], 2)
    with pytest.raises(jobs.NoRows):
        engine.generate([GenerateRequest(None, ())], 2)
    with pytest.raises(jobs.EngineError, match="max_new_tokens"):
        engine.generate([GenerateRequest(None, (5,))], 0)
    with pytest.raises(jobs.EngineError, match="temperature"):
        engine.generate([GenerateRequest(None, (5,))], 2, jobs.Sampling(-1.0))
    with pytest.raises(jobs.RowTooLong):
        engine.generate([GenerateRequest(None, (5,) * 128)], 2)
    with pytest.raises(jobs.NoRows):
        engine.score([ScoreRequest(None, (5,), ())])
    with pytest.raises(jobs.RowTooLong):
        engine.score([ScoreRequest(None, (5,) * 100, (6,) * 29)])
    with pytest.raises(ValueError, match="one answer token"):
        TrainRow((5, 6), 2)
    with pytest.raises(jobs.EngineError):
        Engine(as_loaded(tiny_model()), 0, 4)
