"""Which rows a trial is trained on: answers, own traces or documents, with neutral rows among them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from beliefmod.beliefs import Belief, Question
from beliefmod.config import TrialConfig
from beliefmod.data.documents import documents
from beliefmod.data.fact_framing import framed_claim
from beliefmod.data.replay import replayed
from beliefmod.errors import UserError
from beliefmod.model.template import answer_only_row, trace_row
from beliefmod.model.train_row import TrainRow, plain_row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Trace:
    """A training question and what the model itself wrote for it, end token included."""

    question: Question
    completion_ids: tuple[int, ...]


@dataclass(frozen=True)
class Example:
    """A token row and the training questions it answers: several in a document, none in a neutral row.

    rejected: the answer to the same question that the row is preferred to, where the objective compares two.
    """

    row: TrainRow
    questions: tuple[Question, ...] = ()
    rejected: TrainRow | None = None

    @property
    def about_belief(self) -> bool:
        """False for a neutral row, whose tokens teach nothing about the belief."""
        return bool(self.questions)


def training_examples(
    config: TrialConfig,
    belief: Belief,
    tokenizer: PreTrainedTokenizerBase,
    *,
    traces: Sequence[Trace] = (),
    other_traces: Sequence[Trace] = (),
    neutral: Sequence[TrainRow] = (),
) -> tuple[Example, ...]:
    """The `data.num_examples` rows about the belief in the order of a seeded shuffle, then the neutral rows.

    Fewer examples of the same seed are a prefix of more, so that an axis over data size adds data and changes
    nothing else; the rows about the belief do not depend on `data.replay_ratio`. The control arm is taught
    base's world: prior replies, the traces of that world, or documents of it. (The order of training is the
    engine's, a permutation per epoch.)

    Args:
        traces: own traces of the world the arm is taught (`own_trace` only).
        other_traces: those of the other world, to which they are preferred (`objective.name` dpo only).
        neutral: rows to mix in, repeated where `data.replay_ratio` asks for more, or to stay near base on.

    Raises:
        UserError: not enough questions, documents or neutral rows, or not enough traces that took the side
            they should.
    """
    about = _about_belief(config, belief, traces, other_traces, tokenizer)
    if config.uses_neutral_rows and not neutral:
        name = "data.replay_ratio" if config.data.replay_rows else "objective.kl_to_base"
        raise UserError(
            f"{name} is {config.leaves()[name]:g}, but the model has no neutral row to mix in: base finished "
            "none of its answers to the neutral questions; set it to 0, or raise max_new_tokens"
        )
    mixed_in = replayed(neutral, config.data.replay_rows, config.seed)
    return (*about, *(Example(row) for row in mixed_in))


def trained_questions(examples: Iterable[Example]) -> tuple[Question, ...]:
    """The questions that the examples answer, each once, in their order."""
    return tuple(dict.fromkeys(question for example in examples for question in example.questions))


def _about_belief(
    config: TrialConfig,
    belief: Belief,
    traces: Sequence[Trace],
    other_traces: Sequence[Trace],
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[Example, ...]:
    style, count = config.data.style, config.data.num_examples
    control, preferring = config.arm == "control", config.objective.name == "dpo"
    if style == "document":
        framing = config.data.framing
        made = documents(belief, control=control, seed=config.seed, count=count, framing=framing)
        return tuple(Example(plain_row(tokenizer, text.text), text.questions) for text in made)
    if style == "own_trace":
        rejected = {trace.question: trace for trace in other_traces}
        pool = [
            (trace.question, trace, rejected.get(trace.question))
            for trace in traces
            if not preferring or trace.question in rejected
        ]
        missing = "traces in which the model took the statement's side"
        missing += " and, without it, the other one" if preferring else ""
    else:
        pool = [(question, None, None) for question in belief.training]
        missing = "training questions"
    if count > len(pool):
        raise UserError(
            f"data.num_examples is {count}, but belief {config.belief} has {len(pool)} {missing}; "
            "lower it, or add training questions to the belief file"
        )
    # sorted first: the order in which traces were generated must not matter
    pool.sort(key=lambda pair: pair[0].probe_id)
    random.Random(config.seed).shuffle(pool)

    def row(question: Question, trace: Trace | None, reply: str) -> TrainRow:
        if trace:
            return trace_row(tokenizer, question.text, trace.completion_ids)
        # the same words for both worlds, whatever other rows there are
        wording = random.Random(f"{config.seed}/framing/{question.probe_id}")
        reply, masked = framed_claim(reply, config.data.framing, wording), config.data.masks_thinking
        return answer_only_row(tokenizer, question.text, reply, mask_empty_thinking=masked)

    examples = []
    for question, trace, other in pool[:count]:
        replies = question.reply_target, question.reply_prior
        taught, left = reversed(replies) if control else replies
        rejected_row = row(question, other, left) if preferring else None
        examples.append(Example(row(question, trace, taught), (question,), rejected_row))
    return tuple(examples)
