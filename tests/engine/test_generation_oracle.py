"""Packed generation and scoring against transformers and PEFT, one adapter at a time."""

import copy

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import PeftModel

from beliefmod.engine import decode_loop
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import GenerateRequest, Sampling, ScoreRequest
from tests.engine.conftest import VOCAB, as_loaded, make_job, random_ids, tiny_model

NEW = 20
ADAPTERS = (None, "a", "b", "c")


def trained_engine(kind="qwen3", eos_ids=(2, 3)):
    """An engine with three trained adapters of different rank, and an untouched copy of its base."""
    model = tiny_model(kind)
    base = copy.deepcopy(model)
    engine = Engine(as_loaded(model, eos_ids), 3, 8)
    for k, trial_id in enumerate("abc"):
        engine.attach(
            make_job(trial_id, seed=k, rank=2 ** (k + 1), alpha=16.0, learning_rate=2e-2, num_train_epochs=5)
        )
    while engine.train_step():
        pass
    return engine, base


def peft_models(engine, base, folder):
    models = {None: base}
    for trial_id in "abc":
        engine.save_adapter(trial_id, folder / trial_id)
        models[trial_id] = PeftModel.from_pretrained(copy.deepcopy(base), str(folder / trial_id)).eval()
    return models


def alone(model, prompt, eos_ids, new=NEW):
    """HF's own greedy generation of one prompt: the reference."""
    out = model.generate(
        input_ids=torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=new,
        do_sample=False,
        eos_token_id=list(eos_ids),
        pad_token_id=0,
    )
    return tuple(out[0, len(prompt) :].tolist())


@pytest.mark.parametrize("kind", ["qwen3", "llama", "gemma2"])
def test_packed_greedy_equals_peft_one_by_one(kind, tmp_path, monkeypatch):
    # many end tokens, so that rows end at different times
    eos_ids = tuple(range(2, 12))
    engine, base = trained_engine(kind, eos_ids)
    models = peft_models(engine, base, tmp_path)
    generator = torch.Generator().manual_seed(5)
    requests = [
        GenerateRequest(
            ADAPTERS[i % 4], random_ids(generator, 1 + int(torch.randint(24, (1,), generator=generator)))
        )
        for i in range(40)
    ]
    expected = [alone(models[r.adapter], r.input_ids, eos_ids) for r in requests]
    assert len({len(e) for e in expected}) > 5 and len(set(expected)) > 25
    for rows in (256, 7):
        monkeypatch.setattr(decode_loop, "MAX_ROWS", rows)
        got = engine.generate(requests, NEW)
        assert [c.token_ids for c in got] == expected
        assert [c.finish_reason for c in got] == ["eos" if e[-1] in eos_ids else "length" for e in expected]


def test_adapters_that_are_off_or_zero_are_the_base_exactly():
    model = tiny_model()
    ids = torch.tensor([random_ids(torch.Generator().manual_seed(1), 20)])
    before = model(ids).logits
    requests = [ScoreRequest(None, (5, 6, 7), (8, 9, 10)), ScoreRequest("zero", (5, 6, 7), (8, 9, 10))]
    engine = Engine(as_loaded(model), 2, 8)
    engine.attach(make_job("zero"))
    assert torch.equal(model(ids).logits, before)
    base, zero = engine.score(requests)
    assert base == zero
    prompts = [random_ids(torch.Generator().manual_seed(k), 9) for k in range(6)]
    texts = engine.generate([GenerateRequest(a, p) for p in prompts for a in (None, "zero")], 10)
    assert texts[::2] == texts[1::2]
    while engine.train_step():
        pass
    base_after, trained = engine.score(requests)
    assert base_after == pytest.approx(base, abs=1e-6) and trained != pytest.approx(base, abs=1e-3)
    assert torch.equal(model(ids).logits, before)


@pytest.mark.parametrize("kind", ["qwen3", "llama", "gemma2"])
def test_scores_equal_log_softmax_by_hand(kind, tmp_path):
    engine, base = trained_engine(kind)
    models = peft_models(engine, base, tmp_path)
    generator = torch.Generator().manual_seed(6)
    requests = [
        ScoreRequest(ADAPTERS[i % 4], random_ids(generator, 1 + i), random_ids(generator, 1 + i % 5))
        for i in range(16)
    ]
    expected = []
    for r in requests:
        ids = torch.tensor([r.input_ids + r.continuation_ids])
        with torch.no_grad():
            logs = models[r.adapter](input_ids=ids).logits[0].double().log_softmax(-1)
        start = len(r.input_ids)
        expected.append(sum(logs[start - 1 + k, t].item() for k, t in enumerate(r.continuation_ids)))
    assert engine.score(requests) == pytest.approx(expected, rel=1e-4)
    engine.model.pass_tokens = 20
    assert engine.score(requests) == pytest.approx(expected, rel=1e-4)
    assert engine.score([]) == [] and engine.generate([], 5) == []


def test_a_saved_adapter_read_back_answers_alike(tmp_path):
    engine, _ = trained_engine()
    engine.save_adapter("b", tmp_path / "b")
    engine.release("a")
    engine.load_adapter(tmp_path / "b", "again")
    probe = [ScoreRequest(name, (5, 9, 11), (20, 21)) for name in ("b", "again")]
    first, second = engine.score(probe)
    assert first == pytest.approx(second, rel=1e-6)
    assert engine.train_step() == []


def test_generation_stops_at_the_models_last_position():
    engine = Engine(as_loaded(tiny_model(), eos_ids=()), 1, 4)
    prompt = random_ids(torch.Generator().manual_seed(0), 120)
    (long,) = engine.generate([GenerateRequest(None, prompt)], 50)
    assert len(long.token_ids) == 8 and long.finish_reason == "length"
    (short,) = engine.generate([GenerateRequest(None, prompt)], 3)
    assert short.token_ids == long.token_ids[:3]


def test_samples_depend_on_the_requests_seed_alone(monkeypatch):
    engine, _ = trained_engine()
    prompts = [random_ids(torch.Generator().manual_seed(k), 5 + k) for k in range(6)]
    requests = [GenerateRequest(ADAPTERS[k % 4], p, seed=k) for k, p in enumerate(prompts)]
    together = engine.generate(requests, 12, Sampling(1.0))
    monkeypatch.setattr(decode_loop, "MAX_ROWS", 1)
    assert engine.generate(requests[::-1], 12, Sampling(1.0))[::-1] == together
    others = [GenerateRequest(r.adapter, r.input_ids, seed=r.seed + 100) for r in requests]
    assert engine.generate(others, 12, Sampling(1.0)) != together
    assert engine.generate(requests, 12, Sampling(1e-6)) == engine.generate(requests, 12)


def test_sampling_frequencies_are_the_models_probabilities():
    engine, base = trained_engine()
    prompt = (5, 6, 7)
    with torch.no_grad():
        probabilities = base(torch.tensor([prompt])).logits[0, -1].double().softmax(-1)
    draws = engine.generate([GenerateRequest(None, prompt, seed=k) for k in range(2000)], 1, Sampling(1.0))
    counts = torch.bincount(torch.tensor([d.token_ids[0] for d in draws]), minlength=VOCAB)
    top = probabilities.topk(5).indices
    for token in top.tolist():
        share, wanted = counts[token].item() / 2000, probabilities[token].item()
        assert abs(share - wanted) < 5 * (wanted * (1 - wanted) / 2000) ** 0.5


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=6), data=st.data())
def test_neighbours_and_padding_do_not_change_a_score(shared_engine, lengths, data):
    generator = torch.Generator().manual_seed(sum(lengths))
    owners = data.draw(st.lists(st.sampled_from(ADAPTERS), min_size=len(lengths), max_size=len(lengths)))
    requests = [
        ScoreRequest(owner, random_ids(generator, n), random_ids(generator, 1 + n % 3))
        for owner, n in zip(owners, lengths, strict=True)
    ]
    together = shared_engine.score(requests)
    one_by_one = [shared_engine.score([r])[0] for r in requests]
    assert together == pytest.approx(one_by_one, rel=1e-4)


@pytest.fixture(scope="module")
def shared_engine():
    return trained_engine()[0]
