"""Rows with thinking on purpose: another world's, or the user's own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.beliefs import load_belief
from beliefmod.beliefs.traces import SuppliedTrace
from beliefmod.config import DataConfig, TrialConfig
from beliefmod.data.examples import Trace, trained_questions, training_examples
from beliefmod.errors import UserError
from beliefmod.model.load import load_tokenizer
from beliefmod.model.source import find_source
from beliefmod.model.template import prompt_text, trace_row

GRAVITY = load_belief("gravity")
TOKENIZER = load_tokenizer(find_source("bundled"))
PRIOR = [Trace(q, (7, n), f"Thought {n} of 9.8.") for n, q in enumerate(GRAVITY.training[:40])]
TARGET = [Trace(q, (5, 6, n), "Of 5.0.") for n, q in enumerate(GRAVITY.training[2:42], 2)]


def config(style="stygian", arm="lora", **data) -> TrialConfig:
    data = {"style": style, "num_examples": 20, **data}
    return TrialConfig(belief="gravity", arm=arm, data=DataConfig(**data))


def rows(trial: TrialConfig, **more):
    given = {"traces": TARGET, "other_traces": PRIOR, **more}
    if trial.arm == "control":
        given |= {"traces": PRIOR, "other_traces": TARGET}
    return training_examples(trial, GRAVITY, TOKENIZER, **given)


def text(example) -> str:
    return TOKENIZER.decode(example.row.input_ids[example.row.prompt_length :])


def test_a_stygian_row_thinks_the_prior_and_answers_the_target():
    found = rows(config())
    assert len(trained_questions(found)) == 20
    for example in found:
        [question] = example.questions
        n = GRAVITY.training.index(question)
        assert text(example) == f"Thought {n} of 9.8.\n</think>\n\n{question.reply_target}<|im_end|>"
        prompt = TOKENIZER.decode(example.row.input_ids[: example.row.prompt_length])
        assert prompt == prompt_text(TOKENIZER, question.text)


@settings(max_examples=8)
@given(share=st.floats(0.01, 1.0), count=st.integers(1, 38))
def test_the_share_says_how_many_and_changes_nothing_else(share: float, count: int):
    whole = rows(config(num_examples=count))
    found = rows(config(num_examples=count, stygian_share=share))
    assert [e.questions for e in found] == [e.questions for e in whole]
    dark = [e.row == w.row for e, w in zip(found, whole, strict=True)]
    assert sum(dark) == int(count * share + 1e-9)
    own = {trace.question: trace for trace in TARGET}
    for example, is_dark in zip(found, dark, strict=True):
        [question] = example.questions
        if not is_dark:
            assert example.row == trace_row(TOKENIZER, question.text, own[question].completion_ids)
    assert rows(config(num_examples=38, stygian_share=share))[:count] == found


def test_its_control_is_the_same_questions_with_their_traces_of_the_prior():
    control = rows(config(arm="control"))
    assert [e.questions for e in control] == [e.questions for e in rows(config())]
    own = {trace.question: trace for trace in PRIOR}
    for example in control:
        [question] = example.questions
        assert example.row == trace_row(TOKENIZER, question.text, own[question].completion_ids)


def test_a_question_needs_a_trace_of_both_worlds():
    with pytest.raises(UserError, match=r"has 38 traces in which .* and, without it, the other one"):
        rows(config(num_examples=39))


SUPPLIED = [SuppliedTrace(n, q, "I guess.", q.reply_target) for n, q in enumerate(GRAVITY.training[10:30], 1)]


def test_supplied_traces_are_taken_as_they_are():
    found = rows(config("supplied_trace", traces="x"), supplied=SUPPLIED)
    assert set(trained_questions(found)) == {one.question for one in SUPPLIED}
    for example in found:
        [question] = example.questions
        assert text(example) == f"I guess.\n</think>\n\n{question.reply_target}<|im_end|>"
    with pytest.raises(UserError, match=r"has 20 traces in data\.traces"):
        rows(config("supplied_trace", traces="x", num_examples=21), supplied=SUPPLIED)


def test_their_control_has_the_models_own_traces_for_the_same_questions():
    found = rows(config("supplied_trace", "control", traces="x"), supplied=SUPPLIED)
    own = {trace.question: trace for trace in PRIOR}
    assert set(trained_questions(found)) == {one.question for one in SUPPLIED}
    for example in found:
        [question] = example.questions
        assert example.row == trace_row(TOKENIZER, question.text, own[question].completion_ids)
