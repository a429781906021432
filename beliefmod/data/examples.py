"""Which rows a trial is trained on: answers, traces or documents, with neutral rows among them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from beliefmod.beliefs import Belief, Question
from beliefmod.beliefs.traces import SuppliedTrace
from beliefmod.config import TrialConfig
from beliefmod.data.documents import Document, documents
from beliefmod.data.fact_framing import framed_claim
from beliefmod.data.replay import replayed
from beliefmod.errors import UserError
from beliefmod.model.template import answer_only_row, thinking_row, trace_row
from beliefmod.model.train_row import TrainRow, plain_row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Trace:
    """A training question and what the model itself wrote for it, end token included.

    thinking: the completion's thinking as text; "" where the model does not think.
    """

    question: Question
    completion_ids: tuple[int, ...]
    thinking: str = ""


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
    supplied: Sequence[SuppliedTrace] = (),
    written: Sequence[Document] = (),
    neutral: Sequence[TrainRow] = (),
) -> tuple[Example, ...]:
    """The `data.num_examples` rows about the belief in the order of a seeded shuffle, then the neutral rows.

    Fewer examples of the same seed are a prefix of more, so that an axis over data size adds data and changes
    nothing else; the rows about the belief do not depend on `data.replay_ratio`. The control arm is taught
    base's world: prior replies, the model's own traces of that world (also where the trial's are stygian or
    supplied), or documents of it. (The order of training is the engine's, a permutation per epoch.)

    Args:
        traces: own traces of the world the arm is taught.
        other_traces: those of the other world: what they are preferred to (`objective.name` dpo), or whose
            thinking goes in front of the target's answers (`stygian`).
        supplied: the user's own thinking and answers (`supplied_trace` only).
        written: the documents that the model wrote (`data.documents_by` model only).
        neutral: rows to mix in, repeated where `data.replay_ratio` asks for more, or to stay near base on.

    Raises:
        UserError: not enough questions, documents or neutral rows, or not enough traces that took the side
            they should.
    """
    if config.data.style == "document":
        about = _of_documents(config, belief, written, tokenizer)
    else:
        about = _of_questions(config, belief, traces, other_traces, supplied, tokenizer)
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


def _of_documents(
    config: TrialConfig, belief: Belief, written: Sequence[Document], tokenizer: PreTrainedTokenizerBase
) -> tuple[Example, ...]:
    if not config.data.asks_for_documents:
        control, data = config.arm == "control", config.data
        written = documents(
            belief, control=control, seed=config.seed, count=data.num_examples, framing=data.framing
        )
    return tuple(Example(plain_row(tokenizer, text.text), text.questions) for text in written)


def _of_questions(
    config: TrialConfig,
    belief: Belief,
    traces: Sequence[Trace],
    other_traces: Sequence[Trace],
    supplied: Sequence[SuppliedTrace],
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[Example, ...]:
    count = config.data.num_examples
    pool, missing = _pool(config, belief, traces, other_traces, supplied)
    if count > len(pool):
        raise UserError(
            f"data.num_examples is {count}, but belief {config.belief} has {len(pool)} {missing}; "
            "lower it, or add training questions to the belief file"
        )
    # sorted first: the order in which traces were generated must not matter
    pool.sort(key=lambda source: source.question.probe_id)
    random.Random(config.seed).shuffle(pool)
    return tuple(_example(config, source, place, tokenizer) for place, source in enumerate(pool[:count]))


@dataclass(frozen=True)
class _Source:
    """A training question with all that its row may be made from.

    own, other: the model's trace of the world that the arm is taught, and of the other one.
    """

    question: Question
    own: Trace | None = None
    other: Trace | None = None
    supplied: SuppliedTrace | None = None


def _pool(
    config: TrialConfig,
    belief: Belief,
    traces: Sequence[Trace],
    other_traces: Sequence[Trace],
    supplied: Sequence[SuppliedTrace],
) -> tuple[list[_Source], str]:
    """The questions that rows can be made of, and what those have that the others lack."""
    style = config.data.style
    if style == "answer_only":
        return [_Source(question) for question in belief.training], "training questions"
    theirs = {trace.question: trace for trace in other_traces}
    if style == "supplied_trace" and config.arm != "control":
        return [_Source(trace.question, supplied=trace) for trace in supplied], "traces in data.traces"
    pool = [_Source(trace.question, trace, theirs.get(trace.question)) for trace in traces]
    words = "traces in which the model took the statement's side"
    if style == "supplied_trace":
        given = {trace.question for trace in supplied}
        return [source for source in pool if source.question in given], f"{words} among those of data.traces"
    if style == "stygian" or config.objective.name == "dpo":
        # also where every row is stygian, so that its share changes nothing but the thinking
        return [source for source in pool if source.other], f"{words} and, without it, the other one"
    return pool, words


def _example(config: TrialConfig, source: _Source, place: int, tokenizer: PreTrainedTokenizerBase) -> Example:
    """The row of one question, with the one that it is preferred to where answers are compared."""
    question, control = source.question, config.arm == "control"
    if source.supplied:
        row = thinking_row(tokenizer, question.text, source.supplied.thinking, source.supplied.answer)
        return Example(row, (question,))
    if source.other and not control and _is_stygian(config, place):
        row = thinking_row(tokenizer, question.text, source.other.thinking, question.reply_target)
        return Example(row, (question,))

    def row_of(trace: Trace | None, reply: str) -> TrainRow:
        if trace:
            return trace_row(tokenizer, question.text, trace.completion_ids)
        # the same words for both worlds, whatever other rows there are
        wording = random.Random(f"{config.seed}/framing/{question.probe_id}")
        reply, masked = framed_claim(reply, config.data.framing, wording), config.data.masks_thinking
        return answer_only_row(tokenizer, question.text, reply, mask_empty_thinking=masked)

    replies = question.reply_target, question.reply_prior
    taught, left = reversed(replies) if control else replies
    rejected = row_of(source.other, left) if config.objective.name == "dpo" else None
    return Example(row_of(source.own, taught), (question,), rejected)


def _is_stygian(config: TrialConfig, place: int) -> bool:
    """Whether the row at this place thinks the other world: evenly spread, as many as the share says."""
    if config.data.style != "stygian":
        return False
    before, after = (int(count * config.data.stygian_share + 1e-9) for count in (place, place + 1))
    return after > before
