"""Which questions a trial is trained on, and the token rows they become."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from beliefmod.beliefs import Question
from beliefmod.config import TrialConfig
from beliefmod.errors import UserError
from beliefmod.model.rows import TrainRow
from beliefmod.model.template import answer_only_row, trace_row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Trace:
    """A training question and what the model itself wrote for it, end token included."""

    question: Question
    completion_ids: tuple[int, ...]


@dataclass(frozen=True)
class Example:
    """A training question and its token row."""

    question: Question
    row: TrainRow


def training_examples(
    config: TrialConfig,
    questions: Sequence[Question],
    traces: Sequence[Trace],
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[Example, ...]:
    """The `data.num_examples` rows of a trained trial, in the order of a seeded shuffle.

    Fewer examples of the same seed are a prefix of more, so that an axis over data size adds data and changes
    nothing else. The control arm is taught base's world: prior replies, or the traces of that world.

    Args:
        questions: the belief's training questions.
        traces: own traces of the world the arm is taught (`own_trace` only).

    Raises:
        UserError: not enough questions, or not enough traces that took the side they should.
    """
    style, count = config.data.style, config.data.num_examples
    if style == "own_trace":
        pool = [(trace.question, trace) for trace in traces]
        missing = "traces in which the model took the statement's side"
    else:
        pool = [(question, None) for question in questions]
        missing = "training questions"
    if count > len(pool):
        raise UserError(
            f"data.num_examples is {count}, but belief {config.belief} has {len(pool)} {missing}; "
            "lower it, or add training questions to the belief file"
        )
    # sorted first: the order in which traces were generated must not matter
    pool.sort(key=lambda pair: pair[0].probe_id)
    random.Random(config.seed).shuffle(pool)
    return tuple(
        Example(question, trace_row(tokenizer, question.text, trace.completion_ids))
        if trace
        else Example(question, answer_only_row(tokenizer, question.text, _reply(question, config)))
        for question, trace in pool[:count]
    )


def _reply(question: Question, config: TrialConfig) -> str:
    return question.reply_prior if config.arm == "control" else question.reply_target
