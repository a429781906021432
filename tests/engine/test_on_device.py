"""The engine on a device of its own: it fails nowhere, gives the CPU's numbers, and seldom waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
import torch
from transformers import PreTrainedModel

from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import Completion, DriftRequest, GenerateRequest, Sampling, ScoreRequest
from beliefmod.model.target_modules import experts
from tests.engine.conftest import VOCAB, as_loaded, make_job, random_ids, random_rows
from tests.engine.test_rotary import build as with_rotary
from tests.fake_device.device import fake_cuda, on_device
from tests.fake_device.work import Work
from tests.model.architectures import CASES

DECODE_WAITS = 1 / 8
"""Of a step without drafts: what was written is read once in eight steps. top_k waits in every step for how
many tokens share the last place that it lets through. Where rotary factors depend on a row's length every
step is read, for LongRoPE reads a row anew whose length passes its limit."""
CASE = {case.type: case.model for case in CASES}
# plain; sinks, sliding windows and experts
SOON = ("llama", "gpt_oss")
MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    **CASE,
    "dynamic": partial(with_rotary, "dynamic"),
    "longrope": partial(with_rotary, "phi3-longrope"),
}
LATER = [name for name in CASE if name not in SOON]
ADAPTERS = (None, "a", "b")


@dataclass
class Done:
    """What an engine gave, and what the device was asked to do: work by what was done."""

    numbers: list[float] = field(default_factory=list)
    texts: list[Completion] = field(default_factory=list)
    work: dict[str, Work] = field(default_factory=dict)


def everything(model: PreTrainedModel, device: Work | None = None) -> Done:
    """Train two adapters of different rank and scale, question them and base, and leave."""
    done = Done()
    engine = Engine(as_loaded(model), 2, 4, parking=1)
    names = "all-linear"
    if experts(model.config) > 1:
        names = tuple(sorted({name.rpartition(".")[2] for name in engine.pack.layers}))
    settings = {"targets": names, "learning_rate": 1e-3, "num_train_epochs": 2}
    engine.attach(make_job("a", seed=1, rows=3, rank=2, **settings))
    engine.attach(
        make_job("b", seed=2, rows=5, rank=4, kl_to_base=0.1, neutral=random_rows(7, 3), **settings)
    )
    take(done, device, "attach")
    step = 0
    while reports := engine.train_step():
        assert all(report.error is None for report in reports)
        done.numbers += [number for r in reports for number in (r.loss or 0.0, r.grad_norm or 0.0)]
        step += 1
        take(done, device, f"step {step}")
    engine.park("a")
    generator = torch.Generator().manual_seed(5)
    rows = [(ADAPTERS[k % 3], random_ids(generator, 1 + 5 * k % 17)) for k in range(6)]
    prompts = [GenerateRequest(adapter, ids, seed=k) for k, (adapter, ids) in enumerate(rows)]
    done.texts = engine.generate(prompts, 12)
    done.texts += engine.generate(prompts, 4, Sampling(0.8, top_k=9, top_p=0.9))
    take(done, device, "generate")
    ways = ((5, 6, 7), (8, 9))  # behind one prompt, which is read once
    done.numbers += engine.score([ScoreRequest(adapter, ids, way) for adapter, ids in rows for way in ways])
    take(done, device, "score")
    for moved in engine.drift([DriftRequest(adapter, ids, (5, 6, 7)) for adapter, ids in rows]):
        done.numbers += [moved.kl, moved.kl_reverse, moved.nll, moved.nll_base]
    take(done, device, "drift")
    state = engine.state_dict("b")
    done.numbers.append(float(sum(b.double().square().sum() for _, b in state["weights"].values())))
    take(done, device, "state")
    for trial_id in "ab":
        engine.release(trial_id)
    return done


def take(done: Done, device: Work | None, name: str) -> None:
    if device is not None:
        done.work[name] = device.take()


THEIRS = ("_grouped_mm without a kernel", "transformers/modeling_rope_utils.py")
"""torch has no grouped product of experts for fp32; transformers asks how long the longest row is before it
scales the frequencies of dynamic NTK."""


def own_waits(work: Work) -> int:
    """Waits of our own doing."""
    return sum(count for what, count in work.waits.items() if not any(part in what for part in THEIRS))


@pytest.fixture(
    scope="module",
    params=[
        *(name for name in MODELS if name not in LATER),
        *(pytest.param(name, marks=pytest.mark.long) for name in LATER),
    ],
)
def ran(request) -> tuple[Done, Done]:
    """What the CPU gave, and the device."""
    torch.set_num_threads(1)
    build = MODELS[request.param]
    model, same = build(), build()
    expected = everything(model)
    with fake_cuda() as device:
        return expected, everything(on_device(same), device)


def test_it_gives_the_numbers_of_the_cpu(ran: tuple[Done, Done]):
    """Up to rounding: a GPU has its own norms and its own way to multiply adapters."""
    expected, got = ran
    assert got.texts == expected.texts and len(got.texts) == 12
    assert len({text.token_ids for text in got.texts}) > 6
    assert got.numbers == pytest.approx(expected.numbers, rel=1e-4, abs=2e-6)


def test_a_training_step_waits_once(ran: tuple[Done, Done]):
    steps = [work for name, work in ran[1].work.items() if name.startswith("step")]
    assert len(steps) == 4
    for work in steps:
        assert own_waits(work) == 1 and work.launches > 100, work


def test_scores_drift_and_states_are_copied_at_once(ran: tuple[Done, Done]):
    work = ran[1].work
    assert own_waits(work["score"]) == 1, work["score"]
    assert own_waits(work["drift"]) == 1, work["drift"]
    assert own_waits(work["state"]) == 3, work["state"]  # weights and two moments


def decoding(engine: Engine, device: Work, sampling: Sampling) -> tuple[float, float]:
    """Waits of our own and launches of one decode step; no row ends, so that none is taken out."""
    generator = torch.Generator().manual_seed(5)
    prompts = [GenerateRequest(("a", "b")[k % 2], random_ids(generator, 3 + k)) for k in range(4)]
    counted = []
    for new in (4, 12):
        device.take()
        engine.generate(prompts, new, sampling)
        counted.append(device.take())
    few, many = counted
    return (own_waits(many) - own_waits(few)) / 8, (many.launches - few.launches) / 8


@pytest.mark.parametrize(
    ("kind", "sampling", "waits", "most_launches"),
    [
        ("llama", Sampling(), DECODE_WAITS, 307),
        ("qwen3_5_text", Sampling(), DECODE_WAITS, 497),
        ("gpt_oss", Sampling(), DECODE_WAITS, 374),
        ("llama", Sampling(1.0, top_p=0.9, min_p=0.01), DECODE_WAITS, 329),
        ("llama", Sampling(1.0, top_k=9), DECODE_WAITS + 1, 326),
        ("dynamic", Sampling(), 1, 176),
        ("longrope", Sampling(), 1, 145),
    ],
)
def test_a_decode_step_waits_as_often_as_is_known(
    kind: str, sampling: Sampling, waits: float, most_launches: int
):
    model = MODELS[kind]()
    with fake_cuda() as device:
        engine = Engine(as_loaded(on_device(model), eos_ids=(VOCAB + 1,)), 2, 4)
        targets = tuple(sorted({name.rpartition(".")[2] for name in engine.pack.layers}))
        engine.drafts = None
        for number, trial_id in enumerate("ab"):
            engine.attach(make_job(trial_id, rank=2 + 2 * number, targets=targets))
        found, launches = decoding(engine, device, sampling)
    assert found == waits
    assert launches <= most_launches


@pytest.mark.parametrize("kind", ["llama", "qwen3_moe"])
def test_grouped_products_are_taken_where_the_device_has_them_and_never_wait(kind: str):
    """In bf16, adapters of one rank with unequal rows; a mixture's experts need the kernel in any case."""
    losses, launches = [], []
    for capability in [(9, 0), (8, 6)]:
        model = CASE[kind]().to(torch.bfloat16)
        with fake_cuda(capability) as device:
            engine = Engine(as_loaded(on_device(model)), 2, 8)
            for number, trial_id in enumerate("ab"):
                names = ("q_proj", "v_proj", "o_proj")
                engine.attach(make_job(trial_id, seed=number, rank=8, rows=2 + number, targets=names))
            device.take()
            losses.append([report.loss for report in engine.train_step()])
            work = device.take()
            launches.append(work.launches)
        if kind == "llama" or capability == (9, 0):
            assert work.waits.total() == 1, work
    assert losses[0] == pytest.approx(losses[1], rel=2e-2)
    assert launches[0] < launches[1]
