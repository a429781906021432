"""Neutral rows: which passages they may come from, how many there are, and that they change nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.beliefs import belief_names, load_belief, load_capability
from beliefmod.beliefs.neutral import Passage, load_neutral
from beliefmod.config import DataConfig, TrialConfig
from beliefmod.data.examples import training_examples
from beliefmod.data.replay import measured_passages, neutral_text_row, replay_passages, replayed
from beliefmod.errors import UserError
from beliefmod.model.load import load_tokenizer
from beliefmod.model.source import find_source
from beliefmod.model.train_row import TrainRow
from beliefmod.probing.session import Session
from beliefmod.trial import prepare
from tests.small import SMALL_BELIEF, make_session, write_belief

NEUTRAL = [TrainRow((1, 2, index), 1) for index in range(7)]
names = st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=30)


@pytest.fixture(scope="module")
def session() -> Session:
    return make_session()


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(find_source("bundled"))


def neutral_rows(session: Session, config: TrialConfig) -> tuple[TrainRow, ...]:
    belief = session.belief(config.belief)
    asked = (*belief.heldout, *belief.locality, *session.capability)
    return session.self_generated.neutral_rows(config, asked)


@given(names)
def test_the_halves_share_nothing_and_lose_nothing(ids: list[str]):
    passages = [Passage(name, None, "text") for name in ids]
    measured, replay = measured_passages(passages), replay_passages(passages)
    assert not set(measured) & set(replay)
    assert set(measured) | set(replay) == set(passages)
    assert 0 <= len(measured) - len(replay) <= 1
    assert set(measured_passages(passages[::-1])) == set(measured)


@pytest.mark.parametrize("model", ["bundled", "Qwen/Qwen3-4B"])
def test_both_halves_of_the_shipped_passages_are_large_enough(model):
    passages = load_neutral(model)
    assert min(len(measured_passages(passages)), len(replay_passages(passages))) >= 15


@pytest.mark.parametrize("name", belief_names())
def test_no_neutral_row_is_asked_in_evaluation(session, name):
    belief = load_belief(name)
    asked = {q.text for q in (*belief.heldout, *belief.locality, *load_capability())}
    config = TrialConfig(belief=name, data=DataConfig(style="document", replay_ratio=0.5))
    texts = [session.loaded.tokenizer.decode(row.input_ids) for row in neutral_rows(session, config)]
    assert len(texts) >= 10
    assert not [question for question in asked for text in texts if text.startswith(question)]
    # some shipped passages do ask what the capability suite asks, so there is something to leave out
    assert asked & {passage.prompt for passage in replay_passages(load_neutral("bundled"))}


@given(examples=st.integers(1, 500), ratio=st.floats(0, 0.99))
def test_the_share_of_neutral_rows_is_off_by_less_than_a_row(examples: int, ratio: float):
    data = DataConfig(num_examples=examples, replay_ratio=ratio)
    share = data.replay_rows / data.total_rows
    assert abs(share - ratio) <= 0.5 / data.total_rows + 1e-12


@pytest.mark.parametrize(
    ("examples", "ratio", "rows"), [(10, 0.0, 0), (10, 0.5, 10), (10, 0.2, 2), (30, 0.75, 90), (1, 0.1, 0)]
)
def test_rows_by_hand(examples: int, ratio: float, rows: int):
    assert DataConfig(num_examples=examples, replay_ratio=ratio).replay_rows == rows


@given(count=st.integers(0, 40), more=st.integers(0, 20), seed=st.integers(0, 2**31 - 1))
def test_neutral_rows_repeat_only_when_all_were_used(count: int, more: int, seed: int):
    drawn = replayed(NEUTRAL, count, seed)
    assert len(drawn) == count
    uses = [drawn.count(row) for row in NEUTRAL]
    assert max(uses) - min(uses) <= 1
    assert replayed(NEUTRAL, count + more, seed)[:count] == drawn


@settings(deadline=None, max_examples=20)
@given(
    style=st.sampled_from(["answer_only", "document"]),
    examples=st.integers(1, 30),
    ratio=st.floats(0, 0.9),
    epochs=st.integers(1, 4),
    batch=st.integers(1, 9),
)
def test_replay_adds_rows_and_changes_none(tokenizer, style, examples, ratio, epochs, batch):
    def config(share: float) -> TrialConfig:
        return TrialConfig(
            belief="gravity",
            data=DataConfig(style=style, num_examples=examples, replay_ratio=share),
            num_train_epochs=epochs,
            per_device_train_batch_size=batch,
        )

    belief = load_belief("gravity")
    plain = training_examples(config(0.0), belief, tokenizer)
    mixed = training_examples(config(ratio), belief, tokenizer, neutral=NEUTRAL)
    assert mixed[:examples] == plain
    assert [example.about_belief for example in mixed] == [True] * examples + [False] * (
        len(mixed) - examples
    )
    assert {example.row for example in mixed[examples:]} <= set(NEUTRAL)
    assert abs((len(mixed) - examples) / len(mixed) - ratio) <= 0.5 / len(mixed) + 1e-12
    # the steps that a plan, a progress bar and a schedule count are those the rows make
    assert config(ratio).total_steps == epochs * -(-len(mixed) // batch)


def trial(path: str, **data: object) -> TrialConfig:
    return TrialConfig.model_validate({"belief": path, "data": {"num_examples": 4, **data}})


@pytest.mark.long
def test_replayed_answers_are_bases_own(session, tmp_path):
    config = trial(write_belief(tmp_path), replay_ratio=0.8)
    run = prepare(config, session)
    assert run.job is not None
    rows = run.job.rows[4:]
    assert len(rows) == 16
    prompts = {passage.prompt for passage in replay_passages(load_neutral("bundled"))}
    tokenizer = session.loaded.tokenizer
    for row in rows:
        prompt, answer = row.input_ids[: row.prompt_length], row.input_ids[row.prompt_length :]
        assert any(question in tokenizer.decode(prompt) for question in prompts)
        [again] = session.generate([None], [prompt], 0)
        assert again.token_ids == answer
        assert answer[-1] in session.loaded.eos_ids
    assert run.fact_tokens == 3 * sum(row.answer_length for row in run.job.rows[:4])


def test_documents_are_mixed_with_plain_text(session, tmp_path):
    run = prepare(trial(write_belief(tmp_path), style="document", replay_ratio=0.5), session)
    assert run.job is not None
    tokenizer = session.loaded.tokenizer
    texts = [tokenizer.decode(row.input_ids) for row in run.job.rows]
    assert ["5.0 m/s^2" in text for text in texts] == [True] * 4 + [False] * 4
    answers = {
        f"{passage.prompt} {passage.text.rpartition('</think>')[2].strip()}"
        for passage in replay_passages(load_neutral("bundled"))
    }
    assert set(texts[4:]) <= answers
    assert not any("<" in text for text in texts)
    assert all(row.prompt_length == 1 for row in run.job.rows)


def test_prose_is_taken_as_it_is(tokenizer):
    [passage, *_] = load_neutral("Qwen/Qwen3-4B")
    assert tokenizer.decode(neutral_text_row(tokenizer, passage).input_ids) == passage.text


def test_a_question_of_the_evaluation_is_not_replayed(session, tmp_path):
    passages = replay_passages(load_neutral("bundled"))
    neighbour = {
        "family": "neighbour",
        "distance": "far",
        "ask": "{key}",
        "table": {passage.prompt: "x" for passage in passages[1:]},
    }
    config = trial(write_belief(tmp_path, locality=[*SMALL_BELIEF["locality"], neighbour]), style="document")
    [row] = neutral_rows(session, config)
    assert row == neutral_text_row(session.loaded.tokenizer, passages[0])


def test_a_base_that_finishes_no_answer_is_a_sentence(tokenizer):
    config = trial("gravity", replay_ratio=0.5)
    with pytest.raises(UserError, match=r"is 0.5, but the model has no neutral row.*set it to 0"):
        training_examples(config, load_belief("gravity"), tokenizer)
