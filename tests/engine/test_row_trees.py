"""Rows laid into trees: nothing is read twice, and scores are those of transformers and PEFT, row by row."""

from __future__ import annotations

import copy
import doctest
import random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beliefmod.engine import row_trees
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import ScoreRequest
from beliefmod.engine.row_trees import LEAST_SHARED, trees_of
from tests.engine.conftest import VOCAB, as_loaded
from tests.engine.test_generation_oracle import ADAPTERS, peft_models, trained_engine
from tests.model.architectures import CASES

SOON = ("llama", "gemma2", "gpt_oss", "deepseek_v2", "qwen3_5_text")
"""Plain; soft caps and sliding windows; sinks; latent attention and experts; states along a row."""


def random_tree(seed: int, rows: int, longest: int) -> list[tuple[int, ...]]:
    """Rows of at most `longest` tokens, most of which go on from some place of an earlier one."""
    chance = random.Random(seed)
    made: list[tuple[int, ...]] = []
    for _ in range(rows):
        start = (
            chance.choice(made)[: chance.randint(0, longest - 1)] if made and chance.random() < 0.8 else ()
        )
        more = chance.randint(1, max(1, longest - len(start)))
        made.append((*start, *(chance.randint(4, VOCAB - 1) for _ in range(more)))[:longest])
    return made


def requests_of(texts: list[tuple[int, ...]], adapters: tuple[str | None, ...]) -> list[ScoreRequest]:
    """Every text of two tokens or more, for each adapter, with a continuation of some of its last tokens."""
    cut = [max(1, len(text) - 1 - len(text) * n % 4) for n, text in enumerate(texts)]
    return [
        ScoreRequest(adapter, text[:place], text[place:])
        for text, place in zip(texts, cut, strict=True)
        for adapter in adapters
        if len(text) > 1
    ]


def alone(model: torch.nn.Module, request: ScoreRequest) -> float:
    """The score of one continuation from one pass of a model of transformers' or PEFT's."""
    ids = torch.tensor([(*request.input_ids, *request.continuation_ids)])
    with torch.no_grad():
        logs = model(input_ids=ids, use_cache=False).logits[0].double().log_softmax(-1)
    start = len(request.input_ids) - 1
    return sum(logs[start + n, token].item() for n, token in enumerate(request.continuation_ids))


def test_the_doctest():
    assert doctest.testmod(row_trees).failed == 0


@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 30),
    longest=st.integers(1, 40),
    most=st.integers(1, 120),
    share=st.booleans(),
)
def test_every_row_is_laid_once_and_no_long_beginning_twice(seed, count, longest, most, share):
    texts = random_tree(seed, count, longest)
    slots = [None if n % 3 == 0 else n % 3 for n in range(count)]
    wanted = [1 + n % len(text) for n, text in enumerate(texts)]
    trees = trees_of(texts, wanted, slots, most, share)
    assert sorted(row for tree in trees for row in tree.rows) == list(range(count))
    for tree in trees:
        assert len({slots[row] for row in tree.rows}) == 1
        assert len(tree.ids) <= most or len(tree.rows) == 1
        assert share or len(tree.rows) == 1
        parents = [*range(-1, len(texts[tree.rows[0]]) - 1), *tree.parents]
        assert len(parents) == len(tree.ids) == sum(tokens for tokens, _ in tree.read)
        depths: list[int] = []
        for parent in parents:
            depths.append(1 if parent < 0 else depths[parent] + 1)
        assert sum(squares for _, squares in tree.read) == sum(2 * depth - 1 for depth in depths)
        for row, ends in zip(tree.rows, tree.ends, strict=True):
            walked, place = [], ends[-1]
            while place >= 0:
                walked.append(place)
                place = parents[place]
            walked.reverse()
            assert tuple(tree.ids[place] for place in walked) == texts[row]
            assert walked[-wanted[row] :] == ends


def test_rows_that_fit_a_tree_are_read_as_their_prefixes_say():
    begin = tuple(range(LEAST_SHARED))
    texts = [(*begin, 50, 51), (*begin, 50, 52), begin, (*begin, 50, 51), begin[:-1], (60, 61)]
    trees = trees_of(texts, [1] * 6, [0] * 6, 100)
    assert [len(tree.ids) for tree in trees] == [LEAST_SHARED - 1, LEAST_SHARED + 3, 2]
    assert [sorted(tree.rows) for tree in trees] == [[4], [0, 1, 2, 3], [5]]


@pytest.fixture(scope="module", params=["qwen3", "gemma2"])
def trained(request, tmp_path_factory):
    """An engine with three adapters, and PEFT's models of them; gemma2 has windows of 8 tokens."""
    engine, base = trained_engine(request.param)
    return engine, peft_models(engine, base, tmp_path_factory.mktemp(request.param))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), count=st.integers(1, 9), pass_tokens=st.sampled_from([1, 60, 2048]))
def test_scores_of_random_trees_are_those_of_peft_alone(trained, seed, count, pass_tokens):
    engine, models = trained
    requests = requests_of(random_tree(seed, count, 40), ADAPTERS)
    engine.model.pass_tokens = pass_tokens
    expected = [alone(models[request.adapter], request) for request in requests]
    assert engine.score(requests) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_beginnings_are_read_once_and_counted_so():
    engine, _ = trained_engine()
    begin = tuple(range(10, 40))
    asked = [ScoreRequest(name, (*begin, n), (n, 5)) for name in ("a", None) for n in (50, 51, 52)]
    before = engine.usage.work.read_tokens
    engine.score(asked)
    assert engine.usage.work.read_tokens - before == 2 * (30 + 3 * 2)
    assert engine.usage.work.read_squares == 2 * (30**2 + 3 * (32**2 - 30**2))
    assert engine.usage.work.read_label_tokens == 12


@pytest.mark.parametrize(
    "kind",
    [
        *SOON,
        *(pytest.param(case.type, marks=pytest.mark.long) for case in CASES if case.type not in SOON),
    ],
)
def test_scores_of_a_tree_are_those_of_transformers_alone_on_every_type(kind: str):
    model = next(case for case in CASES if case.type == kind).model()
    requests = requests_of(random_tree(3, 12, 40), (None,))
    expected = [alone(copy.deepcopy(model), request) for request in requests]
    engine = Engine(as_loaded(model), 1, 2)
    assert engine.score(requests) == pytest.approx(expected, rel=1e-4, abs=1e-4)
    rows = sum(len(r.input_ids) + len(r.continuation_ids) - 1 for r in requests)
    assert (engine.usage.work.read_tokens < 0.8 * rows) == engine.model.reads_branches
