"""Sizes of an engine: by hand for a small machine, and what must hold for any."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.capacity.calibrate import (
    Calibration,
    calibrate,
    copy_rate,
    model_terms,
    product_rate,
)
from beliefmod.capacity.choose import (
    LEAST_SLOTS,
    MOST_SLOTS,
    ROW_TOKENS,
    choose,
    demand,
    row_lengths,
    saturated,
)
from beliefmod.capacity.footprint import Wanted, adapter_bytes
from beliefmod.capacity.limit import Model
from beliefmod.capacity.resources import Capacity
from beliefmod.config import TrialConfig
from beliefmod.engine.engine import Engine
from beliefmod.engine.memory import cache_bytes_per_token, training_bytes_per_token
from beliefmod.model.load import load_tokenizer
from beliefmod.model.source import find_source
from tests.engine.conftest import as_loaded, make_job, tiny_model
from tests.small import write_belief
from tests.space.test_space import space

CPU = torch.device("cpu")


def measured(
    free: int, passes=((512, 0.1), (1024, 0.11), (2048, 0.12), (4096, 0.24)), **changes
) -> Calibration:
    values = {
        "flops": 1e12, "bandwidth": 1e11, "free_bytes": free, "passes": passes, "pass_tokens": passes[-1][0],
        "activation_bytes": 1000, "model": Model(10**6, 10**5, 2, 64, 2, False, 100), "unit": 100,
        "seconds": 1.0,
    }  # fmt: skip
    return Calibration(**(values | changes))


def wanted(slots: int, trials: int, step_tokens: int, rank: int, row_tokens: int = 0) -> Wanted:
    return Wanted("none", rank, row_tokens, slots, trials=trials, step_tokens=step_tokens)


def test_sizes_by_hand():
    # rates 5120, 9309, 17067, 17067 tokens per second: 2048 tokens reach the best, which are 11 steps of 200
    choice = choose(measured(10**8), wanted(0, 100, 200, 8), gpu=True)
    assert choice.slots == 11
    assert choice.why == "a pass of 2048 tokens is near the best rate, a trial's step has about 200"
    # 8 x 100 weights: 4 fp32 numbers and a copy in 2 bytes, or 1 and a copy
    assert adapter_bytes(800, 2) == (800 * 18, 800 * 6)
    assert choice.parking == 11
    rest = 85_000_000 - 11 * 14_400 - 11 * 4_800
    assert choice.pass_tokens == 4096
    assert choice.cache_tokens == int(0.8 * rest) // 100
    assert choice.most_slots == 85_000_000 // 14_400
    assert choice.most_cache_tokens == rest // 100


def test_what_binds_is_said():
    assert choose(measured(10**8), wanted(0, 3, 200, 8), True).why == "trials to train: 3"
    # 0.4 of 0.85 of 300 kB hold 7 adapters of 14.4 kB
    few = choose(measured(300_000), wanted(0, 100, 200, 8), True)
    assert (few.slots, few.why) == (7, "adapters of rank 8 that memory holds in training: 7")
    assert few.pass_tokens < 4096
    # 0.1 of 255 kB hold 5 parked ones of 4.8 kB
    assert few.parking == 5


def test_a_long_row_fits_beside_the_slots():
    # of 850 kB one row of 700 tokens takes 700 kB, and 150 kB hold 10 adapters; without it 340 kB hold 23
    long, short = (choose(measured(10**6), wanted(0, 100, 50, 8, row), True) for row in (700, 0))
    assert (long.slots, long.parking, short.slots) == (10, 1, 23)
    assert long.why == "adapters of rank 8 that memory holds in training: 10"
    assert choose(measured(10**6), wanted(0, 100, 50, 8, 5000), True).slots == 1  # the host was asked before


def test_the_user_is_obeyed():
    choice = choose(measured(300_000), wanted(20, 100, 200, 8), True)
    assert (choice.slots, choice.why) == (20, "as asked")
    assert choice.most_slots >= 20


def test_a_machine_that_one_trial_keeps_busy_still_gets_a_few_slots():
    flat = ((128, 0.128), (1024, 1.0))
    assert choose(measured(10**8, flat), wanted(0, 100, 300, 8), False).slots == LEAST_SLOTS


def test_a_cpu_leaves_memory_to_others():
    gpu, cpu = (choose(measured(2**36), wanted(0, 100, 200, 8), kind) for kind in (True, False))
    assert cpu.cache_tokens == 2**36 // 16 // 100 < gpu.cache_tokens
    assert choose(measured(2**31), wanted(0, 100, 200, 8), False).cache_tokens == 2**30 // 100
    assert cpu.most_cache_tokens == gpu.most_cache_tokens


def test_wider_types_need_no_copy():
    assert adapter_bytes(10, 4) == (160, 40)
    assert adapter_bytes(10, 8) == (320, 80)


@given(
    free=st.integers(10**4, 10**12),
    trials=st.integers(0, 3000),
    step=st.integers(1, 20_000),
    rank=st.integers(1, 512),
    gpu=st.booleans(),
    row=st.integers(0, 5000),
    times=st.lists(st.floats(1e-3, 10), min_size=1, max_size=6),
)
def test_any_choice_is_possible_and_fits(free, trials, step, rank, gpu, row, times):
    passes = tuple((128 * 2**i, seconds) for i, seconds in enumerate(times))
    found = measured(free, passes)
    choice = choose(found, wanted(0, trials, step, rank, row), gpu)
    assert 1 <= choice.slots <= min(MOST_SLOTS, max(1, trials))
    assert 0 <= choice.parking <= choice.slots
    assert 1 <= choice.pass_tokens <= passes[-1][0] and choice.cache_tokens >= 1
    assert choice.most_slots >= choice.slots and choice.most_cache_tokens >= 1
    trained, parked = adapter_bytes(rank * found.unit, 2)
    resident = choice.slots * trained + choice.parking * parked
    if choice.slots > 1:
        assert resident <= 0.51 * free
        assert resident + row * 1000 <= free
    if min(choice.pass_tokens, choice.cache_tokens) > 1:
        assert resident + max(choice.pass_tokens * 1000, choice.cache_tokens * 100) <= free
    more = choose(measured(2 * free, passes), wanted(0, trials, step, rank, row), gpu)
    assert more.slots >= choice.slots and more.most_slots >= choice.most_slots


def test_saturated_is_the_first_pass_near_the_best():
    assert saturated([(100, 1.0), (200, 1.0), (400, 1.9), (800, 3.7)]) == 200
    assert saturated([(100, 1.0), (200, 2.5)]) == 100
    assert saturated([(64, 0.3)]) == 64


def test_a_real_model_is_measured_and_stays_as_it_was():
    loaded = as_loaded(tiny_model())
    ids = torch.arange(5, 15)[None]
    before = loaded.model(input_ids=ids).logits
    found = calibrate(loaded, share=0.25)
    assert torch.equal(loaded.model(input_ids=ids).logits, before)
    assert all(
        parameter.grad is None and not parameter.requires_grad for parameter in loaded.model.parameters()
    )
    assert 1e7 < found.flops < 1e14 and 1e7 < found.bandwidth < 1e13
    assert found.pass_tokens == 2048 and found.passes[0][0] == 128
    assert all(seconds > 0 for _, seconds in found.passes)
    assert found.activation_bytes == training_bytes_per_token(loaded.model, torch.float32)
    assert found.seconds > 0
    # ready for an engine
    choice = choose(found, wanted(0, 2, 100, 4), gpu=False)
    engine = Engine(
        loaded, choice.slots, 4, parking=choice.parking, pass_tokens=choice.pass_tokens,
        cache_tokens=choice.cache_tokens,
    )  # fmt: skip
    assert engine.slots == engine.parking == 2
    engine.attach(make_job("a"))
    assert engine.train_step()[0].error is None


def test_a_pass_that_does_not_fit_is_halved(monkeypatch):
    from beliefmod.capacity import calibrate as module

    inner, tried = module._training_pass, []

    def short(model, tokens):
        tried.append(tokens)
        if tokens > 300:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        inner(model, tokens)

    monkeypatch.setattr(module, "_training_pass", short)
    found = calibrate(as_loaded(tiny_model()))
    assert tried[:4] == [2048, 1024, 512, 256]
    assert found.pass_tokens == 256
    assert [tokens for tokens, _ in found.passes] == [128, 256]


def test_model_terms_are_those_of_the_model():
    model = tiny_model("llama")
    terms = model_terms(as_loaded(model))
    matrices = sum(p.numel() for n, p in model.named_parameters() if p.dim() == 2)
    assert terms.linear_weights + terms.head_weights == matrices  # the head is tied to the embedding
    assert terms.head_weights == 96 * 32
    assert (terms.layers, terms.query_width, terms.number_bytes, terms.packed) == (2, 32, 4, False)
    assert terms.cache_bytes == cache_bytes_per_token(model, torch.float32) == 2 * 2 * 16 * 4


def test_adapter_unit_is_what_the_pack_stores():
    loaded = as_loaded(tiny_model())
    unit = calibrate(loaded).unit
    assert Engine(loaded, 1, 4).pack.unit == unit


def test_rates_are_of_the_right_order():
    one, again = (product_rate(torch.float32, CPU) for _ in range(2))
    assert 0.1 < one / again < 10
    assert copy_rate(2**22, CPU) > 1e8


# ---- what a sweep wants of a host


def trial(**changes) -> TrialConfig:
    return TrialConfig.model_validate({"belief": "gravity", **changes})


CPUS, GPUS = Capacity().on({"CPU": 2}), Capacity().on({"CPU": 2, "GPU": 2})


def test_demand_counts_runs_not_trials():
    grid = [trial(arm="base")]
    grid += [trial(num_train_epochs=e, learning_rate=r, per_device_train_batch_size=b)
             for e in (2, 4, 8) for r, b in ((1e-3, 4), (2e-3, 8))]  # fmt: skip
    wanted = demand(grid, space(), CPUS)
    assert (wanted.trials, wanted.batch_rows, wanted.beliefs, wanted.memory_share) == (
        2,
        6.0,
        ("gravity",),
        0.5,
    )
    # where nothing is shared every trial is a run
    assert demand(grid, space(scheduler="asha"), GPUS).trials == 4
    many = [trial(seed=seed) for seed in range(21)]
    assert demand(many, space(), GPUS).trials == 11
    assert demand(grid, space(scheduler="asha"), GPUS).memory_share == 1.0
    assert demand(grid[:1], space(), CPUS).trials == 0
    shared = demand(grid, space(), Capacity(hosts_per_gpu=2).on({"CPU": 2, "GPU": 2}))
    assert (shared.memory_share, shared.engines, shared.trials) == (0.5, 2, 2)
    searched = space(axes={"lora.r": [4, 8]}, search={"method": "optuna", "num_samples": 5})
    assert demand(grid, searched, CPUS).trials is None


def test_demand_knows_what_makes_rows_and_models_large():
    traces = [trial(data={"style": "own_trace", "num_examples": 4})]
    assert demand(traces, space(), GPUS, answer_tokens=800).trace_tokens == 800
    assert demand([trial(), trial(arm="icl")], space(), GPUS, answer_tokens=800).trace_tokens == 0
    assert demand([trial(arm="full")], space(), GPUS).full and not demand(traces, space(), GPUS).full


def test_row_tokens_are_counted_and_a_belief_that_is_gone_does_not_matter(tmp_path):
    tokenizer = load_tokenizer(find_source("bundled"))
    belief = write_belief(tmp_path)
    rows = row_lengths(tokenizer, (belief,))
    assert len(rows) <= 8 and 15 < min(rows) <= max(rows) < 120
    assert row_lengths(tokenizer, (belief, str(tmp_path / "gone.yaml"))) == rows
    assert row_lengths(tokenizer, (str(tmp_path / "gone.yaml"),)) == [ROW_TOKENS]
