"""The journal of answers: found again by content, never for other weights, gone with its trial's row."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from beliefmod.config import DataConfig, LoraSettings, TrialConfig
from beliefmod.engine.jobs import GREEDY, GenerateRequest, Sampling
from beliefmod.model.train_row import TrainRow
from beliefmod.probing.answer_journal import AnswerJournal
from beliefmod.trial import run_trial
from tests.small import make_session, write_belief


@pytest.fixture(scope="module")
def session():
    return make_session(slots=2)


@pytest.fixture
def adapter(session):
    """An adapter that has been trained a step, so that it differs from base."""
    from beliefmod.engine.jobs import AdapterJob

    config = TrialConfig(belief="journal", lora=LoraSettings(r=4), learning_rate=0.1, num_train_epochs=5)
    session.engine.attach(AdapterJob("one", config, (TrainRow((5, 6, 7, 8, 9), 2),)))
    session.engine.train_step()
    yield "one"
    session.engine.release("one")


class Counting:
    """An engine that counts the prompts it is asked."""

    def __init__(self, engine) -> None:
        self.engine, self.asked = engine, 0

    def generate(self, requests, max_new_tokens, sampling, on_batch=None):
        self.asked += len(requests)
        return self.engine.generate(requests, max_new_tokens, sampling, on_batch)

    def state_dict(self, trial_id):
        return self.engine.state_dict(trial_id)


def requests(adapter: str | None) -> list[GenerateRequest]:
    return [GenerateRequest(adapter, (1, 2, 3 + place), seed=place) for place in range(4)]


def test_answers_are_found_again_by_another_process_and_only_under_the_same_weights(session, folder, adapter):
    asked = [*requests(None), *requests(adapter)]
    engine = Counting(session.engine)
    plain = session.engine.generate(asked, 8, GREEDY)
    first = AnswerJournal(folder, "base", 0.0)
    assert first.complete(engine, asked[:6], 8, GREEDY) == plain[:6]
    assert sorted(os.listdir(folder.path("answers"))) == ["base", adapter]

    engine.asked = 0
    second = AnswerJournal(folder, "base", 1000.0)
    assert second.complete(engine, asked, 8, GREEDY) == plain
    assert engine.asked == 2

    # another limit, another sampling or other weights: other answers
    engine.asked = 0
    second.complete(engine, asked[:6], 9, GREEDY)
    second.complete(engine, asked[:6], 8, Sampling(0.7))
    session.engine.train_step()
    assert second.complete(engine, asked, 8, GREEDY) == session.engine.generate(asked, 8, GREEDY)
    assert engine.asked == 6 + 6 + 4
    assert AnswerJournal(folder, "other base", 0.0).complete(engine, asked[:4], 8, GREEDY) == plain[:4]
    assert engine.asked == 20

    second.forget(adapter)
    assert os.listdir(folder.path("answers")) == ["base"]


def test_seeds_matter_when_sampling(session, folder):
    engine = Counting(session.engine)
    asked = requests(None)
    first = AnswerJournal(folder, "base", 0.0).complete(engine, asked, 8, Sampling(0.9))
    engine.asked = 0
    journal = AnswerJournal(folder, "base", 0.0)
    assert journal.complete(engine, asked, 8, Sampling(0.9)) == first
    assert engine.asked == 0
    journal.complete(engine, [replace(one, seed=one.seed + 100) for one in asked], 8, Sampling(0.9))
    assert engine.asked == 4
    journal.complete(engine, asked, 8, Sampling(0.9, top_p=0.5))
    assert engine.asked == 8


def test_damaged_files_hold_no_answers(session, folder):
    asked = requests(None)
    AnswerJournal(folder, "base", 0.0).complete(session.engine, asked, 8, GREEDY)
    [path] = Path(folder.path("answers", "base")).iterdir()
    whole = json.loads(path.read_text())
    key = next(iter(whole["answers"]))
    wrong = {**whole, "answers": {**whole["answers"], key: [[1], "eos"]}}
    engine = Counting(session.engine)
    for count, damage in enumerate((json.dumps(wrong), path.read_text()[:-5], "[]", ""), 1):
        path.write_text(damage)
        AnswerJournal(folder, "base", 1000.0).complete(engine, asked, 8, GREEDY)
        assert engine.asked == 4 * count


def test_short_questionings_write_nothing(session, folder):
    journal = AnswerJournal(folder, "base", 1000.0)
    journal.complete(session.engine, requests(None), 8, GREEDY)
    assert os.listdir(folder.root) == []


def test_a_trial_questioned_with_earlier_answers_has_the_same_row(session, folder, tmp_path):
    config = TrialConfig(
        belief=write_belief(tmp_path),
        data=DataConfig(style="answer_only", num_examples=4),
        lora=LoraSettings(r=4, lora_alpha=8),
        num_train_epochs=3,
        learning_rate=1e-3,
    )
    plain = run_trial(config, session)
    session.journal = AnswerJournal(folder, "base", 0.0)
    try:
        run_trial(config, session)
        assert len(os.listdir(folder.path("answers", config.trial_id))) >= 1
        engine, session.journal = session.engine, AnswerJournal(folder, "base", 0.0)
        asked = []
        generate = engine.generate
        engine.generate = lambda requests, *rest: asked.append(len(requests)) or generate(requests, *rest)
        again = run_trial(config, session)
    finally:
        session.journal = None
        session.engine.__dict__.pop("generate", None)
    assert asked == []
    timed = ("evaluate_seconds", "finished_at", "train_seconds")
    assert {**again.row, **dict.fromkeys(timed)} == {**plain.row, **dict.fromkeys(timed)}
    assert (again.probes, again.causal, again.drift) == (plain.probes, plain.causal, plain.drift)
