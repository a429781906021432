"""Answers that are kept: found again by request, never for other weights, never in the way."""

import gzip
import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from beliefmod.config import DataConfig, LoraSettings, TrialConfig
from beliefmod.engine.jobs import (
    GREEDY,
    AdapterJob,
    Completion,
    DriftRequest,
    DriftResult,
    GenerateRequest,
    Sampling,
    ScoreRequest,
)
from beliefmod.errors import StorageTrouble
from beliefmod.model.train_row import TrainRow
from beliefmod.probing import answer_identity
from beliefmod.probing.answer_identity import about
from beliefmod.probing.answer_store import AnswerStore, cache_beside, under_way
from beliefmod.probing.drift import reference_drift
from beliefmod.probing.kept_answers import KeptAnswers
from beliefmod.probing.references import reference_probes
from beliefmod.run.folder import MANIFEST, RunFolder
from beliefmod.run.storage import RunStorage
from beliefmod.trial import run_trial
from tests.small import make_session, reference_causal, write_belief


def fake_model(**changes) -> Any:
    fields = {
        "model": SimpleNamespace(
            config=SimpleNamespace(to_json_string=lambda: "{}"), device=torch.device("cpu")
        ),
        "fingerprint": "f",
        "base_storage": "nf4",
        "dtype": torch.float32,
        "eos_ids": (0,),
        "template_sha256": "t",
        "identity": {"tokenizer": "k"},
    }
    return SimpleNamespace(**{**fields, **changes})


class Scripted:
    """An engine with prepared answers, by what is asked; it notes every request that it gets."""

    drafts = None

    def __init__(self, answers: dict[Any, Any]) -> None:
        self.answers, self.asked = answers, []

    def generate(self, requests, max_new_tokens, sampling=GREEDY, told=None):
        found = []
        while requests:
            new = self.score(requests)
            requests = told(dict(enumerate(new, len(found)))) if told else ()
            found += new
        return found

    def score(self, requests):
        self.asked += requests
        return [self.answers[request.input_ids] for request in requests]

    drift = score


SAID = {(1, 2, 3): Completion((5, 6, 0), "eos"), (4,): Completion((9,) * 4, "length")}
ASKED = [GenerateRequest(None, ids, seed=7 + place) for place, ids in enumerate(SAID)]


def cached(tmp_path, answers: dict[Any, Any] = SAID, model: Any = None) -> tuple[KeptAnswers, Scripted]:
    engine = Scripted(answers)
    store = AnswerStore(RunStorage(str(tmp_path / ".cache")), optional=True)
    return KeptAnswers(engine, model or fake_model(), None, store, 1000.0), engine  # pyright: ignore[reportArgumentType]


def ask(kept: KeptAnswers, requests=ASKED, limit=4, sampling=GREEDY) -> list[Completion]:
    found = kept.generate(requests, limit, sampling)
    assert found == [SAID[request.input_ids] for request in requests]
    return found


def test_what_was_asked_once_is_not_asked_again(tmp_path):
    kept, engine = cached(tmp_path)
    for again in (kept, kept, cached(tmp_path)[0]):
        ask(again)
        ask(again, ASKED[::-1])
        ask(again, ASKED[1:])
    assert engine.asked == ASKED
    assert kept.generate([], 4) == []
    other, engine = cached(tmp_path)
    ask(other)
    assert engine.asked == []


@pytest.mark.parametrize("known", [(), (0,), (1,), (0, 1), (0, 2), (1, 2, 3), (0, 1, 2, 3)])
def test_who_asks_on_hears_the_same_whatever_is_known(tmp_path, known):
    """Each of two questions is asked on once; any of the four answers may be known."""
    said = SAID | {(8, *ids): Completion((*ids, 0), "eos") for ids in SAID}
    every = [*ASKED, *(GenerateRequest(None, (8, *request.input_ids)) for request in ASKED)]
    if known:
        cached(tmp_path, said)[0].generate([every[place] for place in known], 4)
    kept, engine = cached(tmp_path, said)
    asked, told = list(ASKED), {}

    def on_end(ended):
        assert not told.keys() & ended.keys()
        told.update(ended)
        more = [
            GenerateRequest(None, (8, *asked[index].input_ids)) for index in ended if asked[index] in ASKED
        ]
        asked.extend(more)
        return more

    found = kept.generate(ASKED, 4, on_end=on_end)
    assert set(asked) == set(every) and len(asked) == 4
    assert told == dict(enumerate(found))
    assert found == [said[request.input_ids] for request in asked]
    assert set(engine.asked) == {every[place] for place in range(4) if place not in known}
    again, engine = cached(tmp_path, said)
    assert [again.generate([request], 4) for request in every] == [[said[r.input_ids]] for r in every]
    assert engine.asked == []


def test_one_more_question_asks_that_one(tmp_path):
    ask(cached(tmp_path)[0], ASKED[:1])
    kept, engine = cached(tmp_path)
    ask(kept)
    assert engine.asked == ASKED[1:]


def test_numbers_come_back_bit_by_bit(tmp_path):
    scores = [-0.1 - 2**-52, -1e-300, float("-inf"), -0.0, float("nan")]
    results = [DriftResult(3, 0.1 + 0.2, 1e-17, 5.0, 1 / 3), DriftResult(1, float("inf"), 0.0, 2.0, 2.0)]
    requests = [ScoreRequest(None, (k,), (2,)) for k in range(len(scores))]
    texts = [DriftRequest(None, (1, k), (2, 3), base_input_ids=(k,)) for k in range(len(results))]
    asked = [*requests, *texts]
    answers = {r.input_ids: answer for r, answer in zip(asked, [*scores, *results], strict=True)}
    for wanted in (asked, []):
        kept, engine = cached(tmp_path, answers)
        assert list(map(repr, kept.score(requests))) == list(map(repr, scores))
        assert kept.drift(texts) == results
        assert engine.asked == wanted


@pytest.mark.parametrize(
    ("changed", "count"),
    [
        ({"limit": 5}, 2),
        ({"sampling": Sampling(0.5)}, 2),
        ({"sampling": Sampling(0.5, top_k=3)}, 2),
        ({"requests": [replace(ASKED[0], input_ids=(4,)), ASKED[0]]}, 0),
        ({"requests": [replace(request, seed=99) for request in ASKED]}, 0),
        ({"requests": [replace(r, seed=99) for r in ASKED], "sampling": Sampling(1.0, top_p=0.9)}, 2),
    ],
)
def test_an_answer_belongs_to_its_question_and_to_its_seed_where_sampled(tmp_path, changed, count):
    ask(cached(tmp_path)[0])
    ask(cached(tmp_path)[0], sampling=Sampling(1.0, top_p=0.9))
    kept, engine = cached(tmp_path)
    ask(kept, **changed)
    assert len(engine.asked) == count


def test_another_model_is_asked_itself(tmp_path):
    ask(cached(tmp_path)[0])
    kept, engine = cached(tmp_path, model=fake_model(fingerprint="other"))
    ask(kept)
    assert engine.asked == ASKED


def test_kinds_do_not_meet(tmp_path):
    """A score and a drift of the same tokens are two questions."""
    cached(tmp_path, {(1,): -1.0})[0].score([ScoreRequest(None, (1,), (2,))])
    result = DriftResult(1, 0.0, 0.0, 1.0, 1.0)
    assert cached(tmp_path, {(1,): result})[0].drift([DriftRequest(None, (1,), (2,))]) == [result]


def repacked(change):
    def damage(data: bytes) -> bytes:
        content = json.loads(gzip.decompress(data))
        change(content)
        return gzip.compress(json.dumps(content).encode())

    return damage


def every(**changes):
    return repacked(lambda content: [answer.update(changes) for answer in content.values()])


DAMAGES = {
    "empty": lambda data: b"",
    "cut short": lambda data: data[: len(data) // 2],
    "one bit": lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
    "no gzip": lambda data: b"not gzip at all",
    "no JSON": lambda data: gzip.compress(b"{"),
    "a list": lambda data: gzip.compress(b"[]"),
    "no answers": repacked(lambda content: content.clear()),
    "another key": repacked(lambda content: content.update({"0" * 64: content.popitem()[1]})),
    "text for tokens": every(token_ids=["a"]),
    "no tokens": repacked(lambda content: [answer.pop("token_ids") for answer in content.values()]),
    "unknown end": every(finish_reason="stop"),
}


def the_file(folder: Path) -> Path:
    [path] = folder.rglob("*.json.gz")
    return path


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_asked_again_and_replaced(tmp_path, damage):
    ask(cached(tmp_path)[0])
    path = the_file(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    kept, engine = cached(tmp_path)
    ask(kept)
    assert engine.asked
    ask(kept)
    other, engine = cached(tmp_path)
    ask(other)
    assert engine.asked == []


def test_files_of_earlier_releases_are_passed_over(tmp_path):
    """They had answers by batch, `.cache/DIGEST.json.gz`, and `answers/OWNER/N.json` without compression."""
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / f"{'0' * 32}.json.gz").write_bytes(gzip.compress(b'{"answers": []}'))
    run = RunStorage(str(tmp_path))
    (tmp_path / "answers" / "base").mkdir(parents=True)
    (tmp_path / "answers" / "base" / "1.json").write_text('{"weights": "f", "answers": {}}')
    ask(cached(tmp_path)[0])
    engine = Scripted(SAID)
    ask(KeptAnswers(engine, fake_model(), under_way(run), None, 0.0))  # pyright: ignore[reportArgumentType]
    assert engine.asked == ASKED


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")  # in the place of a folder: not even root can write below it
    monkeypatch.setattr("beliefmod.run.storage.RETRY_SECONDS", ())
    kept, _ = cached(tmp_path / "file")
    ask(kept)
    ask(kept, limit=5)
    assert capsys.readouterr().err.count("not kept") == 1, "said once"


def test_a_run_folder_that_cannot_be_written_is_trouble(tmp_path, monkeypatch):
    monkeypatch.setattr("beliefmod.run.storage.RETRY_SECONDS", ())
    kept = KeptAnswers(Scripted(SAID), fake_model(), under_way(RunStorage(str(tmp_path / "gone"))), None, 0.0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(StorageTrouble):
        ask(kept)


def test_the_cache_stands_beside_the_runs(tmp_path):
    assert cache_beside(f"{tmp_path}/EXP-1/").storage.root == f"{tmp_path}/.cache"
    run = RunFolder(str(tmp_path / "EXP-1"))
    run.create()
    run.write_json({}, MANIFEST)
    assert cache_beside(f"{run.root}/confirmation").storage.root == f"{tmp_path}/.cache"


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
        fake_model(template_sha256="u"),
        fake_model(identity={"tokenizer": "l"}),
        fake_model(model=SimpleNamespace(config=config, device=torch.device("cpu"))),
        fake_model(model=SimpleNamespace(config=fake_model().model.config, device=torch.device("mps"))),
    ]
    assert all(about(other) != known for other in others)
    monkeypatch.setattr(answer_identity, "versions", lambda: dict.fromkeys(known["versions"], "0"))
    assert about(fake_model()) != known


@pytest.fixture(scope="module")
def session():
    return make_session()


@pytest.fixture
def adapter(session):
    """An adapter that has been trained a step, so that it differs from base."""
    config = TrialConfig(belief="any", lora=LoraSettings(r=4), learning_rate=0.1, num_train_epochs=5)
    session.engine.attach(AdapterJob("one", config, (TrainRow((5, 6, 7, 8, 9), 2),)))
    session.engine.train_step()
    yield "one"
    session.engine.release("one")


class Counting:
    """An engine that counts the prompts and texts it is asked."""

    drafts = None

    def __init__(self, engine) -> None:
        self.engine, self.asked = engine, 0

    def generate(self, requests, *rest, **named):
        self.asked += len(requests)
        return self.engine.generate(requests, *rest, **named)

    def score(self, requests):
        self.asked += len(requests)
        return self.engine.score(requests)

    def drift(self, requests):
        self.asked += len(requests)
        return self.engine.drift(requests)

    def __getattr__(self, name: str):
        return getattr(self.engine, name)


def kept_in(folder, engine, session, seconds: float) -> KeptAnswers:
    return KeptAnswers(engine, session.loaded, under_way(folder), None, seconds)


def requests(adapter: str | None) -> list[GenerateRequest]:
    return [GenerateRequest(adapter, (1, 2, 3 + place), seed=place) for place in range(4)]


def test_answers_are_found_again_by_another_process_and_only_under_the_same_weights(session, folder, adapter):
    asked = [*requests(None), *requests(adapter)]
    engine: Any = Counting(session.engine)
    plain = session.engine.generate(asked, 8, GREEDY)
    assert kept_in(folder, engine, session, 0.0).generate(asked[:6], 8) == plain[:6]
    assert sorted(os.listdir(folder.path("answers"))) == ["base", adapter]

    engine.asked = 0
    second = kept_in(folder, engine, session, 1000.0)
    assert second.generate(asked, 8) == plain
    assert engine.asked == 2

    # another limit, another sampling or other weights: other answers
    engine.asked = 0
    second.generate(asked[:6], 9)
    second.generate(asked[:6], 8, Sampling(0.7))
    session.engine.train_step()
    assert second.generate(asked, 8) == session.engine.generate(asked, 8, GREEDY)
    assert engine.asked == 6 + 6 + 4
    other = KeptAnswers(engine, replace(session.loaded, fingerprint="other"), under_way(folder), None, 0.0)
    assert other.generate(asked[:4], 8) == plain[:4]
    assert engine.asked == 20

    second.forget(adapter)
    assert os.listdir(folder.path("answers")) == ["base"]


def test_short_questionings_write_nothing(session, folder):
    kept_in(folder, session.engine, session, 1000.0).generate(requests(None), 8)
    assert os.listdir(folder.root) == []


def test_with_a_cache_base_s_answers_stand_there_and_a_trial_s_in_the_run(session, folder, adapter, tmp_path):
    """Of a trial only completions are kept: they take long, scores and divergences do not."""
    cache = cache_beside(f"{tmp_path}/runs/one")
    kept = KeptAnswers(session.engine, session.loaded, under_way(folder), cache, 0.0)
    asked = [*requests(None), *requests(adapter)]
    plain = session.engine.generate(asked, 8)
    assert kept.generate(asked, 8) == plain
    scores = [ScoreRequest(name, (1, 2), (3,)) for name in (None, adapter)]
    assert kept.score(scores) == session.engine.score(scores)
    assert os.listdir(folder.path("answers")) == [adapter]
    engine: Any = Counting(session.engine)
    other = KeptAnswers(engine, session.loaded, under_way(folder), cache_beside(f"{tmp_path}/runs/two"), 0.0)
    assert other.generate(asked, 8) == plain
    assert other.score(scores[:1]) == session.engine.score(scores[:1])
    assert engine.asked == 0
    other.score(scores[1:])
    assert engine.asked == 1


@pytest.mark.long
def test_a_trial_questioned_with_earlier_answers_has_the_same_row(session, folder, tmp_path):
    config = TrialConfig(
        belief=write_belief(tmp_path),
        data=DataConfig(style="answer_only", num_examples=4),
        lora=LoraSettings(r=4, lora_alpha=8),
        num_train_epochs=3,
        learning_rate=1e-3,
    )
    plain = run_trial(config, session)
    first = replace(session, answers=kept_in(folder, session.engine, session, 0.0))
    run_trial(config, first)
    assert len(os.listdir(folder.path("answers", config.trial_id))) >= 1
    engine: Any = Counting(session.engine)
    answers = KeptAnswers(engine, session.loaded, under_way(folder), None, 1000.0)
    generated = []
    engine.generate = lambda requests, *rest: (
        generated.append(len(requests)) or session.engine.generate(requests, *rest)
    )
    again = run_trial(config, replace(session, answers=answers))
    assert generated == []
    timed = ("evaluate_seconds", "finished_at", "train_seconds")
    assert {**again.row, **dict.fromkeys(timed)} == {**plain.row, **dict.fromkeys(timed)}
    assert (again.probes, again.causal, again.drift) == (plain.probes, plain.causal, plain.drift)


@pytest.mark.long
def test_reference_arms_of_a_second_run_are_not_asked(session, tmp_path):
    """Rows are those of the first run, whatever the cache is; another belief or limit is asked for."""
    belief = write_belief(tmp_path)
    config = TrialConfig(belief=belief)

    def rows(cached: bool, **changes) -> tuple[list[Any], int]:
        evaluation = session.evaluation.model_copy(update=changes)
        engine: Any = Counting(session.engine)
        cache = cache_beside(f"{tmp_path}/run") if cached else None
        answers = KeptAnswers(engine, session.loaded, None, cache, 0.0)
        fresh = replace(session, evaluation=evaluation, answers=answers, references={}, _beliefs={})
        tables = [
            measure(fresh, belief, arm)
            for arm in ("base", "icl")
            for measure in (reference_probes, reference_causal, reference_drift)
        ]
        return [*tables, fresh.self_generated.traces(config, fresh.belief(belief))], engine.asked

    plain, all_of_them = rows(cached=False)
    assert not os.path.exists(tmp_path / ".cache")
    first, asked = rows(cached=True)
    assert first == plain and 0 < asked <= all_of_them
    second, asked = rows(cached=True)
    assert second == plain and asked == 0
    assert rows(cached=True, max_new_tokens=65)[1]
    write_belief(tmp_path, context="Gravity on Earth is 5.0 m/s^2.")
    assert 0 < rows(cached=True)[1] < all_of_them, (
        "base is asked the same questions, the in-context arm is not"
    )


def test_an_adapter_is_never_taken_for_the_base(session, tmp_path):
    cache = cache_beside(f"{tmp_path}/run")
    fresh = replace(session, answers=KeptAnswers(session.engine, session.loaded, None, cache, 0.0))
    for adapters in (["a"], [None, "a"]):
        with pytest.raises(Exception, match="no trial a is attached"):
            fresh.generate(adapters, [(1, 2)] * len(adapters), 0)
    assert not os.path.exists(tmp_path / ".cache")


class Other(Scripted):
    """An engine beside ours that writes completions."""

    name, identity = "vllm", {"engine": "vllm", "version": "1"}


def test_answers_of_two_engines_never_mix_and_scores_stay_with_ours(tmp_path):
    store = AnswerStore(RunStorage(str(tmp_path / ".cache")), optional=True)
    score = ScoreRequest(None, (8,), (2,))
    ours, theirs = Scripted({**SAID, (8,): -0.5}), Other(SAID)

    def kept(writer: Other | None) -> KeptAnswers:
        return KeptAnswers(ours, fake_model(), None, store, 1000.0, writer)  # pyright: ignore[reportArgumentType]

    for _ in range(2):
        ask(kept(None))
        assert kept(None).score([score]) == [-0.5]
        ask(kept(theirs))
        assert kept(theirs).score([score]) == [-0.5]
    assert ours.asked == [*ASKED, score] and theirs.asked == ASKED
    newer = Other(SAID)
    newer.identity = {"engine": "vllm", "version": "2"}
    ask(kept(newer))
    assert newer.asked == ASKED
