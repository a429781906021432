"""Memory that runs out is injected; results must be those of an engine that had enough."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import (
    GREEDY,
    DriftRequest,
    EngineError,
    GenerateRequest,
    NoFreeSlot,
    Sampling,
    ScoreRequest,
)
from beliefmod.engine.memory import OutOfMemory, ran_out, within_memory
from beliefmod.engine.usage import Usage
from tests.engine.conftest import as_loaded, make_job, tiny_model

JOBS = [
    make_job(f"trial-{i}", seed=i, rows=6, num_train_epochs=2 + i, learning_rate=1e-3, max_grad_norm=0.5)
    for i in range(3)
]


class Limits:
    pass_tokens = cache_tokens = 1000

    def __init__(self) -> None:
        self.usage = Usage()


def make_engine(slots: int = 3, **limits: int) -> Engine:
    engine = Engine(as_loaded(tiny_model(dtype=torch.float64)), slots, 4, **limits)
    for job in JOBS[:slots]:
        engine.attach(job)
    return engine


def short_of_memory(engine: Any, most: int | Callable[[int], bool]) -> list[int]:
    """Let passes of more than `most` tokens (or where it says so) fail as a GPU would; the sizes that did."""
    refuses = most if callable(most) else lambda tokens: tokens > most
    model, failed = engine.model, []
    inner = model.logits

    def logits(ids, *rest, **how):
        if refuses(len(ids)):
            failed.append(len(ids))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nMore words.")
        return inner(ids, *rest, **how)

    model.logits = logits
    return failed


def trained(engine: Engine) -> dict[str, list[tuple[int, float]]]:
    """Train to the end; (step, loss) per trial."""
    found: dict[str, list[tuple[int, float]]] = {job.trial_id: [] for job in JOBS}
    while reports := engine.train_step():
        for report in reports:
            assert report.error is None, report.error
            found[report.trial_id].append((report.step, report.loss))
    return found


def assert_same_training(found, expected) -> None:
    for trial_id, steps in expected.items():
        assert [step for step, _ in found[trial_id]] == [step for step, _ in steps], trial_id
        assert [loss for _, loss in found[trial_id]] == pytest.approx([loss for _, loss in steps], rel=1e-6)


def weights(engine: Engine, trial_id: str) -> torch.Tensor:
    pairs = engine.state_dict(trial_id)["weights"].values()
    return torch.cat([tensor.flatten() for pair in pairs for tensor in pair])


def test_a_step_that_does_not_fit_is_repeated_in_smaller_passes():
    plenty, tight = make_engine(), make_engine()
    failed = short_of_memory(tight, 60)
    expected, found = trained(plenty), trained(tight)
    assert failed and min(failed) > 60
    assert_same_training(found, expected)
    for job in JOBS:
        torch.testing.assert_close(
            weights(tight, job.trial_id), weights(plenty, job.trial_id), rtol=1e-6, atol=1e-9
        )
    assert tight.model.pass_tokens <= 60 < plenty.model.pass_tokens
    assert tight.usage.shrinks and all("pass_tokens" in s and "20.00 GiB" in s for s in tight.usage.shrinks)
    # the first halving starts from the work at hand, not from a limit far above it
    assert len(tight.usage.shrinks) <= 5
    assert not plenty.usage.shrinks


def test_repeated_steps_are_counted_once():
    plenty, tight = make_engine(), make_engine()
    short_of_memory(tight, 60)
    trained(plenty), trained(tight)
    for name in ("tokens", "label_tokens", "squares", "adapter_tokens", "trial_steps", "engine_steps"):
        assert getattr(plenty.usage.work, name) == getattr(tight.usage.work, name) > 0, name


def test_at_the_floor_the_youngest_waits_with_its_state_and_comes_back():
    plenty, tight = make_engine(), make_engine()
    expected = trained(plenty)
    found = {job.trial_id: [] for job in JOBS}
    # from the third step on, three adapters in training are one too many, whatever the passes
    short_of_memory(
        tight,
        lambda tokens: tight.usage.work.engine_steps >= 2 and tight.free_slots() == 0 and not tight._closed,
    )
    while reports := tight.train_step():
        assert tight.attached().count("trial-2") == 1
        for report in reports:
            assert report.error is None
            found[report.trial_id].append((report.step, report.loss))
        done = [r.trial_id for r in reports if r.finished]
        if "trial-0" in done:
            # it waits at its step 2 while the others went on
            assert [step for step, _ in found["trial-2"]] == [1, 2]
            assert tight.state_dict("trial-2")["step"] == 2
            assert not tight.has_room(JOBS[0].config)
            tight.release("trial-0")
            assert not tight.has_room(JOBS[0].config)  # the free slot is promised
    assert_same_training(found, expected)
    torch.testing.assert_close(weights(tight, "trial-2"), weights(plenty, "trial-2"), rtol=1e-6, atol=1e-9)
    assert "trial trial-2 waits with its state at step 2; 2 of 3 slots stay open" in "".join(
        tight.usage.shrinks
    )
    assert tight.free_slots() == 0 and len(tight.attached()) == 2


def test_a_trial_that_waits_can_be_released():
    engine = make_engine()
    short_of_memory(engine, lambda tokens: not engine._closed)
    engine.train_step()
    assert set(engine.attached()) == {"trial-0", "trial-1", "trial-2"}
    engine.release("trial-2")
    assert set(engine.attached()) == {"trial-0", "trial-1"}
    while engine.train_step():
        pass


def test_a_trial_that_does_not_fit_even_alone_fails_and_the_next_one_trains():
    engine = make_engine(slots=2)
    passes = iter([True] * 100)
    short_of_memory(engine, lambda tokens: next(passes) and "trial-0" in engine.attached())
    [report] = engine.train_step()
    assert report.trial_id == "trial-0" and report.finished
    assert report.error.startswith("out of memory with one row of ")
    engine.release("trial-0")
    steps = [r for _ in range(20) for r in engine.train_step()]
    assert {r.trial_id for r in steps} == {"trial-1"} and steps[-1].finished and not steps[-1].error
    plenty = make_engine(slots=2)
    trained(plenty)
    torch.testing.assert_close(weights(engine, "trial-1"), weights(plenty, "trial-1"), rtol=1e-6, atol=1e-9)


def test_no_memory_for_moments_leaves_the_trial_to_be_attached_later(monkeypatch):
    engine = make_engine(slots=2)
    engine.release("trial-1")

    def no_room(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with monkeypatch.context() as patched:
        patched.setattr("beliefmod.engine.engine.SlotOptimizer", no_room)
        with pytest.raises(NoFreeSlot, match="no memory for its moments; 1 of 2 slots stay open"):
            engine.attach(JOBS[1])
    assert engine.attached() == ("trial-0",)
    assert engine.free_slots() == 0
    while engine.train_step():
        pass
    engine.release("trial-0")
    assert engine.free_slots() == 1
    engine.attach(JOBS[1])
    while reports := engine.train_step():
        assert reports[0].error is None


def test_a_trial_that_can_never_come_back_is_reported_as_failed(monkeypatch):
    engine = make_engine(slots=2)
    short_of_memory(engine, lambda tokens: not engine._closed)
    engine.train_step()
    assert "trial-1" in engine._preempted

    def no_room(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    while engine.train_step():
        pass
    engine.release("trial-0")
    monkeypatch.setattr("beliefmod.engine.engine.SlotOptimizer", no_room)
    [report] = engine.train_step()
    assert (report.trial_id, report.step, report.finished) == ("trial-1", 0, True)
    assert report.error == (
        "out of memory: trial trial-1 found no memory for its moments, in the last slot that is open"
    )
    assert engine.attached() == () and engine.train_step() == []


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(0.8), Sampling(0.8, 20, 0.9, 0.01)])
def test_answers_are_the_same_in_smaller_batches(sampling):
    plenty, tight = make_engine(), make_engine()
    requests = [
        GenerateRequest(a, tuple(range(5, 5 + n)), seed=n)
        for n, a in enumerate([None, "trial-0", "trial-1"] * 4, 3)
    ]
    failed = short_of_memory(tight, 40)
    expected = plenty.generate(requests, 12, sampling)
    assert tight.generate(requests, 12, sampling) == expected
    assert failed and tight.model.cache_tokens < plenty.model.cache_tokens
    assert any("cache_tokens" in sentence for sentence in tight.usage.shrinks)
    assert tight.usage.work.generated_tokens == sum(len(c.token_ids) for c in expected)
    assert tight.usage.work.answers == 12
    # the first token comes with the prompt; every later one of the longest answer is a step
    assert plenty.usage.work.decode_steps == max(len(c.token_ids) for c in expected) - 1
    assert tight.usage.work.decode_steps > plenty.usage.work.decode_steps


def test_scores_and_drift_are_the_same_in_smaller_passes():
    plenty, tight = make_engine(), make_engine()
    for engine in (plenty, tight):
        engine.train_step()
    scores = [
        ScoreRequest(a, (5, 6, 7, 8), tuple(range(9, 9 + n))) for n, a in enumerate([None, "trial-0"] * 4, 2)
    ]
    drifts = [DriftRequest(r.adapter, r.input_ids, r.continuation_ids) for r in scores]
    short_of_memory(tight, 20)
    assert tight.score(scores) == pytest.approx(plenty.score(scores), rel=1e-9)
    for mine, theirs in zip(tight.drift(drifts), plenty.drift(drifts), strict=True):
        assert (mine.kl, mine.nll) == pytest.approx((theirs.kl, theirs.nll), rel=1e-9, abs=1e-12)
        assert mine.tokens == theirs.tokens
    assert tight.model.pass_tokens <= 20
    # an untrained arm stays exactly at base
    assert [d.kl for d, r in zip(tight.drift(drifts), drifts, strict=True) if r.adapter is None] == [0.0] * 4


def test_an_answer_that_does_not_fit_by_itself_is_an_error_of_that_call():
    engine = make_engine()
    short_of_memory(engine, 5)
    with pytest.raises(OutOfMemory, match="one row of 16 tokens at a time: CUDA out of memory"):
        engine.generate([GenerateRequest(None, tuple(range(5, 15)))] * 3, 6)
    assert isinstance(OutOfMemory("x"), EngineError)


def test_full_fine_tuning_halves_its_passes_too():
    from beliefmod.config import TrialConfig

    def train(most: int | None) -> tuple[list[float], list[str]]:
        engine = Engine(as_loaded(tiny_model(dtype=torch.float64)), 1, 4)
        job = make_job("full", seed=1, rows=6, num_train_epochs=2, learning_rate=1e-3)
        config = TrialConfig.model_validate({**job.config.model_dump(), "arm": "full"})
        engine.attach(type(job)("full", config, job.rows))
        if most:
            short_of_memory(engine._full["full"], most)
        losses = []
        while reports := engine.train_step():
            losses.append(reports[0].loss)
            if reports[0].error:
                return losses, [reports[0].error]
        return losses, engine.usage.shrinks

    losses, shrinks = train(None)
    smaller, told = train(40)
    assert smaller == pytest.approx(losses, rel=1e-9) and told and not shrinks
    assert train(3)[1][0].startswith("out of memory in full fine-tuning")


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (torch.OutOfMemoryError("in other words"), True),
        (MemoryError(), True),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: 9 bytes"
            ),
            True,
        ),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("shapes do not fit"), False),
        (ValueError("CUDA out of memory."), False),
    ],
)
def test_what_counts_as_out_of_memory(error, is_memory):
    assert ran_out(error) is is_memory


def test_a_real_allocation_that_fails_counts():
    with pytest.raises(Exception) as failure:
        torch.empty(2**60, dtype=torch.uint8)
    assert ran_out(failure.value)


def test_another_error_passes_through_and_changes_nothing():
    limits = Limits()

    def fails():
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        within_memory(limits, "pass_tokens", [5], fails)
    assert limits.pass_tokens == 1000 and not limits.usage.shrinks


@given(
    lengths=st.lists(st.integers(1, 200), min_size=1, max_size=20),
    fits=st.integers(1, 4000),
    start=st.integers(1, 5000),
)
@patch("beliefmod.engine.memory.clear_device_cache")  # collecting garbage takes longer than all the rest
def test_the_limit_is_halved_until_it_fits_or_one_row_is_too_much(_, lengths, fits, start):
    limits, tried = Limits(), []
    limits.pass_tokens = start

    def attempt():
        piece = max(
            max(lengths), min(limits.pass_tokens, sum(lengths))
        )  # what a cut to whole rows takes at least
        tried.append(piece)
        if piece > fits:
            raise torch.OutOfMemoryError("out of memory")
        return "done"

    if max(lengths) > fits:
        with pytest.raises(OutOfMemory):
            within_memory(limits, "pass_tokens", lengths, attempt)
    else:
        assert within_memory(limits, "pass_tokens", lengths, attempt) == "done"
        assert limits.pass_tokens <= max(fits, start)
    assert len(tried) <= 2 + sum(lengths).bit_length()
    assert tried == sorted(tried, reverse=True)
    assert len(limits.usage.shrinks) == len(tried) - 1
