"""The formulas of the limit against numbers computed by hand, and what must hold whatever the numbers are."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.capacity.limit import (
    Machine,
    Model,
    generation,
    limit,
    limit_line,
    rate,
    reading,
    training,
)
from beliefmod.engine.usage import Work

# 1000 weights, 100 in the head, 2 layers, queries 8 wide, fp32
MODEL = Model(1000, 100, 2, 8, 4, False, 64)
# one host, 1 MFLOP/s, 1 kB/s
MACHINE = Machine(hosts=1, flops=1e6, bandwidth=1e3, most_slots=4, most_cache_tokens=100)


def test_training_by_hand():
    # two trials of 3 and 5 steps of one row of 10 tokens, 4 of them with loss; adapters of 50 weights
    work = Work(
        tokens=80,
        label_tokens=32,
        squares=8 * 100,
        adapter_tokens=50 * 80,
        adapter_steps=50 * 8,
        trial_steps=8,
        longest_trial_steps=5,
    )
    phase = training(work, MODEL, MACHINE)
    # 4*1000*80 + 4*100*32 + 6*50*80 + 7*2*8*800 = 320000 + 12800 + 24000 + 89600
    assert phase.products == pytest.approx(446_400 / 1e6)
    # 5 rounds of 2*4000 + 2*4*100 bytes, and 28 bytes for 50 weights in 8 steps
    assert phase.memory == pytest.approx((5 * 8800 + 28 * 400) / 1e3)
    assert (phase.binds, phase.seconds) == ("memory", phase.memory)


def test_more_steps_than_slots_take_more_rounds():
    work = Work(trial_steps=41, longest_trial_steps=5)
    # 41 trial steps on 4 slots take 11 rounds, on two hosts of 4 slots 6
    assert training(work, MODEL, MACHINE).memory == pytest.approx(11 * 8.8)
    two = dataclasses.replace(MACHINE, hosts=2)
    assert training(work, MODEL, two).memory == pytest.approx(6 * 8.8)


def test_full_fine_tuning_costs_six_operations_per_weight():
    lora = Work(tokens=10, label_tokens=5)
    full = Work(tokens=10, label_tokens=5, full_tokens=10, full_label_tokens=5)
    assert training(lora, MODEL, MACHINE).products == pytest.approx((4 * 1000 * 10 + 4 * 100 * 5) / 1e6)
    assert training(full, MODEL, MACHINE).products == pytest.approx((6 * 1000 * 10 + 6 * 100 * 5) / 1e6)


def test_generation_by_hand():
    # two answers: prompts of 6 and 10 tokens, answers of 4 and 20, the second by an adapter of 50 weights
    work = Work(
        answers=2,
        prompt_tokens=16,
        generated_tokens=24,
        cache_reads=6 * 4 + 8 + 10 * 20 + 200,
        answer_squares=10**2 + 30**2,
        adapter_answer_tokens=50 * 30,
        adapter_decodes=50 * 20,
        longest_answer=20,
        answer_steps=24,
    )
    phase = generation(work, MODEL, MACHINE)
    # 2*1000*40 + 2*100*24 + 2*1500 + 2*2*8*1000
    assert phase.products == pytest.approx((80_000 + 4_800 + 3_000 + 32_000) / 1e6)
    # rows of 20 tokens: 5 fit, so 24 tokens need 4.8 steps and the longest answer 20; 4000 + 400 bytes each,
    # 4 bytes of 1000 adapter weights, 64 bytes of 432 cached tokens
    assert phase.memory == pytest.approx((20 * 4400 + 4 * 1000 + 64 * 432) / 1e3)


def test_many_answers_need_as_many_steps_as_their_rows_fit():
    work = Work(answers=100, prompt_tokens=1000, generated_tokens=1000, answer_steps=1000, longest_answer=10)
    # rows of 20 tokens: 5 fit, so 1000 tokens take 200 steps
    assert generation(work, MODEL, MACHINE).memory == pytest.approx(200 * 4.4)


def test_reading_by_hand():
    work = Work(read_tokens=30, read_label_tokens=10, read_squares=300, adapter_read_tokens=50 * 30)
    # 2*1000*30 + 2*100*10 + 2*1500 + 2*2*8*300
    assert reading(work, MODEL, MACHINE).products == pytest.approx((60_000 + 2_000 + 3_000 + 9_600) / 1e6)


def test_a_packed_base_reads_fewer_bytes_in_decoding_and_more_in_training():
    packed = dataclasses.replace(MODEL, packed=True, number_bytes=2)
    assert packed.pass_bytes == pytest.approx(4562.5)
    assert packed.decode_bytes == pytest.approx(562.5)
    assert dataclasses.replace(packed, packed=False).pass_bytes == 2000


def test_the_worked_figures_for_a_4b_model_on_one_gpu():
    """300 trials of 50 rows x 200 tokens x 10 epochs at batch 4 on 989 TFLOP/s take at least about 480 s."""
    model = Model(3_633_000_000, 389_000_000, 36, 4096, 2, False, 147_456)
    tokens = 300 * 50 * 10 * 200
    work = Work(
        tokens=tokens,
        label_tokens=tokens // 5,
        squares=300 * 50 * 10 * 200**2,
        adapter_tokens=16 * 2_064_384 * tokens,
        adapter_steps=16 * 2_064_384 * 39_000,
        trial_steps=39_000,
        longest_trial_steps=130,
    )
    machine = Machine(1, 989e12, 4.8e12, 100, 10**6)
    phase = training(work, model, machine)
    assert phase.binds == "products"
    assert 440 < phase.seconds < 500


def found(**changes: Any) -> dict[str, Any]:
    work = Work(
        tokens=1000, trial_steps=36, engine_steps=10, slot_steps=40, real_tokens=93, padded_tokens=100,
        longest_trial_steps=1, occupied_seconds=27.0, slot_seconds=30.0,
    )  # fmt: skip
    machine = dataclasses.replace(MACHINE, bandwidth=1e12, flops=155e9, **changes)
    return limit(work, MODEL, machine, 4 * 1000 * 1000 / 155e9 / 0.23)


def test_the_line():
    assert limit_line(found()) == (
        "limit: 23 % of this machine's limit; matrix products bind (155 GFLOP/s measured); "
        "real/padded tokens 0.93; 3.6 of 4 slots occupied on average, 90 % of them until the last trial had "
        "its slot"
    )
    assert "(310 GFLOP/s measured)" in limit_line(found(hosts=2))


def test_the_line_of_a_sweep_without_training_says_nothing_of_slots():
    work = Work(answers=10, prompt_tokens=10, generated_tokens=100, answer_steps=100, longest_answer=10)
    line = limit_line(limit(work, MODEL, MACHINE, 1000.0))
    assert "memory traffic binds (1e+03 B/s measured)" in line
    assert "slots" not in line and "padded" not in line


def test_rates_in_words():
    assert [rate(v, "B/s") for v in (163e9, 4.8e12, 2.5e6, 12.0)] == [
        "163 GB/s", "4.8 TB/s", "2.5 MB/s", "12 B/s",
    ]  # fmt: skip


def test_a_wall_time_of_nothing_is_refused():
    with pytest.raises(ValueError, match="wall_seconds"):
        limit(Work(), MODEL, MACHINE, 0.0)


counts = st.integers(0, 10**9)
works = st.builds(Work, **{field.name: counts for field in dataclasses.fields(Work)})
machines = st.builds(
    Machine,
    st.integers(1, 8),
    st.floats(1e6, 1e15),
    st.floats(1e6, 1e13),
    st.integers(1, 1000),
    st.integers(1, 10**7),
)


@given(works, machines, st.floats(0.1, 1e6))
def test_faster_hardware_never_needs_longer_and_twice_the_wall_halves_the_fraction(work, machine, wall):
    one = limit(work, MODEL, machine, wall)
    assert one["fraction"] == pytest.approx(sum(max(p.values()) for p in one["phases"].values()) / wall)
    assert limit(work, MODEL, machine, 2 * wall)["fraction"] == pytest.approx(one["fraction"] / 2)
    for field, factor in (
        ("flops", 2), ("bandwidth", 2), ("hosts", 2), ("most_slots", 2), ("most_cache_tokens", 2),
    ):  # fmt: skip
        better = dataclasses.replace(machine, **{field: getattr(machine, field) * factor})
        assert limit(work, MODEL, better, wall)["seconds"] <= one["seconds"] * (1 + 1e-9)


@given(works, machines, st.sampled_from([f.name for f in dataclasses.fields(Work)]))
def test_more_work_never_needs_less_time(work, machine, name):
    # more rows of the same tokens are shorter rows, of which more fit into memory
    if name in ("answers", "train_seconds"):
        return
    more = dataclasses.replace(work, **{name: getattr(work, name) + 1000})
    before, after = (limit(w, MODEL, machine, 1.0)["seconds"] for w in (work, more))
    assert after >= before * (1 - 1e-9)


@given(st.lists(works, max_size=4))
def test_work_adds_up_in_any_order(parts):
    dicts = [dataclasses.asdict(part) for part in parts]
    total = Work.total(dicts)
    assert total == Work.total(dicts[::-1])
    assert total.tokens == sum(part.tokens for part in parts)
    assert total.longest_answer == max((part.longest_answer for part in parts), default=0)


def test_unknown_and_absent_counters_do_no_harm():
    assert Work.total([{"tokens": 3, "of_another_version": 5}, {}]) == Work(tokens=3)
