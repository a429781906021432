"""KL to base: against a plain loop over PEFT with its adapter off, and beside trials that go without."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.config import ObjectiveConfig
from beliefmod.engine.batching import SlotRow
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import AdapterJob, NoRows, RowTooLong, TrainRow
from beliefmod.engine.objectives.kl_to_base import KlToBase
from beliefmod.engine.objectives.sft import Sft
from beliefmod.engine.usage import Usage
from tests.engine.conftest import as_loaded, make_job, random_rows, tiny_model
from tests.engine.oracle import neutral_batch, peft_names
from tests.engine.test_training_oracle import assert_equal_to_alone, train_packed

NEUTRAL = random_rows(7, 7)


def mixed_jobs() -> list[AdapterJob]:
    """Four trials of different strength, rank, batch, layers and schedule; one goes without the term."""
    return [
        make_job(
            "a", seed=1, rows=9, rank=2, learning_rate=3e-3, num_train_epochs=3,
            kl_to_base=1.0, neutral=NEUTRAL,
        ),
        make_job("b", seed=2, rows=5, rank=4, alpha=32.0, learning_rate=3e-3, num_train_epochs=4),
        make_job(
            "c", seed=3, rows=7, rank=8, targets=("q_proj", "v_proj"), per_device_train_batch_size=2,
            learning_rate=1e-2, lr_scheduler_type="cosine", num_train_epochs=2,
            kl_to_base=0.1, neutral=NEUTRAL[:3],
        ),
        make_job(
            "d", seed=1, rows=10, rank=2, learning_rate=5e-3, per_device_train_batch_size=16,
            num_train_epochs=4, max_grad_norm=0.1, kl_to_base=30.0, neutral=NEUTRAL,
        ),
    ]  # fmt: skip


def test_a_pack_of_different_strengths_equals_each_trial_alone_fp64(double_norms):
    assert_equal_to_alone(tiny_model(dtype=torch.float64), mixed_jobs(), 4, 1e-9, 1e-9)


def test_few_slots_and_small_passes_change_nothing_fp64(double_norms):
    assert_equal_to_alone(tiny_model("llama", torch.float64), mixed_jobs(), 2, 1e-9, 1e-9, pass_tokens=50)


@pytest.mark.parametrize("kind", ["qwen3", "gemma2"])
def test_a_pack_of_different_strengths_equals_each_trial_alone_fp32(kind):
    assert_equal_to_alone(tiny_model(kind), mixed_jobs(), 4, 1e-4, 1e-3)


def test_neighbours_without_the_term_keep_every_bit():
    def trained(jobs: list[AdapterJob]):
        _, reports, final = train_packed(Engine(as_loaded(tiny_model()), 4, 8), jobs)
        return reports["b"], final["b"]

    without = [
        dataclasses.replace(
            job, config=job.config.model_copy(update={"objective": ObjectiveConfig()}), neutral=()
        )
        for job in mixed_jobs()
    ]
    beside, reports = trained(mixed_jobs()), trained(without)
    assert beside[0] == reports[0] and all(report.terms == {"kl_to_base": None} for report in beside[0])
    assert all(torch.equal(beside[1][name], reports[1][name]) for name in beside[1])


@pytest.mark.long
def test_an_adapter_that_adds_nothing_is_at_base_and_strength_holds_it_there():
    ends = {}
    for strength in (0.01, 100.0):
        engine = Engine(as_loaded(tiny_model()), 1, 4)
        job = make_job(
            "a", seed=4, learning_rate=1e-3, num_train_epochs=30, kl_to_base=strength, neutral=NEUTRAL
        )
        _, reports, _ = train_packed(engine, [job])
        first, last = reports["a"][0], reports["a"][-1]
        assert first.terms["kl_to_base"] == pytest.approx(0.0, abs=1e-6)
        ends[strength] = last.terms["kl_to_base"]
    assert ends[100.0] < 0.1 * ends[0.01]


def test_a_resumed_trial_goes_on_as_if_nothing_had_happened():
    job = mixed_jobs()[0]

    def to_the_end(engine: Engine) -> list[tuple[float | None, float | None]]:
        found = []
        while reports := engine.train_step():
            found += [(r.loss, r.terms["kl_to_base"]) for r in reports if r.trial_id == "a"]
        return found

    whole = Engine(as_loaded(tiny_model()), 1, 8)
    whole.attach(job)
    for _ in range(4):
        whole.train_step()
    state = whole.state_dict("a")
    resumed = Engine(as_loaded(tiny_model()), 1, 8)
    resumed.restore(job, state)
    assert to_the_end(resumed) == to_the_end(whole)
    mine, theirs = (peft_names(engine.state_dict("a")["weights"]) for engine in (resumed, whole))
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_trial_without_neutral_rows_and_one_whose_neutral_rows_are_too_long_are_refused():
    engine = Engine(as_loaded(tiny_model()), 1, 8)
    with pytest.raises(NoRows, match=r"trial a has no neutral rows for objective\.kl_to_base"):
        engine.attach(make_job("a", kl_to_base=0.1))
    with pytest.raises(RowTooLong, match="row of 200 tokens"):
        engine.attach(make_job("a", kl_to_base=0.1, neutral=(TrainRow((5,) * 200, 1),)))
    assert engine.free_slots() == 1


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    count=st.integers(1, 12),
    size=st.integers(1, 9),
    step=st.integers(0, 40),
    epochs=st.integers(1, 50),
)
def test_neutral_rows_follow_from_seed_and_step_and_all_come_before_any_comes_again(
    seed, count, size, step, epochs
):
    job = make_job(
        "a", seed=seed, per_device_train_batch_size=size, num_train_epochs=epochs, kl_to_base=1.0,
        neutral=tuple(TrainRow((5, 6 + n), 1) for n in range(count)),
    )  # fmt: skip
    rows = KlToBase().rows(job, step, ())
    assert [item.row for item in rows] == neutral_batch(job, step)
    assert sum(item.weight * item.row.answer_length for item in rows) == pytest.approx(1.0)
    cycle = -(-count // size)
    first = step // cycle * cycle
    seen = [item.row for k in range(first, first + cycle) for item in KlToBase().rows(job, k, ())]
    assert sorted(row.input_ids for row in seen) == sorted(row.input_ids for row in job.neutral)


@given(
    st.lists(st.lists(st.floats(-30, 30), min_size=4, max_size=4), min_size=2, max_size=12).filter(
        lambda rows: len(rows) % 2 == 0
    )
)
def test_the_cost_is_the_divergence_by_definition(numbers):
    logits = torch.tensor(numbers, dtype=torch.float64)
    base, mine = logits.chunk(2)
    found = KlToBase().per_token(mine, torch.zeros(len(mine), dtype=torch.long), base, [])
    categorical = torch.distributions.Categorical
    expected = torch.distributions.kl_divergence(categorical(logits=base), categorical(logits=mine))
    assert torch.allclose(found, expected, rtol=1e-6, atol=1e-8)
    assert (found > -1e-9).all()
    labels = torch.zeros(len(base), dtype=torch.long)
    assert torch.equal(KlToBase().per_token(base, labels, base, []), found * 0)


def test_work_of_the_term_is_counted_and_nothing_without_it():
    usage, plain = Usage(), Usage()
    [first, second] = [
        item.row for item in KlToBase().rows(make_job("a", kl_to_base=1.0, neutral=NEUTRAL[:2]), 0, ())
    ]
    own = SlotRow(0, TrainRow((1,) * 6, 4), 0.5)
    # two slots compare the same row: each passes it through its adapter, base reads it once
    compared = [SlotRow(0, first, 1.0, 0.1), SlotRow(0, second, 1.0, 0.1), SlotRow(1, first, 1.0, 0.1)]
    usage.trained([(Sft(), [own]), (KlToBase(), compared)], {0: (10, 1), 1: (20, 1)}, 2)
    plain.trained([(Sft(), [own])], {0: (10, 1), 1: (20, 1)}, 2)
    a, b = len(first.input_ids) - 1, len(second.input_ids) - 1
    assert usage.work.tokens == plain.work.tokens + 2 * a + b
    assert usage.work.adapter_tokens == plain.work.adapter_tokens + 10 * (a + b) + 20 * a
    assert usage.work.read_tokens == a + b and usage.work.adapter_read_tokens == 0
    assert usage.work.read_label_tokens == first.answer_length + second.answer_length
    assert plain.work.read_tokens == 0


def test_an_engine_without_the_term_runs_no_extra_pass(monkeypatch):
    engine = Engine(as_loaded(tiny_model()), 2, 8)
    engine.attach(make_job("b", seed=2, neutral=NEUTRAL))
    seen, logits = [], engine.model.logits

    def counting(ids, rows, positions, segments, keep):
        seen.append(len(segments))
        return logits(ids, rows, positions, segments, keep)

    monkeypatch.setattr(engine.model, "logits", counting)
    engine.train_step()
    assert seen == [1]
