"""Pairs for direct preference optimisation: both worlds' answers to the same question."""

import pytest

from beliefmod.beliefs import load_belief
from beliefmod.config import DataConfig, ObjectiveConfig, TrialConfig
from beliefmod.data.examples import Trace, training_examples
from beliefmod.errors import UserError
from beliefmod.model.load import load_model
from beliefmod.model.template import answer_only_row

DPO = ObjectiveConfig(name="dpo")


@pytest.fixture(scope="module")
def tokenizer():
    return load_model("bundled").tokenizer


def config(arm="lora", objective=DPO, **data) -> TrialConfig:
    return TrialConfig(belief="gravity", arm=arm, objective=objective, data=DataConfig(**data))


def pairs(examples):
    return [(example.row, example.rejected) for example in examples]


@pytest.mark.parametrize("masked", [False, True])
def test_a_bare_answer_is_preferred_to_the_other_worlds(tokenizer, masked):
    belief = load_belief("gravity")
    settings = {"num_examples": 12, "mask_empty_thinking": masked}
    taught = training_examples(config(**settings), belief, tokenizer)
    plain = training_examples(config(objective=ObjectiveConfig(), **settings), belief, tokenizer)
    assert [example.row for example in taught] == [example.row for example in plain]
    for example in taught:
        [question] = example.questions
        assert example.rejected == answer_only_row(
            tokenizer, question.text, question.reply_prior, mask_empty_thinking=masked
        )
        assert (
            example.rejected.input_ids[: example.row.prompt_length]
            == example.row.input_ids[: example.row.prompt_length]
        )
    control = training_examples(config("control", **settings), belief, tokenizer)
    assert pairs(control) == [(rejected, row) for row, rejected in pairs(taught)]


def test_own_traces_are_paired_by_question_and_those_without_a_pair_left_out(tokenizer):
    belief = load_belief("gravity")
    traces = [Trace(question, (5, 6, n)) for n, question in enumerate(belief.training[:8])]
    others = [Trace(question, (7, n)) for n, question in enumerate(belief.training[4:12])]
    own = config(style="own_trace", num_examples=4)
    found = training_examples(own, belief, tokenizer, traces=traces, other_traces=others)
    for example in found:
        n = belief.training.index(example.questions[0])
        assert 4 <= n < 8
        assert example.row.input_ids[example.row.prompt_length :] == (5, 6, n)
        assert example.rejected.input_ids[example.rejected.prompt_length :] == (7, n - 4)
    with pytest.raises(UserError, match=r"has 4 traces in which .* and, without it, the other one"):
        five = config(style="own_trace", num_examples=5)
        training_examples(five, belief, tokenizer, traces=traces, other_traces=others)


@pytest.mark.parametrize(
    ("data", "why"),
    [({"style": "document"}, "documents are no answers"), ({"replay_ratio": 0.5}, "no pairs")],
)
def test_what_has_no_pairs_is_refused(data, why):
    with pytest.raises(ValueError, match=why):
        config(**data)
