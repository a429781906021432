"""Sampling against transformers' own warpers, and against itself in other batches."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from beliefmod.engine import sampling as module
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import GREEDY, GenerateRequest, Sampling
from beliefmod.engine.sampling import draw
from tests.engine.conftest import as_loaded, tiny_model

VOCAB = 60
POINTS = 1000
ways = st.builds(
    Sampling,
    temperature=st.floats(0.1, 2.0),
    top_k=st.integers(0, VOCAB + 10),
    top_p=st.floats(0.0, 1.0),
    min_p=st.floats(0.0, 1.0),
)


def warped(logits: torch.Tensor, how: Sampling) -> torch.Tensor:
    """The oracle: what `generate` would sample from, put together as its `_get_logits_processor` does."""
    warpers = LogitsProcessorList([TemperatureLogitsWarper(how.temperature)])
    if how.top_k:
        warpers.append(TopKLogitsWarper(how.top_k))
    if how.top_p < 1:
        warpers.append(TopPLogitsWarper(how.top_p))
    warpers.append(MinPLogitsWarper(how.min_p))
    ids = torch.zeros(len(logits), 1, dtype=torch.long)
    return warpers(ids, logits.double()).softmax(-1)  # pyright: ignore[reportArgumentType]


def seen(logits: torch.Tensor, how: Sampling) -> torch.Tensor:
    """The probabilities that `draw` draws from, measured: the share of evenly spaced numbers per token."""
    points = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
    rows = [draw(row.expand(len(points), -1), how, points) for row in logits]
    return torch.stack([torch.bincount(row, minlength=logits.shape[1]) for row in rows]) / len(points)


@settings(max_examples=30, deadline=None)
@given(how=ways, seed=st.integers(0, 10_000))
def test_the_distribution_is_that_of_transformers(how, seed):
    logits = torch.randn(2, VOCAB, generator=torch.Generator().manual_seed(seed)) * 3
    # every token's share is off by at most one point at each end
    assert (seen(logits, how) - warped(logits, how)).abs().max() <= 2 / POINTS + 1e-9


@settings(max_examples=30, deadline=None)
@given(how=ways, seed=st.integers(0, 10_000))
def test_equal_logits_are_kept_or_left_out_in_the_same_number(how, seed):
    """Which of several equal tokens top_p leaves out is not defined (sorts differ); top_k keeps them all."""
    logits = torch.randn(2, VOCAB, generator=torch.Generator().manual_seed(seed)).mul(2).round()
    mine, theirs = seen(logits, how).sort(-1).values, warped(logits, how).sort(-1).values
    assert (mine - theirs).abs().max() <= 2 / POINTS + 1e-9


@settings(max_examples=30, deadline=None)
@given(how=ways, seed=st.integers(0, 10_000), rounded=st.booleans())
def test_a_row_does_not_see_its_neighbours(how, seed, rounded):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(7, VOCAB, generator=generator) * torch.rand(7, 1, generator=generator) * 8
    logits = logits.round() if rounded else logits
    numbers = torch.rand(7, generator=generator, dtype=torch.float64)
    alone = [int(draw(logits[i : i + 1], how, numbers[i : i + 1])) for i in range(7)]
    assert draw(logits, how, numbers).tolist() == alone
    back = torch.arange(6, -1, -1)
    assert draw(logits[back], how, numbers[back]).tolist() == alone[::-1]


def test_many_rows_are_drawn_in_parts(monkeypatch):
    logits, numbers = torch.randn(9, VOCAB), torch.rand(9, dtype=torch.float64)
    how = Sampling(0.7, 20, 0.9, 0.01)
    whole = draw(logits, how, numbers)
    monkeypatch.setattr(module, "_AT_A_TIME", 2 * VOCAB)
    assert torch.equal(draw(logits, how, numbers), whole)


def test_a_broken_adapters_logits_give_some_token():
    logits = torch.full((1, VOCAB), torch.nan)
    for how in (Sampling(1.0), Sampling(0.6, 20, 0.95, 0.1)):
        assert 0 <= int(draw(logits, how, torch.tensor([0.5], dtype=torch.float64))) < VOCAB


def test_the_engine_samples_so():
    engine = Engine(as_loaded(tiny_model(), eos_ids=()), 1, 4)
    requests = [GenerateRequest(None, (5, 6, 7 + k), seed=k) for k in range(4)]
    greedy = engine.generate(requests, 8)
    # whatever leaves only the likeliest token is greedy, at any temperature
    for how in (Sampling(1.5, top_k=1), Sampling(1.5, top_p=0.0), Sampling(1.5, min_p=1.0)):
        assert engine.generate(requests, 8, how) == greedy
    assert engine.generate(requests, 8, Sampling(1.5)) != greedy
    allowed = tiny_model()(torch.tensor([[5, 6, 7]])).logits[0, -1].topk(3).indices.tolist()
    first = engine.generate(
        [GenerateRequest(None, (5, 6, 7), seed=k) for k in range(60)], 1, Sampling(2.0, 3)
    )
    assert {one.token_ids[0] for one in first} == set(allowed)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (Sampling(-1.0), "temperature must be a number from 0 on, not -1.0"),
        (Sampling(float("nan")), "temperature"),
        (Sampling(1.0, top_k=-1), "top_k must be a whole number from 0 on"),
        (Sampling(1.0, top_k=True), "top_k"),
        (Sampling(1.0, top_p=1.5), "top_p must be a number from 0 to 1"),
        (Sampling(1.0, min_p="0.1"), "min_p must be a number from 0 to 1, not '0.1'"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_what_is_out_of_range_is_named(how, says):
    [problem] = how.problems()
    assert says in problem
    assert GREEDY.problems() == [] and GREEDY.greedy
