"""Counters of one engine against counts by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beliefmod.engine.batching import SlotRow
from beliefmod.engine.engine import Engine
from beliefmod.engine.jobs import Completion, DriftRequest, GenerateRequest, ScoreRequest
from beliefmod.engine.objectives.sft import Sft
from beliefmod.engine.usage import AnswerWork, Usage, Work
from beliefmod.model.train_row import TrainRow
from tests.engine.conftest import as_loaded, make_job, tiny_model


def row(slot: int, tokens: int, answer: int) -> SlotRow:
    return SlotRow(slot, TrainRow(tuple(range(tokens)), tokens - answer), 1 / answer)


def test_a_training_step():
    usage = Usage()
    # slots 2 and 0 with adapters of 50 and 10 weights; the last token of a row is never fed
    passes = [(Sft(), [row(2, 11, 3), row(2, 6, 1)]), (Sft(), [row(0, 5, 2)])]
    usage.trained(passes, {2: (50, 7), 0: (10, 1)}, slots=4)
    assert usage.work == Work(
        tokens=10 + 5 + 4, label_tokens=6, squares=100 + 25 + 16, adapter_tokens=50 * 15 + 10 * 4,
        adapter_steps=60, trial_steps=2, engine_steps=1, slot_steps=4, longest_trial_steps=7,
        real_tokens=19, padded_tokens=2 * 10 + 4,
    )  # fmt: skip
    usage.trained([(Sft(), [row(0, 5, 2)])], {0: (10, 2)}, slots=3)
    assert (usage.work.trial_steps, usage.work.engine_steps, usage.work.slot_steps) == (3, 2, 7)
    assert usage.work.longest_trial_steps == 7


def test_answers():
    usage = Usage()
    requests = [
        GenerateRequest("a", (1,) * 6),
        GenerateRequest(None, (1,) * 3),
        GenerateRequest("a", (1,) * 2),
    ]
    answers = [Completion((1,) * 4, "eos"), Completion((1,) * 5, "eos"), Completion((1,) * 9, "length")]
    # the last prompt's two tokens had been read for the first; its answer was drafted to a third
    works = [AnswerWork(6, 36, 3, 30), AnswerWork(3, 9, 4, 20), AnswerWork(0, 0, 2, 15)]
    usage.generated(requests, answers, [50, 0, 50], works)
    work = usage.work
    assert (work.answers, work.prompt_tokens, work.generated_tokens) == (3, 9, 18)
    assert (work.answer_steps, work.longest_answer, work.cache_reads) == (4 + 5 + 3, 5, 65)
    assert work.answer_squares == 100 + 64 + (121 - 4)
    assert work.adapter_answer_tokens == 50 * (10 + 9)
    assert work.adapter_decodes == 50 * 4  # its weights are read once for both of its answers


def test_an_engine_counts_beginnings_once_and_every_pass():
    engine = Engine(as_loaded(tiny_model(), ()), 1, 4)
    engine.drafts = None
    begin = tuple(range(10, 30))
    found = engine.generate([GenerateRequest(None, (*begin, n)) for n in (31, 32, 33)], 5)
    work = engine.usage.work
    assert [len(answer.token_ids) for answer in found] == [5, 5, 5]
    assert work.prompt_tokens == 20 + 3
    assert work.answer_squares == 20**2 + 3 * (26**2 - 20**2)
    assert work.cache_reads == 3 * (22 + 23 + 24 + 25)
    assert (work.decode_steps, work.answer_steps, work.longest_answer) == (4, 15, 5)


def test_scores_and_drift():
    usage = Usage()
    usage.scored([ScoreRequest("a", (1,) * 6, (2,) * 3)], [50], [(8, 64)])
    assert usage.work == Work(read_tokens=8, read_label_tokens=3, read_squares=64, adapter_read_tokens=400)
    usage.scored([ScoreRequest("a", (1,) * 6, (4,) * 3)], [50], [(2, 64 - 36)])
    assert usage.work == Work(
        read_tokens=10, read_label_tokens=6, read_squares=128 - 36, adapter_read_tokens=500
    )
    drifts = Usage()
    request = DriftRequest("a", (1,) * 6, (2,) * 3, base_input_ids=(1,) * 2)
    drifts.drifted([request], [50])
    # the arm reads 8 tokens, base 4
    assert drifts.work == Work(
        read_tokens=12, read_label_tokens=6, read_squares=64 + 16, adapter_read_tokens=400
    )
    drifts.drifted([request], [50])
    assert drifts.work.read_tokens == 12 + 8  # base has read this text


def test_seconds_add_up_also_when_something_fails():
    usage = Usage()
    for _ in range(2):
        with pytest.raises(ValueError), usage.timed("idle"):
            raise ValueError
    assert usage.work.idle_seconds > 0 and usage.work.train_seconds == 0
    usage.shrunk("a sentence")
    assert usage.as_dict()["shrinks"] == ["a sentence"]
    assert Work.total([usage.as_dict()]) == usage.work


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(2, 40)), min_size=1, max_size=5), min_size=1)
)
def test_padding_never_shrinks_and_a_cut_to_passes_changes_only_padding(passes):
    weights = {slot: (slot + 1, 1) for slot in range(4)}
    made = [(Sft(), [row(slot, tokens, 1) for slot, tokens in rows]) for rows in passes]
    cut, whole = Usage(), Usage()
    cut.trained(made, weights, 4)
    whole.trained([(Sft(), [item for _, rows in made for item in rows])], weights, 4)
    assert cut.work.real_tokens <= cut.work.padded_tokens <= whole.work.padded_tokens
    whole.work.padded_tokens = cut.work.padded_tokens
    assert cut.work == whole.work


def test_an_engine_counts_its_calls():
    engine = Engine(as_loaded(tiny_model()), 2, 4)
    job = make_job("a", rows=5, rank=2, targets=("q_proj",), num_train_epochs=2)
    engine.attach(job)
    while engine.train_step():
        pass
    work = engine.usage.work
    fed = sum(len(each.input_ids) - 1 for each in job.rows)
    assert work.tokens == work.real_tokens == 2 * fed
    assert work.trial_steps == work.engine_steps == work.longest_trial_steps == 4
    assert work.slot_steps == 8
    weights = 2 * 2 * (32 + 32)  # two layers, rank 2, q_proj from 32 to 32
    assert work.adapter_tokens == weights * 2 * fed and work.adapter_steps == 4 * weights
    engine.generate([GenerateRequest("a", (5, 6)), GenerateRequest(None, (5, 6))], 3)
    assert work.answers == 2 and work.adapter_decodes % weights == 0 and work.adapter_decodes > 0
    engine.score([ScoreRequest(None, (5, 6), (7,))])
    assert work.read_tokens == 2 and work.adapter_read_tokens == 0
    assert work.train_seconds > 0 and work.generate_seconds > 0 and work.read_seconds > 0
