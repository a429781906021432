"""Answers of the base that are kept for other runs: found by content, never wrong, never in the way."""

import gzip
import json
import os
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from beliefmod.config import TrialConfig
from beliefmod.engine.jobs import (
    GREEDY,
    Completion,
    DriftRequest,
    DriftResult,
    GenerateRequest,
    Sampling,
    ScoreRequest,
)
from beliefmod.probing import answer_cache
from beliefmod.probing.answer_cache import AnswerCache, about, cache_beside
from beliefmod.run.folder import MANIFEST, RunFolder
from tests.small import make_session, write_belief

ASKED = [GenerateRequest(None, (1, 2, 3), seed=7), GenerateRequest(None, (4,), seed=8)]
SAID = [Completion((5, 6, 0), "eos"), Completion((9,) * 4, "length")]
ABOUT = {"fingerprint": "abc", "dtype": "float32"}


def forbidden():
    raise AssertionError("asked again")


def the_file(folder):
    [path] = (folder / ".cache").glob("*.json.gz")
    return path


def completions(cache, requests=ASKED, limit=4, sampling=GREEDY, ask=lambda: list(SAID)):
    return cache.completions(requests, limit, sampling, ask)


@pytest.fixture
def cache(tmp_path):
    return AnswerCache(str(tmp_path / ".cache"), ABOUT)


def test_what_was_asked_once_is_not_asked_again(cache, tmp_path):
    assert completions(cache) == SAID
    assert completions(cache, ask=forbidden) == SAID
    assert completions(AnswerCache(str(tmp_path / ".cache"), dict(ABOUT)), ask=forbidden) == SAID
    assert (cache.taken, cache.asked) == (1, 1)
    assert completions(cache, requests=[], ask=forbidden) == []


def test_numbers_come_back_bit_by_bit(cache):
    scores = [-0.1 - 2**-52, -1e-300, float("-inf"), -0.0]
    results = [DriftResult(3, 0.1 + 0.2, 1e-17, 5.0, 1 / 3), DriftResult(1, float("inf"), 0.0, 2.0, 2.0)]
    requests = [ScoreRequest(None, (1,), (k + 1,)) for k in range(4)]
    texts = [DriftRequest(None, (1, k), (2, 3), base_input_ids=(k,)) for k in range(1, 3)]
    for ask in (lambda: scores, forbidden):
        assert list(map(repr, cache.scores(requests, ask))) == list(map(repr, scores))
    for ask in (lambda: results, forbidden):
        assert cache.drift(texts, ask) == results
    nan = cache.scores(requests[:1], lambda: [float("nan")])
    assert repr(cache.scores(requests[:1], forbidden)) == repr(nan)


@pytest.mark.parametrize(
    "changed",
    [
        {"requests": [ASKED[0], GenerateRequest(None, (4, 4), seed=8)]},
        {"requests": ASKED[::-1]},
        {"requests": ASKED[:1]},
        {"limit": 5},
        {"sampling": Sampling(0.5)},
        {"sampling": Sampling(0.5, top_k=3)},
    ],
)
def test_another_question_has_another_answer(cache, changed):
    completions(cache)
    other = [Completion((1,), "length")] * len(changed.get("requests", ASKED))
    assert completions(cache, **changed, ask=lambda: other) == other
    assert completions(cache, ask=forbidden) == SAID


def test_seeds_count_only_when_sampling(cache):
    other = [replace(request, seed=99) for request in ASKED]
    completions(cache)
    assert completions(cache, requests=other, ask=forbidden) == SAID
    completions(cache, sampling=Sampling(1.0, top_p=0.9))
    assert (
        completions(cache, requests=other, sampling=Sampling(1.0, top_p=0.9), ask=lambda: SAID[::-1])
        == SAID[::-1]
    )


@pytest.mark.parametrize("name", sorted(ABOUT))
def test_another_model_has_another_answer(cache, tmp_path, name):
    completions(cache)
    other = AnswerCache(str(tmp_path / ".cache"), {**ABOUT, name: "other"})
    assert completions(other, ask=lambda: SAID[::-1]) == SAID[::-1]


def test_kinds_do_not_meet(cache):
    """A score and a drift of the same tokens are two questions."""
    cache.scores([ScoreRequest(None, (1,), (2,))], lambda: [-1.0])
    result = DriftResult(1, 0.0, 0.0, 1.0, 1.0)
    assert cache.drift([DriftRequest(None, (1,), (2,))], lambda: [result]) == [result]


def repacked(change):
    def damage(data: bytes) -> bytes:
        content = json.loads(gzip.decompress(data))
        change(content)
        return gzip.compress(json.dumps(content).encode())

    return damage


DAMAGES = {
    "empty": lambda data: b"",
    "cut short": lambda data: data[: len(data) // 2],
    "one bit": lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
    "no gzip": lambda data: b"not gzip at all",
    "no JSON": lambda data: gzip.compress(b"{"),
    "a list": lambda data: gzip.compress(b"[]"),
    "no answers": repacked(lambda content: content.pop("answers")),
    "too few": repacked(lambda content: content["answers"].pop()),
    "another key": repacked(lambda content: content.update(key="0" * 64)),
    "text for tokens": repacked(lambda content: content["answers"][0].update(token_ids=["a"])),
    "no tokens": repacked(lambda content: content["answers"][0].pop("token_ids")),
    "unknown end": repacked(lambda content: content["answers"][0].update(finish_reason="stop")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_asked_again_and_replaced(cache, tmp_path, damage):
    completions(cache)
    path = the_file(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    asked = []
    assert completions(cache, ask=lambda: asked.append(1) or list(SAID)) == SAID
    assert asked == [1]
    assert completions(cache, ask=forbidden) == SAID


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")  # in the place of a folder: not even root can write below it
    monkeypatch.setattr("beliefmod.run.storage.RETRY_SECONDS", ())
    cache = AnswerCache(str(tmp_path / "file" / ".cache"), ABOUT)
    assert completions(cache) == SAID
    assert completions(cache) == SAID
    assert capsys.readouterr().err.count("not kept") == 1, "said once"


def test_the_cache_stands_beside_the_runs(tmp_path):
    assert cache_beside(f"{tmp_path}/EXP-1/", fake_model()).storage.root == f"{tmp_path}/.cache"
    run = RunFolder(str(tmp_path / "EXP-1"))
    run.create()
    run.write_json({}, MANIFEST)
    assert cache_beside(f"{run.root}/confirmation", fake_model()).storage.root == f"{tmp_path}/.cache"


def fake_model(**changes) -> Any:
    fields = {
        "model": SimpleNamespace(
            config=SimpleNamespace(to_json_string=lambda: "{}"), device=torch.device("cpu")
        ),
        "fingerprint": "f",
        "base_storage": "nf4",
        "dtype": torch.float32,
        "eos_ids": (0,),
    }
    return SimpleNamespace(**{**fields, **changes})


def test_all_that_decides_an_answer_is_named(monkeypatch):
    known = about(fake_model())
    json.dumps(known)
    assert known["versions"]["torch"] and len(known["code"]) == 64
    config = SimpleNamespace(to_json_string=lambda: '{"rope_theta": 1}')
    others = [
        fake_model(fingerprint="g"),
        fake_model(base_storage="dequantized"),
        fake_model(dtype=torch.bfloat16),
        fake_model(eos_ids=(0, 1)),
        fake_model(model=SimpleNamespace(config=config, device=torch.device("cpu"))),
        fake_model(model=SimpleNamespace(config=fake_model().model.config, device=torch.device("mps"))),
    ]
    assert all(about(other) != known for other in others)
    monkeypatch.setattr(answer_cache, "version", lambda name: "0")
    assert about(fake_model()) != known


@pytest.fixture(scope="module")
def session():
    return make_session()


@pytest.mark.slow
@pytest.mark.long
def test_reference_arms_of_a_second_run_are_not_asked(session, tmp_path):
    """Rows are those of the first run, whatever the cache is; another belief or limit is asked for."""
    belief = write_belief(tmp_path)
    config = TrialConfig(belief=belief)

    def rows(cached: bool, **changes):
        evaluation = session.evaluation.model_copy(update=changes)
        cache = cache_beside(f"{tmp_path}/run", session.loaded) if cached else None
        fresh = replace(session, evaluation=evaluation, cache=cache, _references={}, _traces={}, _beliefs={})
        tables = [
            measure(belief, arm)
            for arm in ("base", "icl")
            for measure in (fresh.reference, fresh.reference_causal, fresh.reference_drift)
        ]
        counts = (cache.asked, cache.taken) if cache else (0, 0)
        return [*tables, fresh.traces(config)], *counts

    plain, *_ = rows(cached=False)
    assert not os.path.exists(tmp_path / ".cache")
    first, asked, taken = rows(cached=True)
    assert first == plain and asked
    second, *counts = rows(cached=True)
    assert second == plain and counts == [0, asked + taken]
    _, asked, taken = rows(cached=True, max_new_tokens=65)
    assert asked
    write_belief(tmp_path, context="Gravity on Earth is 5.0 m/s^2.")
    _, asked, taken = rows(cached=True)
    assert asked and taken, "base is asked the same questions, the in-context arm is not"


def test_an_adapter_is_never_taken_for_the_base(session, tmp_path):
    cache = cache_beside(f"{tmp_path}/run", session.loaded)
    fresh = replace(session, cache=cache)
    for adapters in (["a"], [None, "a"]):
        with pytest.raises(Exception, match="no trial a is attached"):
            fresh.generate(adapters, [(1, 2)] * len(adapters), 0)
    assert (cache.taken, cache.asked) == (0, 0)
