"""Rows that join, leave for want of memory and are drafted: every answer is the one that a row alone gets."""

import itertools
import random
import time

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beliefmod.engine import decode_loop, key_value_cache, prompt_pieces
from beliefmod.engine.decode_loop import Decoding
from beliefmod.engine.drafts import Drafts
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import GREEDY, GenerateRequest, Sampling, ScoreRequest
from tests.engine.conftest import as_loaded, make_job, random_ids, tiny_model

NEW = 24
ADAPTERS = (None, "a", "b")
ENDS = tuple(range(2, 10))  # so many that rows end at very different lengths


def engine_of(kind="qwen3"):
    """Base and two adapters that have left it far behind, in fp64, where no tie decides."""
    engine = Engine(as_loaded(tiny_model(kind, torch.float64), ENDS), 2, 8)
    for k, trial_id in enumerate("ab"):
        engine.attach(make_job(trial_id, seed=k, rank=4, learning_rate=2e-2, num_train_epochs=4))
    while engine.train_step():
        pass
    return engine


@pytest.fixture(scope="module")
def engines():
    return {kind: engine_of(kind) for kind in ("qwen3", "gemma2")}


def questions(seed, count):
    """Prompts, many with beginnings in common and some the same, of every arm in turn."""
    generator = torch.Generator().manual_seed(seed)
    chooser = random.Random(seed)
    system, statement = random_ids(generator, 11), random_ids(generator, 14)
    made = []
    for number in range(count):
        begins = chooser.choice([(), system, system, (*system, *statement)])
        prompt = (*begins, *random_ids(generator, chooser.randint(1, 9)))
        if made and chooser.random() < 0.2:
            prompt = chooser.choice(made).input_ids
        made.append(GenerateRequest(chooser.choice(ADAPTERS), prompt, seed=number))
    return made


def one_by_one(engine, requests, sampling=GREEDY):
    engine.drafts, kept = None, engine.drafts
    try:
        return [engine.generate([request], NEW, sampling)[0] for request in requests]
    finally:
        engine.drafts = kept


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 14),
    rows=st.sampled_from([1, 3, 384]),
    page=st.sampled_from([1, 7, 64]),
    memory=st.sampled_from([1, 60, 200, 10**6]),
    kind=st.sampled_from(["qwen3", "gemma2"]),
    sampling=st.sampled_from([GREEDY, Sampling(1.3)]),
    drafted=st.sampled_from(["nothing", "others' answers", "its own answers"]),
    read_every=st.sampled_from([1, 5]),
)
def test_neighbours_memory_pages_and_drafts_change_no_answer(
    engines, seed, count, rows, page, memory, kind, sampling, drafted, read_every
):
    engine, requests = engines[kind], questions(seed, count)
    expected = one_by_one(engine, requests, sampling)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode_loop, "MAX_ROWS", rows)
        patch.setattr(key_value_cache, "PAGE", page)
        patch.setitem(decode_loop._READ_EVERY, "cpu", read_every)
        patch.setattr(engine.model, "cache_tokens", memory)
        patch.setattr(Drafts, "guesses", as_many_as_may_be)
        engine.drafts = None if drafted == "nothing" else Drafts()
        if engine.drafts:
            strangers = questions(seed + 1, count) if drafted == "others' answers" else requests
            for request, answer in zip(requests, one_by_one(engine, strangers, sampling), strict=True):
                engine.drafts.answers.add(request.input_ids, answer.token_ids)
        assert engine.generate(requests, NEW, sampling) == expected


def asked_on(request, answer, turn):
    """What somebody asks on who has got this answer: nothing, one thing or two, of any arm."""
    chooser = random.Random(hash((request.input_ids, answer.token_ids)))
    if turn > 2 or chooser.random() < 0.4:
        return []
    prompt = (*request.input_ids, *answer.token_ids, 20)
    return [
        GenerateRequest(chooser.choice(ADAPTERS), (*prompt, 30 + number), seed=100 * turn + number)
        for number in range(chooser.randint(1, 2))
    ]


def conversation(engine, requests, sampling=GREEDY):
    """Every request and answer of a conversation, in rounds that wait for each other, each request alone."""
    said, turn = {}, 1
    while requests:
        answers = one_by_one(engine, requests, sampling)
        said |= dict(zip(requests, answers, strict=True))
        asked = zip(requests, answers, strict=True)
        requests, turn = [more for each in asked for more in asked_on(*each, turn)], turn + 1
    return said


def streamed(engine, requests, sampling=GREEDY):
    """The same in one queue, in which who asks on joins at once; and how many were alive at each joining."""
    asked, turns, told = list(requests), [1] * len(requests), {}
    alive = []

    def on_end(ended):
        assert not told.keys() & ended.keys()
        told.update(ended)
        first = len(asked)
        for index, answer in ended.items():
            more = asked_on(asked[index], answer, turns[index])
            asked.extend(more)
            turns.extend([turns[index] + 1] * len(more))
        if asked[first:]:
            alive.append(first - len(told))
        return asked[first:]

    answers = engine.generate(requests, NEW, sampling, on_end)
    assert told == dict(enumerate(answers))
    return dict(zip(asked, answers, strict=True)), alive


@pytest.mark.long
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 8),
    rows=st.sampled_from([1, 3, 384]),
    page=st.sampled_from([1, 7, 64]),
    memory=st.sampled_from([1, 200, 10**6]),
    kind=st.sampled_from(["qwen3", "gemma2"]),
    sampling=st.sampled_from([GREEDY, Sampling(1.3)]),
    drafted=st.booleans(),
    read_every=st.sampled_from([1, 5]),
    order=st.randoms(use_true_random=False),
    fails_at=st.sampled_from([None, 1, 7]),
)
def test_who_asks_on_joins_and_changes_no_answer(
    engines, seed, count, rows, page, memory, kind, sampling, drafted, read_every, order, fails_at
):
    engine, requests = engines[kind], list(dict.fromkeys(questions(seed, count)))
    expected = conversation(engine, requests, sampling)
    order.shuffle(requests)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode_loop, "MAX_ROWS", rows)
        patch.setattr(key_value_cache, "PAGE", page)
        patch.setitem(decode_loop._READ_EVERY, "cpu", read_every)
        patch.setattr(engine.model, "cache_tokens", memory)
        patch.setattr(Drafts, "guesses", as_many_as_may_be)
        engine.drafts = Drafts() if drafted else None
        if fails_at and memory > 1:
            patch.setattr(Decoding, "_step", failing_at(fails_at))
        assert streamed(engine, requests, sampling)[0] == expected


def failing_at(call, step=Decoding._step):
    """A step that finds no memory the so-manieth time."""
    calls = []

    def failing(self):
        calls.append(1)
        if len(calls) == call:
            raise torch.OutOfMemoryError("no room")
        step(self)

    return failing


def test_who_asks_on_does_not_wait_for_the_others(engines, monkeypatch):
    engine, requests = engines["qwen3"], questions(3, 40)
    monkeypatch.setattr(engine, "drafts", None)
    monkeypatch.setattr(decode_loop, "MAX_ROWS", 8)
    steps = engine.usage.work.decode_steps
    rounds, asked, turn = 0, list(dict.fromkeys(requests)), 1
    said, alive = streamed(engine, asked)
    together = engine.usage.work.decode_steps - steps
    while asked:
        steps = engine.usage.work.decode_steps
        answers = engine.generate(asked, NEW)
        rounds += engine.usage.work.decode_steps - steps
        assert all(said[request] == answer for request, answer in zip(asked, answers, strict=True))
        both = zip(asked, answers, strict=True)
        asked, turn = [more for each in both for more in asked_on(*each, turn)], turn + 1
    assert together < rounds
    assert sum(alive[:5]) > 20  # the first ask on while most others are being answered


def test_a_slot_may_be_emptied_and_texts_scored_while_others_decode(engines):
    engine, requests = engine_of(), questions(9, 20)
    expected = one_by_one(engine, requests)
    texts = [ScoreRequest(arm, (5, 6, 7), (8, 9)) for arm in ADAPTERS]
    scores = engine.score(texts)
    left = {arm: sum(request.adapter == arm for request in requests) for arm in ADAPTERS}
    gone, before = [], engine.usage.work.generate_seconds

    def on_end(ended):
        for index in ended:
            arm = requests[index].adapter
            left[arm] -= 1
            if left[arm]:
                continue
            still = [text for text in texts if text.adapter not in gone]
            found = engine.score(still)
            assert found == pytest.approx(
                [s for t, s in zip(texts, scores, strict=True) if t in still], abs=1e-12
            )
            if arm is not None:
                engine.release(arm)
                gone.append(arm)

    started = time.monotonic()
    assert engine.generate(requests, NEW, on_end=on_end) == expected
    assert sorted(gone) == ["a", "b"] and engine.attached() == ()
    assert 0 < engine.usage.work.generate_seconds - before < time.monotonic() - started


def test_questions_to_a_fully_trained_copy_and_to_the_packed_base_may_follow_each_other(engines):
    engine = engine_of()
    engine.attach(make_job("full", arm="full", learning_rate=1e-2))
    while engine.train_step():
        pass
    arms = ["full", None, "a", "full"]
    requests = [GenerateRequest(arm, (5, 6, 7 + place)) for place, arm in enumerate(arms)]

    def other(index, answer):
        arm = "a" if index % 4 in (0, 3) else "full"
        return GenerateRequest(arm, (5, *answer.token_ids, 9))

    told = {}

    def on_end(ended):
        told.update(ended)
        new = [other(index, answer) for index, answer in ended.items() if len(asked) < 12]
        asked.extend(new)
        return new

    asked = list(requests)
    answers = engine.generate(requests, NEW, on_end=on_end)
    assert len(answers) >= 12 and told == dict(enumerate(answers))
    assert answers == one_by_one(engine, asked)


def as_many_as_may_be(self, drafts, most):
    """Draft whatever there is, whether it pays or not."""
    return [draft.guess(min(limit, 15)) for draft, limit in zip(drafts, most, strict=True)]


def test_answers_are_told_as_they_end_and_others_take_their_places(engines, monkeypatch):
    monkeypatch.setattr(decode_loop, "MAX_ROWS", 8)
    engine, requests = engines["qwen3"], questions(3, 40)
    told, decoding_steps = [], engine.usage.work.decode_steps
    answers = engine.generate(requests, NEW, on_end=told.append)
    assert len(told) > 10
    assert {index: c for each in told for index, c in each.items()} == dict(enumerate(answers))
    assert sum(map(len, told)) == 40
    lengths = [len(answer.token_ids) for answer in answers]
    in_batches = sum(max(lengths[start : start + 8]) - 1 for start in range(0, 40, 8))
    assert engine.usage.work.decode_steps - decoding_steps < in_batches


@pytest.mark.parametrize("read_every", [1, 5])
def test_memory_is_never_more_than_allowed_but_for_one_row(engines, monkeypatch, read_every):
    monkeypatch.setitem(decode_loop._READ_EVERY, "cpu", read_every)
    engine, requests = engines["qwen3"], questions(5, 30)
    monkeypatch.setattr(engine.model, "cache_tokens", 6 * 64)
    monkeypatch.setattr(decode_loop, "_GUESSED_ENDS", 0.01)  # answers seem short: too many are let in
    seen, sent_back = [], set()
    step = Decoding._step

    def watched(self):
        held = [
            pair[0].shape[0] * pair[0].shape[2]
            for part in self._parts
            for pair in list(part.cache.layers.values())[:1]
        ]
        seen.append((sum(held), sum(len(part.rows) for part in self._parts)))
        sent_back.update(self._former)
        step(self)

    monkeypatch.setattr(Decoding, "_step", watched)
    long = [GenerateRequest(r.adapter, (*r.input_ids, *r.input_ids, 20), r.seed) for r in requests]
    expected = one_by_one(engine, long)
    seen.clear()
    assert engine.generate(long, NEW) == expected
    assert max(rows for _, rows in seen) > 3
    assert all(held <= 6 * 64 or rows == 1 for held, rows in seen)
    assert sent_back


def test_a_failure_half_way_loses_no_answer_that_has_ended(engines, monkeypatch):
    engine, requests = engines["qwen3"], questions(8, 20)
    expected = one_by_one(engine, requests)
    told = []
    monkeypatch.setattr(Decoding, "_step", failing_at(6))
    monkeypatch.setattr(engine.model, "cache_tokens", 10**6)
    assert engine.generate(requests, NEW, on_end=told.append) == expected
    assert sum(map(len, told)) == 20
    assert any("cache_tokens" in sentence for sentence in engine.usage.shrinks)


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(0.7)])
def test_right_drafts_save_passes(engines, sampling, monkeypatch):
    engine, requests = engines["qwen3"], questions(11, 6)
    work = engine.usage.work
    engine.drafts = None
    before = work.decode_steps
    plain = engine.generate(requests, NEW, sampling)
    alone = work.decode_steps - before
    monkeypatch.setattr(Drafts, "guesses", as_many_as_may_be)
    engine.drafts = Drafts()
    for request, answer in zip(requests, plain, strict=True):
        engine.drafts.answers.add(request.input_ids, answer.token_ids)
    before = work.decode_steps
    assert engine.generate(requests, NEW, sampling) == plain
    assert work.decode_steps - before < alone / 2


PROMPTS = st.lists(
    st.tuples(st.sampled_from([None, 0, 1]), st.lists(st.integers(0, 1), min_size=1, max_size=30).map(tuple)),
    min_size=1,
    max_size=25,
)


@given(PROMPTS)
def test_pieces_put_together_are_the_prompts(asked):
    slots, texts = zip(*asked, strict=True)
    pieces, ends = prompt_pieces.pieces_of(texts, slots)
    for slot, text, end in zip(slots, texts, ends, strict=True):
        read, piece = (), end
        while piece is not None:
            assert pieces[piece].slot == slot and pieces[piece].ids
            read, piece = (*pieces[piece].ids, *read), pieces[piece].parent
        assert read == text
    assert sum(len(piece.ids) for piece in pieces) <= sum(map(len, texts))
    assert max(piece.level for piece in pieces) < prompt_pieces.MOST_LEVELS


def test_a_common_beginning_is_read_once_for_each_slot():
    system = tuple(range(100, 130))
    texts = [(*system, n) for n in range(10)] * 2
    slots = [0] * 10 + [1] * 10
    pieces, _ = prompt_pieces.pieces_of(texts, slots)
    assert sum(len(piece.ids) for piece in pieces) == 2 * (30 + 10)
    same, ends = prompt_pieces.pieces_of([system] * 5, [None] * 5)
    assert len(same) == 1 and ends == [0] * 5


def test_who_looks_on_sees_every_answer_grow_to_its_end(engines):
    engine, requests = engines["qwen3"], questions(3, 6)
    seen: dict[int, list[tuple[int, ...]]] = {}

    def look(written):
        for index, ids in written.items():
            seen.setdefault(index, []).append(ids)

    found = engine.generate(requests, NEW, on_written=look)
    assert found == engine.generate(requests, NEW)
    assert {index: texts[-1] for index, texts in seen.items()} == {
        index: completion.token_ids for index, completion in enumerate(found)
    }
    for texts in seen.values():
        assert all(after[: len(before)] == before for before, after in itertools.pairwise(texts))
        assert [len(text) for text in texts] == sorted({len(text) for text in texts})
    assert any(len(texts) > 2 for texts in seen.values())


def test_what_who_looks_on_raises_ends_the_writing_and_leaves_the_engine_usable(engines):
    class Enough(Exception):
        pass

    def look(written):
        raise Enough

    engine, requests = engines["qwen3"], questions(4, 3)
    with pytest.raises(Enough):
        engine.generate(requests, NEW, on_written=look)
    assert engine.generate(requests, NEW) == one_by_one(engine, requests)
