"""Steps of unchanging shape: the same answers, recorded once where that is possible. No GPU takes part."""

import contextlib

import pytest
import torch

from beliefmod.engine import decode_pass, key_value_cache
from beliefmod.engine.jobs import GenerateRequest, Sampling
from beliefmod.engine.step_graph import WARM_UP, StepGraph
from tests.engine.conftest import random_ids
from tests.engine.test_generation_oracle import ADAPTERS, trained_engine


class Recorder:
    """In the place of torch's CUDA graph: replaying does what was recorded."""

    def __init__(self) -> None:
        self.replayed = 0

    def replay(self) -> None:
        self.replayed += 1


@contextlib.contextmanager
def recording(graph: Recorder):
    yield


def test_without_cuda_a_step_is_done_every_time():
    done = []
    graph = StepGraph()
    for _ in range(WARM_UP + 3):
        graph.run(lambda: done.append(1))
    assert len(done) == WARM_UP + 3


@pytest.mark.parametrize("recordable", [True, False])
def test_a_step_is_recorded_once_and_replayed_or_done_as_before(recordable: bool, monkeypatch):
    made: list[Recorder] = []

    def new() -> Recorder:
        made.append(Recorder())
        return made[-1]

    @contextlib.contextmanager
    def refusing(graph: Recorder):
        yield
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", new)
    monkeypatch.setattr(torch.cuda, "graph", recording if recordable else refusing)
    done = []
    graph = StepGraph()
    for _ in range(WARM_UP + 4):
        graph.run(lambda: done.append(1))
    assert len(made) == 1
    assert made[0].replayed == (4 if recordable else 0)
    assert len(done) == (WARM_UP + 1 if recordable else WARM_UP + 1 + 4)


@pytest.mark.parametrize("kind", ["qwen3", "gemma2"])
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(1.0, top_p=0.9)])
def test_steps_of_unchanging_shape_write_the_same(kind: str, sampling: Sampling, monkeypatch):
    """Also when the caches grow under way, in pages of 4 tokens, and rows come and go."""
    monkeypatch.setattr(key_value_cache, "PAGE", 4)
    engine, _ = trained_engine(kind, tuple(range(2, 12)))
    engine.drafts = None
    generator = torch.Generator().manual_seed(3)
    requests = [GenerateRequest(ADAPTERS[n % 4], random_ids(generator, 1 + 3 * n), seed=n) for n in range(9)]
    expected = engine.generate(requests, 20, sampling)
    seen = []
    run = StepGraph.run
    monkeypatch.setattr(decode_pass, "STATIC_ON", ("cpu",))
    monkeypatch.setattr(StepGraph, "run", lambda self, step: seen.append(self) or run(self, step))
    assert engine.generate(requests, 20, sampling) == expected
    assert len(seen) > 10 and 1 < len(set(map(id, seen))) < len(seen)
