"""Packed training against each trial trained alone with peft and torch.optim.AdamW."""

import copy
from dataclasses import replace

import pytest
import torch

from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import AdapterJob, EngineError, StepReport
from beliefmod.model.adapter_files import AdapterFile
from tests.engine.conftest import as_loaded, make_job, tiny_model
from tests.engine.oracle import peft_names, relative_l2, train_alone


def mixed_jobs() -> list[AdapterJob]:
    """Four trials that differ in everything; steps 12, 12, 14 and 5."""
    return [
        make_job("a", seed=1, rows=9, rank=2, alpha=4.0, learning_rate=1e-3, num_train_epochs=4),
        make_job(
            "b",
            seed=2,
            rows=5,
            rank=4,
            alpha=32.0,
            learning_rate=3e-3,
            num_train_epochs=6,
            lr_scheduler_type="cosine",
            warmup_steps=3,
            weight_decay=0.1,
        ),
        make_job(
            "c",
            seed=3,
            rows=7,
            rank=8,
            alpha=8.0,
            learning_rate=1e-4,
            num_train_epochs=2,
            per_device_train_batch_size=1,
            lr_scheduler_type="linear",
            max_grad_norm=0.1,
            targets=("q_proj", "v_proj"),
        ),
        make_job(
            "d",
            seed=4,
            rows=10,
            rank=16,
            alpha=16.0,
            learning_rate=5e-3,
            num_train_epochs=1,
            per_device_train_batch_size=2,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=2,
            adam_beta1=0.8,
            adam_beta2=0.95,
            adam_epsilon=1e-6,
        ),
    ]


def jobs_of_other_kinds() -> list[AdapterJob]:
    """Rank-stabilised LoRA, LoRA+, updates of limited norm and chosen layers, beside a plain trial."""
    return [
        make_job("plain", seed=5, num_train_epochs=3),
        make_job("rs", seed=6, rank=8, num_train_epochs=3, lora={"use_rslora": True}),
        make_job(
            "plus",
            seed=7,
            rank=3,
            num_train_epochs=3,
            weight_decay=0.1,
            lr_scheduler_type="linear",
            lora={"loraplus_lr_ratio": 16.0},
            targets=("q_proj", "down_proj"),
        ),
        make_job(
            "capped", seed=9, rank=4, num_train_epochs=4, learning_rate=1e-2, lora={"max_update_norm": 0.05}
        ),
        make_job(
            "layers",
            seed=10,
            rank=8,
            targets=("q_proj", "up_proj"),
            lora={"layers_to_transform": (1,), "max_update_norm": 0.02, "loraplus_lr_ratio": 4.0},
        ),
        make_job("both", seed=8, rank=4, lora={"use_rslora": True, "loraplus_lr_ratio": 0.5}),
    ]


def train_packed(engine: Engine, jobs: list[AdapterJob]):
    """Attach jobs as slots come free; give initial weights, reports and final weights by trial."""
    waiting, start, final = list(jobs), {}, {}
    reports: dict[str, list[StepReport]] = {job.trial_id: [] for job in jobs}
    while True:
        while waiting and engine.free_slots():
            job = waiting.pop(0)
            engine.attach(job)
            start[job.trial_id] = peft_names(engine.state_dict(job.trial_id)["weights"])
        step = engine.train_step()
        if not step:
            return start, reports, final
        for report in step:
            reports[report.trial_id].append(report)
            if report.finished:
                final[report.trial_id] = peft_names(engine.state_dict(report.trial_id)["weights"])
                engine.release(report.trial_id)


def assert_equal_to_alone(model, jobs, slots, loss_tolerance, weight_tolerance, **options):
    base = copy.deepcopy(model)
    start, reports, final = train_packed(Engine(as_loaded(model), slots, 16, **options), jobs)
    for job in jobs:
        alone = train_alone(base, job, start[job.trial_id])
        mine = reports[job.trial_id]
        assert len(mine) == len(alone.losses) == mine[-1].total_steps
        assert [r.step for r in mine] == list(range(1, len(mine) + 1))
        assert [r.finished for r in mine] == [False] * (len(mine) - 1) + [True]
        assert [r.loss for r in mine] == pytest.approx(alone.losses, rel=loss_tolerance)
        assert [r.terms["kl_to_base"] for r in mine if r.terms["kl_to_base"] is not None] == pytest.approx(
            alone.kls, rel=loss_tolerance * 10, abs=loss_tolerance
        )
        assert [r.learning_rate for r in mine] == pytest.approx(alone.rates, rel=1e-12)
        assert [r.grad_norm for r in mine] == pytest.approx(alone.norms, rel=loss_tolerance * 100)
        assert relative_l2(final[job.trial_id], alone) < weight_tolerance


@pytest.mark.parametrize("kind", ["qwen3", "llama"])
def test_mixed_pack_equals_each_trial_alone_fp64(kind, double_norms):
    assert_equal_to_alone(tiny_model(kind, torch.float64), mixed_jobs(), 4, 1e-9, 1e-9)


@pytest.mark.parametrize("kind", ["qwen3", "llama", "gemma2"])
def test_mixed_pack_equals_each_trial_alone_fp32(kind):
    assert_equal_to_alone(tiny_model(kind), mixed_jobs(), 4, 1e-4, 1e-3)


def test_refilled_slots_equal_each_trial_alone_fp64(double_norms):
    jobs = sorted(mixed_jobs(), key=lambda job: -job.config.num_train_epochs * len(job.rows))
    assert_equal_to_alone(tiny_model(dtype=torch.float64), jobs, 2, 1e-9, 1e-9)


def test_a_pack_of_one_and_small_passes_change_nothing_fp64(double_norms):
    assert_equal_to_alone(tiny_model(dtype=torch.float64), mixed_jobs()[1:2], 1, 1e-9, 1e-9)
    assert_equal_to_alone(tiny_model(dtype=torch.float64), mixed_jobs(), 4, 1e-9, 1e-9, pass_tokens=40)


def test_other_kinds_of_adapters_equal_each_trial_alone(double_norms):
    assert_equal_to_alone(tiny_model(dtype=torch.float64), jobs_of_other_kinds(), 3, 1e-9, 1e-9)
    assert_equal_to_alone(tiny_model(), jobs_of_other_kinds(), 4, 1e-4, 1e-3)


def test_an_adapter_with_two_learning_rates_goes_on_from_its_state_to_the_bit():
    model = tiny_model()
    [job] = jobs_of_other_kinds()[2:3]
    whole = Engine(as_loaded(copy.deepcopy(model)), 1, 16)
    whole.attach(job)
    for _ in range(job.config.total_steps // 2):
        whole.train_step()
    state = copy.deepcopy(whole.state_dict(job.trial_id))
    while whole.train_step():
        pass
    other = Engine(as_loaded(model), 1, 16)
    other.restore(job, state)
    while other.train_step():
        pass
    mine, theirs = (each.state_dict(job.trial_id)["weights"] for each in (whole, other))
    assert all(torch.equal(a, b) for name in mine for a, b in zip(mine[name], theirs[name], strict=True))


def test_an_adapter_that_begins_with_a_saved_one_goes_on_as_pefts_does(double_norms):
    """Of a lower rank, another alpha and fewer layers: the update is the saved one's, and training PEFT's."""
    model = tiny_model(dtype=torch.float64)
    targets = ("q_proj", "v_proj", "down_proj")
    first = make_job("first", seed=5, rank=2, alpha=6.0, targets=targets[:2], learning_rate=1e-2)
    engine = Engine(as_loaded(copy.deepcopy(model)), 1, 16)
    engine.attach(first)
    while engine.train_step():
        pass
    saved = AdapterFile(2, 6.0, engine.state_dict("first")["weights"], "base")
    job = make_job("next", seed=6, rank=5, alpha=3.0, targets=targets, num_train_epochs=3)
    assert_equal_to_alone(copy.deepcopy(model), [replace(job, start=saved)], 1, 1e-9, 1e-9)
    other = Engine(as_loaded(model), 1, 16)
    other.attach(replace(job, start=saved))
    for name, (a, b) in other.state_dict("next")["weights"].items():
        down, up = saved.tensors.get(name, (a[:2], b[:, :2]))
        assert torch.allclose(3.0 / 5 * b @ a, 6.0 / 2 * up @ down, atol=1e-12)
        assert a[2:].abs().min() > 0, "the other ranks can learn"


def test_a_saved_adapter_that_does_not_fit_leaves_the_slot_empty():
    engine = Engine(as_loaded(tiny_model()), 1, 16)
    engine.attach(job := make_job("a", rank=4, targets=("q_proj", "v_proj")))
    saved = AdapterFile(4, 4.0, engine.state_dict("a")["weights"], "base")
    engine.release("a")
    narrow = make_job("b", rank=4, targets=("q_proj",))
    for start, why in ((replace(narrow, start=saved), "widen them"), (make_job("c", rank=2), "raise lora.r")):
        with pytest.raises(EngineError, match=why):
            engine.attach(replace(start, start=saved))
        assert engine.attached() == ()
    engine.attach(job)


def test_no_update_is_longer_than_its_limit(double_norms):
    """And what trains without a limit is longer: the limit does bind."""
    limits = {"free": 0.0, "capped": 0.05}
    jobs = [
        make_job(name, seed=9, num_train_epochs=4, learning_rate=1e-2, lora={"max_update_norm": limit})
        for name, limit in limits.items()
    ]
    _, _, final = train_packed(Engine(as_loaded(tiny_model(dtype=torch.float64)), 2, 16), jobs)
    norms = {
        name: [
            (2.0 * tensors[a.replace("lora_A", "lora_B")] @ tensors[a]).norm().item()
            for a in tensors
            if "lora_A" in a
        ]
        for name, tensors in final.items()
    }
    assert min(norms["free"]) > 0.05
    assert max(norms["capped"]) <= 0.05 * (1 + 1e-9)
    assert sum(norm > 0.0499 for norm in norms["capped"]) > len(norms["capped"]) / 2
